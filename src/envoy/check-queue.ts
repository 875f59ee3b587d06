import { LinkedQueue, type QueueNode } from '../runtime/linked-queue.ts';

/** A check that waits for its turn. */
export interface QueuedCheck {
  /** When it was there, on the monotonic clock. */
  readonly arrivedMs: number;
  /** When its answer must be ready, on the same clock. */
  readonly deadlineMs: number;
}

/** What is done with checks. */
export interface CheckQueueOptions<C> {
  readonly monotonicMs: () => number;
  /** A turn of checks begins. INVARIANT: whatever has arrived by then arrived before what is asked from now on is answered. */
  readonly onTurn: () => void;
  /** The turn of some checks has come, at least one. They are answered together. */
  readonly run: (checks: readonly C[]) => void;
  /** It is answered without being decided. */
  readonly shed: (check: C) => void;
  /** A turn is over: answers that have not gone out are to go. */
  readonly onTurnOver: () => void;
}

/**
 * So many checks are answered together at most, and as should take so long at most: what they spend is one write, and the proxy works
 * on their answers while the next are decided.
 */
const MAX_TOGETHER = 8;
const TOGETHER_MS = 4;
/** Checks of one turn of the event loop: so long what else there is waits for them. The longer one is for what a turn has left behind. */
const SLICE_MS = 0.5;
const MAX_SLICE_MS = 50;
/** So many times as long as all else took since that turn: else refusing what is too much would take the time of the rest. */
const SHARE = 9;
/** Where no turn has come to the end of the queue for so long, more checks come than can be decided. */
const STANDING_MS = 100;

/**
 * The order in which checks are decided. They begin after everything else that the event loop has: whatever arrived with them,
 * the ends and revocations of tasks among it, and the commits of the ledger are dealt with before, and again after each half millisecond of
 * checks, or those that are answered together, or up to 50 ms where more come than are decided at once. So a wait here is the delay of the event loop. A check is shed
 * once its deadline has come; and where no turn has come to the end of the queue for 100 ms, once half of its time has gone by,
 * so that the others are decided in good time and not all of them just too late. One that nobody waits for any more leaves its
 * place, and costs nothing from then on. The caller bounds how many wait.
 *
 * @see RFC 8289
 */
export class CheckQueue<C extends QueuedCheck> {
  readonly #options: CheckQueueOptions<C>;
  readonly #waiting = new LinkedQueue<C>();
  #isScheduled = false;
  /** What each of the last that were decided took. */
  #eachMs = TOGETHER_MS;
  /** Since when turns have left checks behind. */
  #standingSinceMs: number | null = null;
  /** When the last turn that left some behind was over. */
  #endedMs = 0;

  constructor(options: CheckQueueOptions<C>) {
    this.#options = options;
  }

  /** How many wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Adds a check, at a place that it leaves where nobody waits for it any more. */
  add(place: QueueNode<C>): void {
    this.#waiting.join(place);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const { monotonicMs, onTurn, onTurnOver, run } = this.#options;
    const beganMs = monotonicMs();
    const untilMs = beganMs + this.#sliceMs(beganMs);
    onTurn();
    for (let nowMs = beganMs; this.#waiting.length > 0 && nowMs < untilMs;) {
      const checks = this.#next(nowMs);
      if (checks.length > 0) run(checks);
      const tookMs = monotonicMs() - nowMs;
      if (checks.length > 0) this.#eachMs = tookMs / checks.length;
      nowMs += tookMs;
    }
    onTurnOver();
    if (this.#waiting.length === 0) {
      this.#standingSinceMs = null;
      this.#isScheduled = false;
      return;
    }
    this.#standingSinceMs ??= beganMs;
    this.#endedMs = monotonicMs();
    setImmediate(this.#turn);
  };

  /** Those that are decided next; of what is too late a few are shed. */
  #next(nowMs: number): readonly C[] {
    const together = Math.max(1, Math.min(MAX_TOGETHER, TOGETHER_MS / this.#eachMs));
    const checks: C[] = [];
    for (let shed = 0; checks.length + 1 <= together && shed < MAX_TOGETHER;) {
      const check = this.#waiting.shift();
      if (check === undefined) break;
      if (this.#isTooLate(check, nowMs)) {
        this.#options.shed(check);
        shed += 1;
      } else checks.push(check);
    }
    return checks;
  }

  #sliceMs(nowMs: number): number {
    if (this.#standingSinceMs === null) return SLICE_MS;
    return Math.min(MAX_SLICE_MS, Math.max(SLICE_MS, SHARE * (nowMs - this.#endedMs)));
  }

  #isStanding(nowMs: number): boolean {
    return this.#standingSinceMs !== null && nowMs - this.#standingSinceMs > STANDING_MS;
  }

  #isTooLate({ arrivedMs, deadlineMs }: QueuedCheck, nowMs: number): boolean {
    return nowMs >= (this.#isStanding(nowMs) ? (arrivedMs + deadlineMs) / 2 : deadlineMs);
  }
}
