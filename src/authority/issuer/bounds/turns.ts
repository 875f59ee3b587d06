import type { After } from '../../../core/runtime/timers.ts';
import { FairQueue } from '../../../core/runtime/collections/fair-queue.ts';
import { QueueNode } from '../../../core/runtime/collections/linked-queue.ts';

/** The queue of a piece of work: a request, by its kind, or the start of a TLS handshake. */
export type Lane = 'withdrawal' | 'handshake' | 'ordinary';

/** Dependencies of the scheduler. */
export interface TurnsOptions {
  readonly monotonicMs: () => number;
  readonly after: After;
  /** Whether checks arrive at present, which share the event loop. */
  readonly areChecksComing: () => boolean;
  /** Milliseconds that the event loop has been idle so far. Default: of this thread. */
  readonly idleMs?: () => number;
  /** The clock by which work is charged, in milliseconds: that of the processor leaves out what other programs took. Default `monotonicMs`. */
  readonly workMs?: () => number;
}

/** `turn`: start the work. `late`: it waited too long. `gone`: the client disconnected. */
export type TurnOutcome = 'turn' | 'late' | 'gone';

/** A waiting piece of work. */
interface PendingWork {
  /** On the monotonic clock; `Infinity` for work that is never late. */
  readonly joinedMs: number;
  readonly settle: (outcome: TurnOutcome) => void;
  readonly isGone: () => boolean;
}

interface LaneState {
  /** Assumed cost of a turn whose end cannot be observed; `null` if it is measured. */
  readonly fixedMs: number | null;
  readonly queue: FairQueue<PendingWork>;
  /** End of its pause while checks arrive, on the monotonic clock. */
  notBeforeMs: number;
}

/** Share of the event loop per lane while checks arrive and leave it no idle time. */
const SHARE = 0.1;
/** Idle time that is saved for later work: a burst that takes no more runs without a pause. */
const MAX_SPARE_MS = 20;
/** Cost of a mutual TLS handshake with P-256 certificates: measured 1.7 to 2.0 ms of CPU time, in two parts. */
const HANDSHAKE_MS = 2;
/** Longest wait; then the client is asked to retry, before it gives up. */
const MAX_WAIT_MS = 10_000;
/** Longest pause of a lane, such as after a commit on a stalled disk. */
const MAX_PAUSE_MS = 1_000;
/** Most `late` outcomes per turn. */
const MAX_LATE = 8;

/**
 * Schedules the issuer's work on the event loop that it shares with checks: a single piece of work per iteration; withdrawals first, then
 * handshakes, then ordinary requests; round robin over clients within each lane. Between two turns the event loop decides the checks that
 * have arrived. While checks arrive, work also needs idle time: the event loop must have been idle for as long as the work takes, so that it
 * takes at most half of the time that checks leave. A lane that lacks it pauses after a turn for nine times its duration: beside checks that
 * leave no idle time, a flood in a lane takes a tenth of the time, and a flood in all three leaves seven tenths to checks.
 *
 * A request that awaits something, such as a commit, continues outside of its turn. It must await `next` before each further piece of work of
 * about a millisecond.
 *
 * The queues are bounded by the number of connections and of their requests.
 */
export class Turns {
  readonly #options: TurnsOptions;
  readonly #lanes: Readonly<Record<Lane, LaneState>> = {
    withdrawal: laneOf(null),
    handshake: laneOf(HANDSHAKE_MS),
    ordinary: laneOf(null),
  };
  readonly #order = [this.#lanes.withdrawal, this.#lanes.handshake, this.#lanes.ordinary];
  readonly #idleMs: () => number;
  readonly #workMs: () => number;
  /** Idle time that no work has taken yet, as of `#idleSeenMs`; negative after work that took more. */
  #spareMs = 0;
  #idleSeenMs: number;
  #isScheduled = false;
  #cancelTimer: (() => void) | null = null;
  /** The current turn, to be charged to its lane. */
  #current: { readonly lane: LaneState; readonly beganMs: number } | null = null;

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#idleMs = options.idleMs ?? (() => performance.eventLoopUtilization().idle);
    this.#idleSeenMs = this.#idleMs();
    this.#workMs = options.workMs ?? options.monotonicMs;
  }

  /**
   * Waits for a turn. The synchronous work after it is charged to the lane.
   *
   * @param isGone whether the client has disconnected: then it takes no turn
   * @returns `late` after 10 s, `gone` if the client has disconnected
   */
  wait(lane: Lane, client: string, isGone: () => boolean): Promise<TurnOutcome> {
    return new Promise((settle) => {
      this.#lanes[lane].queue.join(new QueueNode({ joinedMs: this.#options.monotonicMs(), settle, isGone }), client);
      this.#schedule();
    });
  }

  /**
   * Waits for a further turn of a started request. It precedes the client's waiting requests and is never `late`, so that started
   * writes are completed. The synchronous work after it is charged to the lane.
   */
  next(lane: Exclude<Lane, 'handshake'>, client: string): Promise<void> {
    return new Promise((settle) => {
      const waiting = { joinedMs: Infinity, settle: () => settle(), isGone: () => false };
      this.#lanes[lane].queue.joinFirst(new QueueNode(waiting), client);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    const waiting = this.#order.filter(({ queue }) => queue.length > 0);
    if (waiting.length === 0) return;
    const pauseMs = Math.min(...waiting.map((lane) => this.#pauseMs(lane)));
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (pauseMs > 0) {
      this.#cancelTimer = this.#options.after(Math.ceil(pauseMs), () => this.#schedule());
      return;
    }
    this.#isScheduled = true;
    // INVARIANT: the two run in succession; between them run only the promise reactions that the first triggers.
    setImmediate(this.#run);
    setImmediate(this.#charge);
  }

  #pauseMs({ notBeforeMs }: LaneState): number {
    if (!this.#options.areChecksComing()) return 0;
    const pauseMs = Math.max(0, notBeforeMs - this.#options.monotonicMs());
    // At the earliest, once the event loop was idle for what is missing.
    return pauseMs === 0 ? 0 : Math.min(pauseMs, Math.max(0, -this.#spareNow()));
  }

  #spareNow(): number {
    const idleMs = this.#idleMs();
    this.#spareMs = Math.min(MAX_SPARE_MS, this.#spareMs + idleMs - this.#idleSeenMs);
    this.#idleSeenMs = idleMs;
    return this.#spareMs;
  }

  readonly #run = (): void => {
    const nowMs = this.#options.monotonicMs();
    let late = 0;
    for (const lane of this.#order) {
      if (this.#pauseMs(lane) > 0) continue;
      for (let next = lane.queue.shift(); next !== undefined; next = lane.queue.shift()) {
        if (next.isGone()) {
          next.settle('gone');
        } else if (nowMs - next.joinedMs <= MAX_WAIT_MS) {
          this.#current = { lane, beganMs: this.#workMs() };
          next.settle('turn');
          return;
        } else {
          next.settle('late');
          late += 1;
          if (late >= MAX_LATE) return;
        }
      }
    }
  };

  readonly #charge = (): void => {
    const nowMs = this.#options.monotonicMs();
    const current = this.#current;
    this.#current = null;
    this.#isScheduled = false;
    if (current !== null) {
      const { beganMs, lane } = current;
      const costMs = lane.fixedMs ?? this.#workMs() - beganMs;
      lane.notBeforeMs = nowMs + Math.min(MAX_PAUSE_MS, costMs * (1 / SHARE - 1));
      // What was done without idle time is paid by its pause: a lane owes its last turn at most.
      this.#spareMs = Math.max(-costMs, this.#spareNow() - costMs);
    }
    this.#schedule();
  };
}

const laneOf = (fixedMs: number | null): LaneState => ({ fixedMs, queue: new FairQueue(), notBeforeMs: 0 });
