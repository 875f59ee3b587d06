/** Bytes as text, for a digest: as UTF-8 if they are that, otherwise in base64url. */
export function textOfBytes(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
