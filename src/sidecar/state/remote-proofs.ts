import { deny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import type { ProofMessage } from '../../core/fleet/messages.ts';
import { stateUnavailable } from '../../core/decision/unavailable.ts';
import { storeFailure } from '../../core/runtime/store-failure.ts';
import { replayMemoryFull } from '../../core/token/proof/proof-memory.ts';
import type { ProofUse, ReplayMemory } from '../../core/token/proof/proof-memory.ts';
import type { Proof } from '../../core/token/proof/proof.ts';
import type { AnswerTime } from './answer-time.ts';
import type { AuthorityLink } from './authority-link.ts';

/** Most proofs of a request, and of all that wait. */
const MAX_BATCH = 256;
const MAX_WAITING = 16_384;

interface PendingProof {
  readonly proof: ProofMessage;
  readonly resolve: (refused: Deny | null) => void;
}

/**
 * Uses DPoP proofs up at the authority, the proofs of a turn in a single request. A proof without an answer in time is denied; it may count
 * as used.
 */
export class RemoteProofs {
  readonly #links: () => readonly AuthorityLink[];
  readonly #answerTime: AnswerTime;
  /** What a local memory has just used up. */
  readonly #uses = new WeakMap<Proof, ProofUse>();
  #queued: PendingProof[] = [];
  #waiting = 0;

  constructor(links: () => readonly AuthorityLink[], answerTime: AnswerTime) {
    this.#links = links;
    this.#answerTime = answerTime;
  }

  /** A memory whose proofs can be asked for. It alone refuses what was used at this sidecar before. */
  over(memory: ReplayMemory): ReplayMemory {
    return {
      use: (proof, of) => {
        const refused = memory.use(proof, of);
        if (refused === null) this.#uses.set(proof, of);
        return refused;
      },
    };
  }

  /** Uses up a proof that the memory has just taken: why it is refused. `null` at once if the memory has not taken it. */
  usedElsewhere(proof: Proof): Promise<Deny | null> | null {
    const use = this.#uses.get(proof);
    if (use === undefined) return null;
    const { thumbprint, proofId, issuedAtSeconds } = proof;
    return this.#use({ thumbprint, proof_id: proofId, issued_at_s: issuedAtSeconds, agent: use.agent });
  }

  #use(proof: ProofMessage): Promise<Deny | null> {
    if (this.#waiting >= MAX_WAITING) return Promise.resolve(unknown('too many proofs wait for an authority'));
    this.#waiting += 1;
    return new Promise((resolve) => {
      if (this.#queued.push({ proof, resolve }) === 1) queueMicrotask(() => this.#flush());
    });
  }

  #flush(): void {
    const queued = this.#queued;
    this.#queued = [];
    for (let from = 0; from < queued.length; from += MAX_BATCH) void this.#ask(queued.slice(from, from + MAX_BATCH));
  }

  async #ask(waiting: readonly PendingProof[]): Promise<void> {
    const [link] = this.#links();
    const request = { proofs: waiting.map(({ proof }) => proof) };
    const reply =
      link === undefined
        ? { problem: 'no authority can be reached' }
        : await this.#answerTime.measured((boundMs) => link.call('UseProofs', request, boundMs));
    this.#waiting -= waiting.length;
    waiting.forEach(({ resolve }, at) => {
      const reason = 'problem' in reply ? undefined : reply.reasons[at];
      resolve(
        reason === ''
          ? null
          : (refusals.get(reason ?? '') ?? unknown('problem' in reply ? reply.problem : 'no answer')),
      );
    });
  }
}

/** The refusals of an authority, by their reasons. */
const refusals: ReadonlyMap<string, Deny> = new Map([
  [
    'token.proof',
    deny('token.proof', 'the proof was used before, or is older than the replay memory of the authority'),
  ],
  ['token.replay-memory-full', replayMemoryFull('memory')],
]);

const unknown = (why: string): Deny =>
  stateUnavailable(storeFailure('busy', `whether the proof is new is unknown: ${why}`));
