/**
 * Decodes canonical base64url: no padding, no foreign characters, no non-zero trailing bits, so that each value has one
 * spelling. `null` for any other text.
 *
 * @see RFC 4648 section 3.5, RFC 7515 section 2
 */
export function bytesFromBase64url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

/** Length of a SHA-256 digest in base64url, in characters. */
export const SHA256_BASE64URL_CHARACTERS = 43;

/** Whether the text is a SHA-256 digest in canonical base64url: 43 characters, 32 bytes. */
export const isSha256Base64url = (text: string): boolean =>
  text.length === SHA256_BASE64URL_CHARACTERS && bytesFromBase64url(text) !== null;
