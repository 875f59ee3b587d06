/** Encodes header blocks in every form, valid and invalid. @see RFC 7541 section 6 */

/** A number after `bits` bits of a first byte. */
export function integer(value: number, bits: number, first = 0): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(first | value);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.of(...bytes, rest);
}

/** A plain text. */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** A text that is Huffman-coded already. */
export const coded = (bytes: Buffer): Buffer => Buffer.concat([integer(bytes.length, 7, 0x80), bytes]);

/** How a literal is indexed: incrementally, not, or never. */
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

/** Headers as literals without indexing. */
export const literals = (headers: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(Object.entries(headers).map(([name, value]) => literal(name, value)));

/** How many bits the code of each byte has. @see RFC 7541 appendix B */
const CODE_LENGTHS: readonly number[] = `
  13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
  6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
  13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
  15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
  20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
  22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
  26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
  20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26`
  .trim()
  .split(/\s+/)
  .map(Number);

/** The code of each byte, as bits in a text: shorter ones come first, and among those of one length the lower bytes. */
const CODES: readonly string[] = codes();

function codes(): readonly string[] {
  const inOrder = [...CODE_LENGTHS.keys()].toSorted((a, b) => (CODE_LENGTHS[a] ?? 0) - (CODE_LENGTHS[b] ?? 0) || a - b);
  const bits: string[] = [];
  let code = 0n;
  let length = 0;
  for (const byte of inOrder) {
    const own = CODE_LENGTHS[byte] ?? 0;
    code <<= BigInt(own - length);
    length = own;
    bits[byte] = code.toString(2).padStart(own, '0');
    code += 1n;
  }
  return bits;
}

/** The Huffman code of these bytes, padded with ones to a whole byte, or with `padding`. */
export function huffman(bytes: Buffer, padding?: string): Buffer {
  const bits = [...bytes].map((byte) => CODES[byte]).join('');
  const whole = bits + (padding ?? '1'.repeat((8 - (bits.length % 8)) % 8));
  return Buffer.from((whole.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
