import { isDeny, type Deny } from '../../decision/decision.ts';
import type { PresentedToken } from '../authorization-header.ts';
import type { Confirmation } from './confirmation.ts';
import type { ProofUse, ReplayMemory } from './proof-memory.ts';
import { type Proof, proofFrom, type ProvenRequest } from './proof.ts';

/** The request a token came with, and the replay memory for its proof. */
export interface PossessionOptions extends Omit<ProvenRequest, 'accessToken' | 'nowMs'>, ProofUse {
  readonly memory: ReplayMemory;
}

/**
 * Verifies the proof of possession that came with a token and uses it up. `null` if the token was sent as `Bearer`, which
 * has no proof. Denies with `token.proof` if the proof is invalid or was used before, and with `token.replay-memory-full`. A
 * proof by another key than the token's is returned without being remembered, for `bindingProblem` to refuse; so only proofs by
 * the keys of valid tokens take memory. Called for every use of a token, never cached.
 *
 * @param values of the `DPoP` header as received
 */
export function possessionFrom(
  values: readonly string[],
  { scheme, token, confirmation }: Omit<PresentedToken, 'digest'> & { readonly confirmation: Confirmation | null },
  { memory, clocks, agent, ...request }: PossessionOptions,
): Proof | null | Deny {
  if (scheme !== 'DPoP') return null;
  const proof = proofFrom(values, { ...request, nowMs: clocks.wallMs, accessToken: token });
  if (isDeny(proof) || confirmation?.kind !== 'jkt' || confirmation.thumbprint !== proof.thumbprint) return proof;
  return memory.use(proof, { agent, clocks }) ?? proof;
}
