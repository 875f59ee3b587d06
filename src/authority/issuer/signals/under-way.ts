import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { SignalEffect } from './effects.ts';

/** A processed signal. */
export interface TakenSignal {
  readonly kind: 'taken';
  /** Whether it is a duplicate, which has no effect. */
  readonly isReplay: boolean;
  readonly effect: SignalEffect;
  /** Number of open tasks it is about. */
  readonly tasks: number;
}

type SignalResult = TakenSignal | StoreFailure;

/**
 * Deduplicates concurrent deliveries of a signal: a duplicate waits for the result of the first. Bounded by the number of
 * requests under way.
 */
export class SignalsUnderWay {
  readonly #underWay = new Map<string, Promise<SignalResult>>();

  /** Runs the work, or waits for the running work with the same key (`isJoined`). */
  async once(
    key: string,
    work: () => Promise<SignalResult>,
  ): Promise<{ readonly result: SignalResult; readonly isJoined: boolean }> {
    const joined = this.#underWay.get(key);
    if (joined !== undefined) return { result: await joined, isJoined: true };
    const begun = work().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, begun);
    return { result: await begun, isJoined: false };
  }
}
