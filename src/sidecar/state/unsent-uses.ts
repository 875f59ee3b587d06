import type { GiveBackReply, UseMessage } from '../../core/fleet/messages.ts';
import type { After } from '../../core/runtime/timers.ts';
import { storeFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { AuthorityLink, CallProblem } from './authority-link.ts';
import { batchesOf } from './settle-batches.ts';

/** Longest wait for an answer. No check waits for it. */
const ANSWER_MS = 5_000;
/** Waits before it is asked again: an authority that answered a check too late may settle its use later still. 31 s in all. */
const PAUSES_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000];
/** Most uses that wait. What is beyond it stays taken. */
const MAX_WAITING = 4_096;

/** Options of giving back. */
export interface UnsentUsesOptions {
  readonly instance: string;
  /** Connections to authorities, the preferred first. */
  readonly links: () => readonly Pick<AuthorityLink, 'call'>[];
  readonly after: After;
}

interface PendingReturn {
  readonly use: UseMessage;
  readonly resolve: (given: boolean | StoreFailure) => void;
  tries: number;
}

/**
 * Asks an authority to give back what uses took, if their calls were not sent: the uses of a turn in a single request. Retried if
 * the authority cannot be reached, or has not settled the use yet. If all retries fail, the use stays taken: a budget runs out
 * early, never late.
 */
export class UnsentUses {
  readonly #options: UnsentUsesOptions;
  #queued: PendingReturn[] = [];
  #waiting = 0;

  constructor(options: UnsentUsesOptions) {
    this.#options = options;
  }

  /** Gives whether it was given back. */
  giveBack(use: UseMessage): Promise<boolean | StoreFailure> {
    if (this.#waiting >= MAX_WAITING)
      return Promise.resolve(storeFailure('busy', 'too many uses wait to be given back'));
    this.#waiting += 1;
    return new Promise((resolve) => this.#enqueue({ use, resolve, tries: 0 }));
  }

  #enqueue(waiting: PendingReturn): void {
    if (this.#queued.push(waiting) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const queued = this.#queued;
    this.#queued = [];
    for (const batch of batchesOf(queued)) void this.#ask(batch);
  }

  async #ask(batch: readonly PendingReturn[]): Promise<void> {
    const { instance } = this.#options;
    const reply = await this.#answerTo({ instance, uses: batch.map(({ use }) => use) }, batch[0]?.tries ?? 0);
    batch.forEach((waiting, at) => {
      if ('problem' in reply) return this.#again(waiting, storeFailure('busy', reply.problem));
      const problem = reply.uses[at]?.problem ?? 'no answer';
      if (problem === '') return this.#over(waiting, true);
      this.#again(waiting, problem === 'not-taken' ? false : storeFailure('busy', problem));
    });
  }

  /** Another authority is asked each time. */
  async #answerTo(
    request: { readonly instance: string; readonly uses: readonly UseMessage[] },
    tries: number,
  ): Promise<GiveBackReply | CallProblem> {
    const links = this.#options.links();
    const link = links[tries % Math.max(1, links.length)];
    return link === undefined ? { problem: 'no authority can be reached' } : link.call('GiveBack', request, ANSWER_MS);
  }

  #again(waiting: PendingReturn, result: false | StoreFailure): void {
    const pauseMs = PAUSES_MS[waiting.tries];
    if (pauseMs === undefined) return this.#over(waiting, result);
    waiting.tries += 1;
    this.#options.after(pauseMs, () => this.#enqueue(waiting));
  }

  #over({ resolve }: PendingReturn, result: boolean | StoreFailure): void {
    this.#waiting -= 1;
    resolve(result);
  }
}
