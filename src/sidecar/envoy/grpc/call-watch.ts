import { LinkedQueue } from '../../../core/runtime/collections/linked-queue.ts';
import type { IncomingCheck } from '../check/check-call.ts';

/** What to do about slow calls. */
export interface CallWatchOptions {
  readonly monotonicMs: () => number;
  /** The deadline of an unanswered call has passed. */
  readonly onExpired: (call: IncomingCheck) => void;
  /** Too many calls wait for their clients; the oldest of them, given here, must end. */
  readonly onCrowdedOut: (call: IncomingCheck) => void;
  /** Most calls waiting for their clients, 16,384 by default; each takes about 1 KiB. */
  readonly maxWaiting?: number;
}

/** Polling interval, and therefore the most by which an answer at the deadline is late. */
const LOOK_MS = 10;
/** How long after its deadline an answered call may wait for its client to read or half-close. */
const TAKE_MS = 5_000;
/** Calls ended before yielding to others. */
const ENDS_AT_ONCE = 256;

/**
 * Times out open calls, with a shared polling timer that runs only while there are calls. Almost all end before the next poll, and a
 * timer per call would cost more than everything else done for it here.
 *
 * Bounds the calls that wait for their clients; the server bounds those that wait for an answer.
 *
 * Lifecycle: `add` each call, report when it is `asked` and when it `lingers`, and `delete` it once its stream is closed.
 */
export class CallWatch {
  readonly #options: Required<CallWatchOptions>;
  /** Calls whose clients have not half-closed, or not read the answer. */
  readonly #waiting = new LinkedQueue<IncomingCheck>();
  /** Calls that the server must answer. */
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

  /** The message of a call is complete. */
  asked(call: IncomingCheck): void {
    this.#asked.join(call.watched);
  }

  /** A call now waits for its client. */
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

  /** Ends late calls, up to a number. @returns how much of that number is left */
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
