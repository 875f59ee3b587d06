import { FairQueue } from '../../../core/runtime/collections/fair-queue.ts';
import type { QueueNode } from '../../../core/runtime/collections/linked-queue.ts';

/** A check waiting for its turn. */
export interface QueuedCheck {
  /** The agent according to the proxy. Agents take turns. */
  readonly agent: string;
  /** When it arrived, monotonic. */
  readonly arrivedMs: number;
  /** When its answer must be ready, monotonic. */
  readonly deadlineMs: number;
}

/** What to do with checks. */
export interface CheckQueueOptions<C> {
  readonly monotonicMs: () => number;
  /** A turn begins. INVARIANT: everything that arrived before this point happened before any check of the turn is answered. */
  readonly onTurn: () => void;
  /** Answers a batch of checks, at least one, together. */
  readonly run: (checks: readonly C[]) => void;
  /** Refuses a check without deciding it: `late` to shed load, `deadline` if its time is over. */
  readonly shed: (check: C, cause: 'late' | 'deadline') => void;
  /** A turn is over: pending answers must be sent. */
  readonly onTurnOver: () => void;
}

/**
 * Most checks answered together, and the longest time that should take. Their spending is one write, and the proxy works on
 * their answers while the next batch is decided.
 */
const MAX_TOGETHER = 8;
const TOGETHER_MS = 4;
/**
 * Longest run of checks in one turn of the event loop, so that other work is not delayed. The longer limit applies while
 * earlier turns left checks behind.
 */
const SLICE_MS = 0.5;
const MAX_SLICE_MS = 50;
/**
 * A turn may last this many times as long as all other work since the previous turn; otherwise refusing the excess would starve
 * the rest.
 */
const SHARE = 9;
/** No turn has emptied the queue for this long, and so many checks waited meanwhile: more arrive than can be decided. */
const STANDING_MS = 100;
const STANDING_CHECKS = 4 * MAX_TOGETHER;

/**
 * The queue of checks. Checks run after all other work of the event loop: whatever arrived with them (such as ends and revocations of tasks)
 * and ledger commits are processed first, and again after each half millisecond of checks, each batch, or up to 50 ms under overload. The
 * wait here is therefore the event loop's delay. Overload control: a check is shed at its deadline; and once no turn has emptied the queue
 * for 100 ms and 32 checks waited, after half of its time, so that some are decided in time rather than all too late. A check whose client is
 * gone leaves the queue at once. Agents take turns, so that no agent makes the others wait. The caller bounds the length.
 *
 * @see RFC 8289
 */
export class CheckQueue<C extends QueuedCheck> {
  readonly #options: CheckQueueOptions<C>;
  readonly #waiting = new FairQueue<C>();
  #isScheduled = false;
  /** Average time of the checks decided last. */
  #eachMs = TOGETHER_MS;
  /** Since when turns have left checks behind. */
  #standingSinceMs: number | null = null;
  /** Most checks that waited at the end of a turn since then. A few that wait long are no overload: each takes long, as after a start. */
  #mostLeft = 0;
  /** When the previous turn ended, monotonic. */
  #endedMs = 0;

  constructor(options: CheckQueueOptions<C>) {
    this.#options = options;
  }

  /** Number of waiting checks. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Adds a check; its node leaves the queue when its answer is no longer awaited. */
  add(place: QueueNode<C>): void {
    this.#waiting.join(place, place.value.agent);
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
    this.#mostLeft = Math.max(this.#mostLeft, this.#waiting.length);
    if (this.#waiting.length === 0) {
      this.#standingSinceMs = null;
      this.#mostLeft = 0;
      this.#isScheduled = false;
      return;
    }
    this.#standingSinceMs ??= beganMs;
    this.#endedMs = monotonicMs();
    setImmediate(this.#turn);
  };

  /** The next batch of checks. Sheds at most `MAX_TOGETHER` late checks on the way. */
  #next(nowMs: number): readonly C[] {
    const together = Math.max(1, Math.min(MAX_TOGETHER, TOGETHER_MS / this.#eachMs));
    const checks: C[] = [];
    for (let shed = 0; checks.length + 1 <= together && shed < MAX_TOGETHER;) {
      const check = this.#waiting.shift();
      if (check === undefined) break;
      const late = this.#lateness(check, nowMs);
      if (late !== null) {
        this.#options.shed(check, late);
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
    const isLong = this.#mostLeft >= STANDING_CHECKS;
    return isLong && this.#standingSinceMs !== null && nowMs - this.#standingSinceMs > STANDING_MS;
  }

  #lateness({ arrivedMs, deadlineMs }: QueuedCheck, nowMs: number): 'late' | 'deadline' | null {
    if (nowMs >= deadlineMs) return this.#isStanding(nowMs) ? 'late' : 'deadline';
    return this.#isStanding(nowMs) && nowMs >= (arrivedMs + deadlineMs) / 2 ? 'late' : null;
  }
}
