/** A UUID of version 4. @param bytes 16 random bytes */
export function uuidFrom(bytes: Uint8Array): string {
  const hex = Buffer.from(
    bytes.map((byte, at) => (at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte)),
  ).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
