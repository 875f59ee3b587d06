import { isDeny, type Deny } from '../decision/decision.ts';
import type { PresentedToken } from './authorization-header.ts';
import type { Confirmation } from './confirmation.ts';
import type { ProofUse, ReplayMemory } from './proof-memory.ts';
import { type Proof, proofFrom, type ProvenRequest } from './proof.ts';

/** The request a token came with, and where proofs are held to one use. */
export interface PossessionOptions extends Omit<ProvenRequest, 'accessToken' | 'nowMs'>, ProofUse {
  readonly memory: ReplayMemory;
}

/**
 * The proof of possession that came with a verified token, used up by this: `null` where the token was sent as `Bearer`,
 * which asks for none; `token.proof` where it is not valid or was used before; `token.replay-memory-full`. A proof by another key than the token's is
 * left unremembered for `bindingProblem` to refuse, so that the memory fills with valid proofs of their tokens' keys alone. For every
 * use of a token; its answer is never cached.
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
