/**
 * The bytes of canonical base64 text: padded, no foreign character, no non-zero trailing bits, so that one value has one
 * spelling. `null` where the text is anything else.
 *
 * @see RFC 4648 sections 3.5 and 4
 */
export function bytesFromBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

/** Bytes as base64 text, padded. */
export const base64Of = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');
