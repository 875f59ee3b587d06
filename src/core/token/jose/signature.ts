import { type KeyObject, verify } from 'node:crypto';
import { algorithms, type SignatureAlgorithm } from './algorithms.ts';

/**
 * Verifies a signature with a public key and the key's only algorithm. Synchronous, on this thread: Web Crypto uses a third
 * more CPU (`test/bench/token.ts`), and awaiting it would let task state change between its check and the decision. Never
 * throws.
 */
export function isSigned(
  bytes: Uint8Array,
  signature: Uint8Array,
  { algorithm, key }: { readonly algorithm: SignatureAlgorithm; readonly key: KeyObject },
): boolean {
  const spec = algorithms.get(algorithm);
  try {
    return spec !== undefined && verify(spec.digest, bytes, { key, ...spec.form }, signature);
  } catch {
    // node:crypto throws if the key type does not match the algorithm.
    return false;
  }
}
