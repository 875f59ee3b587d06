import { status } from '@grpc/grpc-js';
import type { AuthorityCalls } from '../../core/fleet/messages.ts';
import type { Clocks } from '../../core/runtime/ports.ts';
import { ProofMemory } from '../../core/token/proof/proof-memory.ts';
import type { CallRefusal } from './calls.ts';
import type { SidecarRights } from './authorize.ts';
import { MAX_BATCH } from '../../core/fleet/message-bounds.ts';

/** Proofs remembered for all sidecars, of which an identity gets at most four fifths: enough for 6,600 a second. About 150 MB. */
const MAX_PROOFS = 500_000;
/** Longest name of an agent, an issuer with its client. */
const MAX_AGENT = 4_096;
const MAX_TEXT = 512;

/** Options of the memory. */
export interface ProofUsesOptions {
  /** How long after its `iat` a proof is accepted by sidecars. */
  readonly pastSeconds: number;
  readonly clocks: () => Pick<Clocks, 'wallMs' | 'floorMs'>;
  /** Whether an identity may use that many proofs now. */
  readonly admits: (rights: SidecarRights, count: number) => boolean;
}

/**
 * The replay memory for DPoP proofs of all sidecars of an authority: a proof used at one sidecar is refused at the others. Kept in memory
 * only, so proofs from before its start are refused.
 *
 * @see RFC 9449 section 11.1
 */
export class ProofUses {
  readonly #options: ProofUsesOptions;
  readonly #memory: ProofMemory;

  constructor(options: ProofUsesOptions) {
    const { pastSeconds, clocks } = options;
    const { wallMs, floorMs } = clocks();
    this.#options = options;
    this.#memory = new ProofMemory({ pastSeconds, max: MAX_PROOFS, startedAtMs: Math.max(wallMs, floorMs) });
  }

  /** Uses proofs up. */
  use({ proofs }: AuthorityCalls['UseProofs'][0], rights: SidecarRights): AuthorityCalls['UseProofs'][1] | CallRefusal {
    if (proofs.length > MAX_BATCH) return invalid(`at most ${MAX_BATCH} proofs a call`);
    const isSound = proofs.every(
      ({ thumbprint, proof_id, agent }) => isText(thumbprint) && isText(proof_id) && isText(agent, MAX_AGENT),
    );
    if (!isSound) return invalid('a proof has no key, id or agent, or a value that is too long');
    if (!this.#options.admits(rights, proofs.length)) {
      return { code: status.RESOURCE_EXHAUSTED, details: 'too many proofs' };
    }
    const clocks = this.#options.clocks();
    const reasons = proofs.map(({ thumbprint, proof_id: proofId, issued_at_s: issuedAtSeconds, agent }) => {
      const refused = this.#memory.use(
        { thumbprint, proofId, issuedAtSeconds },
        { agent, clocks, sidecar: rights.peer },
      );
      return refused?.reason ?? '';
    });
    return { reasons };
  }
}

const isText = (text: string, max = MAX_TEXT): boolean => text.length > 0 && text.length <= max;
const invalid = (details: string): CallRefusal => ({ code: status.INVALID_ARGUMENT, details });
