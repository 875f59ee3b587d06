/**
 * Decodes canonical base64: padded, no foreign characters, no non-zero trailing bits, so that each value has one spelling.
 * `null` for any other text.
 *
 * @see RFC 4648 sections 3.5 and 4
 */
export function bytesFromBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

/** Encodes bytes as padded base64. */
export const base64Of = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');
