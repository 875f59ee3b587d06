import { cedarInstantFrom, scaledDecimalFrom } from './answers/literals.ts';
import { member } from './answers/scope.ts';

const MAX_DEPTH = 64;

/**
 * Whether the engine is certain to accept a value: well-formed text, whole numbers that a double holds, booleans, and arrays
 * and records of these, datetimes and decimals. The engine refuses a whole question for one invalid value, even if no policy reads it.
 */
export function isPlainValue(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value === 'boolean') return true;
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((item) => isPlainValue(item, depth + 1));
  for (const name in value) {
    if (name.startsWith('__')) return isPlainExtension(value);
    if (!name.isWellFormed() || !isPlainValue(member(value, name), depth + 1)) return false;
  }
  return true;
}

function isPlainExtension(value: object): boolean {
  const { fn, arg, ...rest } = Object(member(value, '__extn')) as Readonly<Record<string, unknown>>;
  if (Object.keys(value).length > 1 || Object.keys(rest).length > 0) return false;
  return (fn === 'datetime' && cedarInstantFrom(arg) !== null) || (fn === 'decimal' && scaledDecimalFrom(arg) !== null);
}
