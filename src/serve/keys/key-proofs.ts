import { keyProofOf, keyProofProblem } from '../../core/identity/key-proof.ts';
import type { Svid, SvidSource } from '../../core/identity/svid.ts';
import type { KeyProofs, SharedKey } from '../../core/state/shared-keys.ts';

/** How long a key from before the proofs is accepted after it was published: as long as a key is in use. */
const KEPT_BEFORE_MS = 25 * 3_600_000;

/**
 * Proves the keys of this authority by its SVID, and accepts a key as that of an authority only if a workload with the same
 * SPIFFE ID has published it.
 */
export function keyProofsOf(
  svid: Pick<SvidSource, 'current'>,
  { issuer, nowMs }: { readonly issuer: string; readonly nowMs: () => number },
): KeyProofs {
  let last: Svid | null = null;
  // An expired SVID still identifies the authorities.
  const known = (): Svid | null => (last = svid.current() ?? last);
  const said = ({ keyId, jwk }: Pick<SharedKey, 'keyId' | 'jwk'>): string => JSON.stringify([issuer, keyId, jwk]);
  return {
    prove: (key) => {
      const now = svid.current();
      return now === null ? null : keyProofOf(said(key), now);
    },
    problem: (key) => {
      const own = known();
      if (own === null) return 'cannot be verified: this authority has no SVID yet';
      const isOfBefore = key.wasBefore && key.proof === null && nowMs() - key.publishedAtMs < KEPT_BEFORE_MS;
      return isOfBefore ? null : keyProofProblem(said(key), key.proof, { svid: own, nowMs: nowMs() });
    },
  };
}
