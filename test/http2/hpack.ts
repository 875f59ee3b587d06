/** Writes header blocks in every way there is, right and wrong ones. @see RFC 7541 section 6 */

/** A number after `bits` bits of a first byte. */
export function integer(value: number, bits: number, first = 0): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(first | value);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.of(...bytes, rest);
}

/** A text, as it is. */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** A text that was coded already. */
export const coded = (bytes: Buffer): Buffer => Buffer.concat([integer(bytes.length, 7, 0x80), bytes]);

/** How a literal is written: kept in the table, not kept, or never to be. */
export const Literal = { kept: [6, 0x40], notKept: [4, 0x00], never: [4, 0x10] } as const;

/** A literal whose name is a text, or a number. */
export function literal(
  name: string | number,
  value: string | Buffer,
  [bits, first]: readonly [number, number] = Literal.notKept,
): Buffer {
  const named = typeof name === 'number' ? integer(name, bits, first) : Buffer.concat([Buffer.of(first), text(name)]);
  return Buffer.concat([named, typeof value === 'string' ? text(value) : value]);
}

/** A field by its number. */
export const indexed = (number: number): Buffer => integer(number, 7, 0x80);

/** What the table may hold from now on. */
export const tableSize = (bytes: number): Buffer => integer(bytes, 5, 0x20);

/** Headers as literals that nobody keeps. */
export const literals = (headers: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(Object.entries(headers).map(([name, value]) => literal(name, value)));

/** What each request needs, each with one byte: `POST`, `http`, `/`. */
export const SHORT_REQUEST = Buffer.concat([indexed(3), indexed(6), indexed(4)]);
