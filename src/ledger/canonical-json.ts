/** What JSON can say. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };

/** The value has no canonical form; the text says why. */
export interface CanonicalProblem {
  readonly problem: string;
}

/** Deeper values are refused, long before the stack would end. */
const MAX_DEPTH = 64;

/**
 * The one JSON text of a value: no white space, members in the order of their names' UTF-16 code units, numbers and
 * escapes as ECMAScript writes them. Equal values give equal text, so its digest identifies the value.
 *
 * @returns a problem for a number that is not finite, a lone surrogate, or more than 64 levels
 * @see RFC 8785
 */
export function canonicalJson(value: JsonValue): string | CanonicalProblem {
  if (isInOrder(value, MAX_DEPTH)) return JSON.stringify(value);
  const parts: string[] = [];
  const problem = write(value, parts, MAX_DEPTH);
  return problem === null ? parts.join('') : { problem };
}

/** Whether ECMAScript's own text of a value is the canonical one: all of it can be said, and the members have their order. */
function isInOrder(value: JsonValue, depthLeft: number): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object') return typeof value === 'boolean';
  if (value === null) return true;
  if (depthLeft === 0) return false;
  if (isArray(value)) return value.every((item) => isInOrder(item, depthLeft - 1));
  let before: string | null = null;
  // Not by `Object.entries`, which makes an array of each member: this is done for every record.
  for (const name in value) {
    const member = value[name];
    if (member === undefined || (before !== null && before >= name)) return false;
    if (!name.isWellFormed() || !isInOrder(member, depthLeft - 1)) return false;
    before = name;
  }
  return true;
}

function write(value: JsonValue, parts: string[], depthLeft: number): string | null {
  if (typeof value === 'string') return writeString(value, parts);
  if (typeof value === 'number' && !Number.isFinite(value)) return 'a number is not finite';
  if (value === null || typeof value !== 'object') {
    parts.push(JSON.stringify(value));
    return null;
  }
  if (depthLeft === 0) return `the value is nested deeper than ${MAX_DEPTH} levels`;
  return isArray(value) ? writeArray(value, parts, depthLeft - 1) : writeObject(value, parts, depthLeft - 1);
}

const isArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

function writeString(text: string, parts: string[]): string | null {
  if (!text.isWellFormed()) return 'a string holds a lone surrogate';
  parts.push(JSON.stringify(text));
  return null;
}

function writeArray(values: readonly JsonValue[], parts: string[], depthLeft: number): string | null {
  parts.push('[');
  for (const [index, value] of values.entries()) {
    if (index > 0) parts.push(',');
    const problem = write(value, parts, depthLeft);
    if (problem !== null) return problem;
  }
  parts.push(']');
  return null;
}

function writeObject(value: { readonly [name: string]: JsonValue }, parts: string[], depthLeft: number): string | null {
  parts.push('{');
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [index, [name, member]] of members.entries()) {
    if (index > 0) parts.push(',');
    const nameProblem = writeString(name, parts);
    if (nameProblem !== null) return nameProblem;
    parts.push(':');
    const problem = write(member, parts, depthLeft);
    if (problem !== null) return problem;
  }
  parts.push('}');
  return null;
}
