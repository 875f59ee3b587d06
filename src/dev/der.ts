/**
 * Encodes as much DER as the certificates of a throw-away trust domain need. Untrusted DER is parsed by `core/identity/`.
 * @see ITU-T X.690 sections 8 and 10
 */

/** One element: `tag`, length, content. Tags above 30 and contents of 64 KiB or more are not supported. */
export function element(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(content);
  const { length } = body;
  if (length < 0x80) return Buffer.from([tag, length, ...body]);
  if (length < 0x100) return Buffer.from([tag, 0x81, length, ...body]);
  if (length < 0x1_0000) return Buffer.from([tag, 0x82, length >> 8, length & 0xff, ...body]);
  throw new RangeError(`a der element of ${length} bytes is too long`);
}

/** A SEQUENCE of elements. */
export const sequence = (...content: readonly Uint8Array[]): Uint8Array => element(0x30, ...content);

/** A SET of one element; larger sets would need sorting. */
export const setOf = (content: Uint8Array): Uint8Array => element(0x31, content);

/** The context-specific constructed element `[number]`. */
export const explicit = (number: number, content: Uint8Array): Uint8Array => element(0xa0 | number, content);

/** The context-specific primitive element `[number]`. */
export const implicit = (number: number, content: Uint8Array): Uint8Array => element(0x80 | number, content);

/** An INTEGER from its big-endian bytes, which must be minimal and not negative. */
export const derInteger = (bytes: Uint8Array): Uint8Array => element(0x02, bytes);

/** A BOOLEAN that is true; false is the default everywhere here, and DER leaves defaults out. */
export const yes: Uint8Array = element(0x01, Buffer.from([0xff]));

/** An OCTET STRING. */
export const octets = (bytes: Uint8Array): Uint8Array => element(0x04, bytes);

/** A BIT STRING of whole bytes, or with `unused` trailing bits. */
export const bits = (bytes: Uint8Array, unused = 0): Uint8Array => element(0x03, Buffer.from([unused]), bytes);

/** A UTF8String. */
export const utf8 = (text: string): Uint8Array => element(0x0c, Buffer.from(text, 'utf8'));

/** An OBJECT IDENTIFIER from its dotted form, such as `2.5.29.15`. */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** A time in whole seconds: UTCTime until 2049, GeneralizedTime after. @see RFC 5280 section 4.1.2.5 */
export function time(atMs: number): Uint8Array {
  const digits = new Date(atMs).toISOString().replaceAll(/[-T:]|\.\d+/g, '');
  return digits < '2050' ? element(0x17, Buffer.from(digits.slice(2))) : element(0x18, Buffer.from(digits));
}

function base128(value: number): number[] {
  const septets = [value & 0x7f];
  for (let left = value >>> 7; left > 0; left >>>= 7) septets.unshift((left & 0x7f) | 0x80);
  return septets;
}
