/** Shares the room of a replay memory between agents and keys, so that none can fill it. */

/** The limit that refuses a proof. */
export const PROOF_BOUNDS = ['key', 'agent', 'memory'] as const;
/** One of `PROOF_BOUNDS`. */
export type ProofBound = (typeof PROOF_BOUNDS)[number];

/** The occupancy of a replay memory. */
export interface HeldProofs {
  readonly max: number;
  readonly size: number;
  /** Proofs of the key that made the new proof. */
  readonly ofKey: number;
  /** Proofs of the agent whose token the new proof is for. */
  readonly ofAgent: number;
  /** Proofs that the sidecar has asked for, for all agents it named; 0 if no sidecar asks. */
  readonly ofSidecar: number;
}

/**
 * The limit that a further proof would exceed; `null` if there is room. Dynamic thresholds: an agent may hold as many proofs
 * as there is free room, a key half as many. One agent alone gets at most half of the memory (one key a third), two agents a
 * third each, and a newcomer always finds room. A sidecar, which can name any agent and key, may hold four times as
 * many as there is free room, whatever it names: alone four fifths.
 *
 * @see Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998
 */
export function exceededBound({ max, size, ofKey, ofAgent, ofSidecar }: HeldProofs): ProofBound | null {
  const free = max - size;
  if (free <= 0 || ofSidecar >= 4 * free) return 'memory';
  if (ofAgent >= free) return 'agent';
  return ofKey >= free / 2 ? 'key' : null;
}
