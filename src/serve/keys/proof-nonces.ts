import type { Config } from '../../core/config/config.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { ProofNonces } from '../../core/token/proof/proof-nonce.ts';

const KEY_BYTES = 32;

/** The nonces of a role under a new key; `undefined` if proofs need no nonce. */
export const proofNoncesFor = (
  { extAuthz: { proofNonces } }: Pick<Config, 'extAuthz'>,
  { randomBytes, monotonicMs }: Pick<Ports, 'randomBytes' | 'monotonicMs'>,
): ProofNonces | undefined =>
  proofNonces === 'required' ? new ProofNonces(randomBytes(KEY_BYTES), monotonicMs) : undefined;
