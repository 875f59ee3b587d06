/** 16 random bytes give a UUIDv7 whose first 48 bits are the time. */
export const UUID_RANDOM_BYTES = 16;

/**
 * A UUIDv7: sortable by the time of its making.
 *
 * @param nowMs milliseconds since the Unix epoch, 0 to 2^48 - 1
 * @param random at least 16 random bytes, of which 74 bits are used
 * @see RFC 9562 section 5.7
 */
export function uuidV7(nowMs: number, random: Uint8Array): string {
  const bytes = Buffer.from(random.subarray(0, UUID_RANDOM_BYTES));
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const UUID_CHARS = 36;
const HYPHEN = 0x2d;

/** Whether a text is a UUID of any version, in lower case. */
export function isUuid(text: string): boolean {
  if (text.length !== UUID_CHARS) return false;
  for (let at = 0; at < UUID_CHARS; at += 1) {
    const char = text.charCodeAt(at);
    const isExpected = at === 8 || at === 13 || at === 18 || at === 23 ? char === HYPHEN : isHexDigit(char);
    if (!isExpected) return false;
  }
  return true;
}

const isHexDigit = (char: number): boolean => (char >= 0x30 && char <= 0x39) || (char >= 0x61 && char <= 0x66);
