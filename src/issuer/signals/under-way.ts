import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type { SignalEffect } from './effects.ts';

/** A signal that was taken. */
export interface TakenSignal {
  readonly kind: 'taken';
  /** Whether it was taken before: then nothing was done. */
  readonly isReplay: boolean;
  readonly effect: SignalEffect;
  /** How many open tasks it was about. */
  readonly tasks: number;
}

type Outcome = TakenSignal | StoreFailure;

/**
 * What is being done of signals, by the key of each: one that is sent again before that is over waits for the same result, so that it
 * has its effect once. It holds as many as there are requests under way.
 */
export class SignalsUnderWay {
  readonly #underWay = new Map<string, Promise<Outcome>>();

  /** Does the work, or joins that of the same key. `isJoined` says which. */
  async once(
    key: string,
    work: () => Promise<Outcome>,
  ): Promise<{ readonly result: Outcome; readonly isJoined: boolean }> {
    const joined = this.#underWay.get(key);
    if (joined !== undefined) return { result: await joined, isJoined: true };
    const begun = work().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, begun);
    return { result: await begun, isJoined: false };
  }
}
