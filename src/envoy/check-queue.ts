/** A check that waits for its turn. */
export interface QueuedCheck {
  /** When it was there, on the monotonic clock. */
  readonly arrivedMs: number;
  /** When its answer must be ready, on the same clock. */
  readonly deadlineMs: number;
  /** Nobody waits for it any more. */
  readonly isOver: boolean;
  /** Its turn has come. */
  readonly run: () => void;
  /** It is answered without being decided. */
  readonly shed: () => void;
}

/** Checks of one turn of the event loop: so long what else there is waits for them. */
const SLICE_MS = 5;
/** Where no turn has come to the end of the queue for so long, more checks come than can be decided. */
const STANDING_MS = 100;

/**
 * The order in which checks are decided. They begin after everything else that the event loop has: whatever arrived with them,
 * the ends and revocations of tasks among it, and the commits of the ledger are dealt with before, and again after each 5 ms of
 * checks. So a wait here is the delay of the event loop. A check is shed once its deadline has come; and where no turn has come to
 * the end of the queue for 100 ms, once half of its time has gone by, so that the others are decided in good time and not
 * all of them just too late. The caller bounds how many wait.
 *
 * @see RFC 8289
 */
export class CheckQueue {
  readonly #monotonicMs: () => number;
  readonly #waiting: QueuedCheck[] = [];
  #isScheduled = false;
  /** Since when turns have left checks behind. */
  #standingSinceMs: number | null = null;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Adds a check. */
  add(check: QueuedCheck): void {
    this.#waiting.push(check);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => void this.#decide();

  async #decide(): Promise<void> {
    const beganMs = this.#monotonicMs();
    for (let nowMs = beganMs; this.#waiting.length > 0 && nowMs - beganMs < SLICE_MS; nowMs = this.#monotonicMs()) {
      const check = this.#waiting.shift();
      if (check === undefined || check.isOver) continue;
      if (this.#isTooLate(check, nowMs)) check.shed();
      else {
        check.run();
        // What it goes on with at once after it waited for something counts as its time.
        await Promise.resolve();
      }
    }
    if (this.#waiting.length === 0) {
      this.#standingSinceMs = null;
      this.#isScheduled = false;
      return;
    }
    this.#standingSinceMs ??= beganMs;
    setImmediate(this.#turn);
  }

  #isTooLate({ arrivedMs, deadlineMs }: QueuedCheck, nowMs: number): boolean {
    const isStanding = this.#standingSinceMs !== null && nowMs - this.#standingSinceMs > STANDING_MS;
    return nowMs >= (isStanding ? (arrivedMs + deadlineMs) / 2 : deadlineMs);
  }
}
