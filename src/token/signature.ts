import { type KeyObject, verify } from 'node:crypto';
import { algorithms, type SignatureAlgorithm } from './algorithms.ts';

/**
 * Whether a signature of some bytes holds with a public key, by the one algorithm that the key is for. At once and in this
 * thread: Web Crypto takes a third more of the processor for it, though of other threads, and would keep the state of a task from
 * being the last thing that is asked before a decision (`test/bench/token.ts`). Never throws.
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
    // node:crypto throws where a key is of another type than the algorithm.
    return false;
  }
}
