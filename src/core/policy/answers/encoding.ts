/**
 * An injective encoding of JSON values: each part carries its type and its length or a terminator. Members are sorted by name,
 * and so are array elements, because arrays are Cedar sets. Different values, or sequences of values, never have equal texts.
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

/** A text prefixed with its length in UTF-16 code units. */
export const encodedText = (value: string): string => `s${value.length}:${value}`;

/** A number that a double cannot hold, kept as written (`JSON.rawJSON`); it looks like an object with one member. */
const isRawJson = (value: object): boolean => 'rawJSON' in value && Object.getPrototypeOf(value) === null;
