/** Which bound of a replay memory stands against one more proof. */
export const PROOF_BOUNDS = ['key', 'agent', 'memory'] as const;
export type ProofBound = (typeof PROOF_BOUNDS)[number];

/** What a replay memory holds. */
export interface HeldProofs {
  readonly max: number;
  readonly size: number;
  /** Of the key that made the new proof. */
  readonly ofKey: number;
  /** Of the agent whose token the new proof is for. */
  readonly ofAgent: number;
}

/**
 * The bound that one more proof would exceed; `null` where there is room. An agent may hold as many proofs as there is room left,
 * a key half as many: so one agent alone has at most a half of the memory and one key a third, two agents a third each, and
 * whoever comes next always finds room.
 *
 * @see Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998
 */
export function exceededBound({ max, size, ofKey, ofAgent }: HeldProofs): ProofBound | null {
  const free = max - size;
  if (free <= 0) return 'memory';
  if (ofAgent >= free) return 'agent';
  return ofKey >= free / 2 ? 'key' : null;
}
