/** UUIDs of version 7. */

/** Random bytes that `uuidV7` needs. */
export const UUID_RANDOM_BYTES = 16;

/**
 * A UUIDv7: sorts by its time, which is in its first 48 bits.
 *
 * @param nowMs milliseconds since the Unix epoch, 0 to 2^48 - 1
 * @param random at least 16 random bytes, of which 74 bits are used
 * @see RFC 9562 section 5.7
 */
export function uuidV7(nowMs: number, random: Uint8Array): string {
  const high = Math.floor(nowMs / 2 ** 16);
  const octets = (from: number, to: number): string => {
    let text = '';
    for (let at = from; at < to; at += 1) text += octet(random[at] ?? 0);
    return text;
  };
  return (
    `${octet(high >>> 24)}${octet(high >>> 16)}${octet(high >>> 8)}${octet(high)}-${octet(nowMs / 256)}${octet(nowMs)}-` +
    `${octet(0x70 | ((random[6] ?? 0) & 0x0f))}${octet(random[7] ?? 0)}-` +
    `${octet(0x80 | ((random[8] ?? 0) & 0x3f))}${octet(random[9] ?? 0)}-${octets(10, UUID_RANDOM_BYTES)}`
  );
}

/** The low 8 bits of a number, in hex. */
const octet = (value: number): string => OCTETS[value & 0xff] ?? '';

const OCTETS: readonly string[] = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'));

const UUID_CHARS = 36;
const HYPHEN = 0x2d;

/** Whether a text is a UUID of any version in lower case. */
export function isUuid(text: string): boolean {
  if (text.length !== UUID_CHARS) return false;
  for (let at = 0; at < UUID_CHARS; at += 1) {
    const char = text.charCodeAt(at);
    const isExpected = at === 8 || at === 13 || at === 18 || at === 23 ? char === HYPHEN : isHexDigit(char);
    if (!isExpected) return false;
  }
  return true;
}

const VERSION_AT = 14;

/** The instant in a UUIDv7, by the clock of its maker, in milliseconds since the Unix epoch; `NaN` if the text is not a UUIDv7. */
export const uuidMs = (text: string): number =>
  isUuid(text) && text[VERSION_AT] === '7' ? Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16) : Number.NaN;

const isHexDigit = (char: number): boolean => (char >= 0x30 && char <= 0x39) || (char >= 0x61 && char <= 0x66);
