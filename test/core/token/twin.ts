const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * The second valid ES256 token with the same header and claims, which any holder can derive: its signature is (r, n-s). A text
 * that does not end in 64 bytes is returned unchanged.
 */
export function twinOf(compact: string): string {
  const at = compact.lastIndexOf('.') + 1;
  const signature = Buffer.from(compact.slice(at), 'base64url');
  if (signature.length !== 64) return compact;
  const s = P256_ORDER - BigInt(`0x${signature.subarray(32).toString('hex')}`);
  const twin = Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  return compact.slice(0, at) + twin.toString('base64url');
}
