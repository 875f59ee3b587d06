import type { CheckCall } from './check-call.ts';

/** What is done about calls that dawdle. */
export interface CallWatchOptions {
  readonly monotonicMs: () => number;
  /** The deadline of a call has come, and it was not answered. */
  readonly onExpired: (call: CheckCall) => void;
}

/** How often calls are looked at: so much later than its deadline one is answered, at most. */
const LOOK_MS = 10;
/** How long after its deadline a call is left alone that was answered, and whose client does not take that or end its part. */
const TAKE_MS = 5_000;

/**
 * Looks after the calls that are open, with one timer for all, which runs only where there are some: nearly all are over before it
 * looks, and a timer of its own would cost each of them more than all else that is done for it here.
 *
 * Lifecycle: `add` each call, `delete` it once its stream is closed; nothing is left to end then.
 */
export class CallWatch {
  readonly #options: CallWatchOptions;
  readonly #open = new Set<CheckCall>();
  #isLooking = false;

  constructor(options: CallWatchOptions) {
    this.#options = options;
  }

  add(call: CheckCall): void {
    this.#open.add(call);
    if (!this.#isLooking) this.#lookLater();
  }

  delete(call: CheckCall): void {
    this.#open.delete(call);
  }

  #lookLater(): void {
    this.#isLooking = true;
    setTimeout(this.#look, LOOK_MS).unref();
  }

  readonly #look = (): void => {
    const nowMs = this.#options.monotonicMs();
    for (const call of this.#open) {
      if (nowMs >= call.deadlineMs && !call.isOver) this.#options.onExpired(call);
      else if (nowMs >= call.deadlineMs + TAKE_MS) call.cut();
    }
    this.#isLooking = false;
    if (this.#open.size > 0) this.#lookLater();
  };
}
