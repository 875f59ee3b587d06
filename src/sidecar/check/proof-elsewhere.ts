import { isDeny } from '../../core/decision/decision.ts';
import type { ReadCheck } from './read.ts';
import type { CheckServices } from './services.ts';

/**
 * Asks whether the proof of a check was used at another process, if processes share their memory of proofs. Resolves with the check, whose
 * proof is refused if it was. `null` if there is nothing to ask.
 */
export function withNewProof({ proofs }: Pick<CheckServices, 'proofs'>, read: ReadCheck): Promise<ReadCheck> | null {
  const { presented } = read.reading;
  const { proof } = presented;
  const asked = proof === null || isDeny(proof) ? null : (proofs.usedElsewhere?.(proof) ?? null);
  if (asked === null) return null;
  return asked.then((refused) =>
    refused === null ? read : { ...read, reading: { ...read.reading, presented: { ...presented, proof: refused } } },
  );
}
