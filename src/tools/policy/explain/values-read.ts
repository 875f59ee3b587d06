/** The values of the context that a piece of a policy names. */
import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import type { CedarToken } from '../../../core/policy/cedar-text.ts';
import type { CedarRecord, CedarValue } from '../../../core/policy/question.ts';

/** A context value that a piece of a policy names. */
export interface ReadValue {
  /** `context.args.amount` */
  readonly path: string;
  /** As JSON, or the text of a date or decimal; `null` if it is absent. */
  readonly value: string | null;
}

const MAX_SHOWN = 200;

/** The context values that a piece names, in order, without duplicates. */
export function valuesRead(text: string, context: CedarRecord): readonly ReadValue[] {
  const tokens = cedarTokens(text);
  const values = new Map<string, ReadValue>();
  for (const [index, token] of tokens.entries()) {
    if (token.text !== 'context' || tokens[index - 1]?.text === '.') continue;
    const read = valueAt(tokens, index + 1, context);
    if (read.path !== 'context') values.set(read.path, read);
  }
  return [...values.values()];
}

function valueAt(tokens: readonly CedarToken[], start: number, context: CedarRecord): ReadValue {
  let value: CedarValue | undefined = context;
  let path = 'context';
  for (let at = start; ;) {
    const next = memberAt(tokens, at);
    if (next === null || !isRecord(value)) break;
    value = Object.hasOwn(value, next.name) ? value[next.name] : undefined;
    path += next.text;
    at = next.end;
  }
  return { path, value: value === undefined ? null : shownValue(value) };
}

/** The member at a place; `null` for a method and anything else. */
function memberAt(
  tokens: readonly CedarToken[],
  at: number,
): { readonly name: string; readonly text: string; readonly end: number } | null {
  const [sign, name, after] = tokens.slice(at, at + 3).map((token) => token.text);
  if (name === undefined) return null;
  if (sign === '.' && after !== '(') return { name, text: `.${name}`, end: at + 2 };
  // `has a.b` and `has "a"` name members that may be absent; the value before them exists.
  const isHas = sign === 'has';
  if (!isHas && !(sign === '[' && after === ']')) return null;
  const text = name.startsWith('"') ? stringOf(name) : name;
  return text === null
    ? null
    : { name: text, text: name.startsWith('"') ? `[${name}]` : `.${name}`, end: at + (isHas ? 2 : 3) };
}

/** The text of a Cedar string; `null` for escapes that JSON lacks. */
function stringOf(literal: string): string | null {
  try {
    const text: unknown = JSON.parse(literal);
    return typeof text === 'string' ? text : null;
  } catch {
    return null;
  }
}

const isRecord = (value: CedarValue | undefined): value is CedarRecord =>
  typeof value === 'object' && !Array.isArray(value) && !('__extn' in value);

/** A context value for people: JSON, or the text of a date or decimal; at most 200 characters. */
export function shownValue(value: CedarValue): string {
  const { __extn: extension } = typeof value === 'object' && !Array.isArray(value) ? (value as CedarRecord) : {};
  const plain = isRecord(extension) ? extension['arg'] : value;
  const text = typeof plain === 'string' && plain !== value ? plain : JSON.stringify(plain);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
