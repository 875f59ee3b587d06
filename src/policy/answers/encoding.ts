/**
 * A JSON value as text from which it can be read back: each part has its type and its length or a terminator before what
 * follows, members are in the order of their names, and so are elements, since arrays are Cedar's sets. Different values so
 * never have the same text, and neither have different sequences of values.
 */
export function encoded(value: unknown): string {
  if (typeof value === 'string') return encodedText(value);
  if (typeof value === 'number') return `n${value};`;
  if (value === true) return 't';
  if (value === false) return 'f';
  if (typeof value !== 'object' || value === null) return 'z';
  if (Array.isArray(value)) {
    const items = [...new Set(value.map(encoded))].sort();
    return `[${items.length}:${items.join('')}`;
  }
  const members = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1));
  const prefix = isRawJson(value) ? 'r' : '{';
  return `${prefix}${members.length}:${members.map(([name, item]) => `${encodedText(name)}${encoded(item)}`).join('')}`;
}

/** A text with its length before it, in UTF-16 code units. */
export const encodedText = (value: string): string => `s${value.length}:${value}`;

/** A number that a double cannot hold, kept as it was written; it looks like an object with one member. */
const isRawJson = (value: object): boolean => 'rawJSON' in value && Object.getPrototypeOf(value) === null;
