import { LinkedQueue } from '../runtime/linked-queue.ts';
import type { IncomingCheck } from './check-call.ts';

/** What is done about calls that dawdle. */
export interface CallWatchOptions {
  readonly monotonicMs: () => number;
  /** The deadline of a call has come, and it was not answered. */
  readonly onExpired: (call: IncomingCheck) => void;
  /** More calls wait for their clients than may, and this one has for longest: it is to be over. */
  readonly onCrowdedOut: (call: IncomingCheck) => void;
  /** Calls that may wait for their clients at once, 16,384 by default: each takes about a kibibyte. */
  readonly maxWaiting?: number;
}

/** How often calls are looked at: so much later than its deadline one is answered, at most. */
const LOOK_MS = 10;
/** How long after its deadline a call is left alone that was answered, and whose client does not take that or end its part. */
const TAKE_MS = 5_000;
/** After so many that had to be ended, all else gets its turn. */
const ENDS_AT_ONCE = 256;

/**
 * Looks after the calls that are open, with one timer for all, which runs only where there are some: nearly all are over before it
 * looks, and a timer of its own would cost each of them more than all else that is done for it here.
 *
 * Those whose clients are waited for are bounded here, since nobody else bounds them; those that wait to be answered are by the server.
 *
 * Lifecycle: `add` each call, say when it is `asked` and when it `lingers`, and `delete` it once its stream is closed; nothing is
 * left to end then.
 */
export class CallWatch {
  readonly #options: Required<CallWatchOptions>;
  /** Their clients have not said all, or not taken the answer. */
  readonly #waiting = new LinkedQueue<IncomingCheck>();
  /** It is for the server to answer them. */
  readonly #asked = new LinkedQueue<IncomingCheck>();
  #isLooking = false;

  constructor(options: CallWatchOptions) {
    this.#options = { maxWaiting: 16_384, ...options };
  }

  /** A call has begun. */
  add(call: IncomingCheck): void {
    this.lingers(call);
    if (!this.#isLooking) this.#lookLater();
  }

  /** All of a call is there. */
  asked(call: IncomingCheck): void {
    this.#asked.join(call.watched);
  }

  /** Its client is waited for. */
  lingers(call: IncomingCheck): void {
    this.#waiting.join(call.watched);
    if (this.#waiting.length <= this.#options.maxWaiting) return;
    const oldest = this.#waiting.shift();
    if (oldest !== undefined) this.#options.onCrowdedOut(oldest);
  }

  delete(call: IncomingCheck): void {
    call.watched.leave();
  }

  #lookLater(): void {
    this.#isLooking = true;
    setTimeout(this.#look, LOOK_MS).unref();
  }

  readonly #look = (): void => {
    const nowMs = this.#options.monotonicMs();
    const left = this.#endLate(this.#asked, { nowMs, max: ENDS_AT_ONCE });
    if (left > 0 && this.#endLate(this.#waiting, { nowMs, max: left }) > 0) {
      this.#isLooking = false;
      if (this.#waiting.length + this.#asked.length > 0) this.#lookLater();
    } else setImmediate(this.#look);
  };

  /** Ends what is late, so many at most. @returns how many less than that it were */
  #endLate(
    calls: LinkedQueue<IncomingCheck>,
    { nowMs, max }: { readonly nowMs: number; readonly max: number },
  ): number {
    let left = max;
    for (const call of calls) {
      if (nowMs >= call.deadlineMs && !call.isOver) this.#options.onExpired(call);
      else if (nowMs >= call.deadlineMs + TAKE_MS) call.cut();
      else continue;
      left -= 1;
      if (left === 0) break;
    }
    return left;
  }
}
