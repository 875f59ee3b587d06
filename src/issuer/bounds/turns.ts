import type { After } from '../../runtime/timers.ts';
import { FairQueue } from './fair-queue.ts';

/** What waits for a turn: a request by its kind, or a connection that its handshake be begun. */
export type Lane = 'withdrawal' | 'handshake' | 'ordinary';

/** What the turns are given by. */
export interface TurnsOptions {
  readonly monotonicMs: () => number;
  readonly after: After;
  /** Whether checks come now, with which the event loop is shared. */
  readonly areChecksComing: () => boolean;
}

/** `late`: it waited too long. `gone`: nobody waited for it any more. */
export type TurnOutcome = 'turn' | 'late' | 'gone';

/** Who waits for a turn. */
interface Waiting {
  /** On the monotonic clock; `Infinity` for one that is never too late. */
  readonly joinedMs: number;
  readonly settle: (outcome: TurnOutcome) => void;
  readonly isGone: () => boolean;
}

interface LaneState {
  /** What a turn costs where that cannot be seen when it is over; `null` where it can. */
  readonly fixedMs: number | null;
  readonly queue: FairQueue<Waiting>;
  /** When it may have a turn again while checks come, on the monotonic clock. */
  notBeforeMs: number;
}

/** Of the time of the event loop, for each lane while checks come. */
const SHARE = 0.1;
/** Of a mutual handshake with P-256 certificates: 1.7 to 2.0 ms of processor time as measured, in two parts. */
const HANDSHAKE_MS = 2;
/** Whoever waits longer is told to come again, before its client gives up. */
const MAX_WAIT_MS = 10_000;
/** After one turn that took very long, such as a commit on a disk that hangs. */
const MAX_PAUSE_MS = 1_000;
/** So many that waited too long are told so in one turn. */
const MAX_LATE = 8;

/**
 * The order in which the issuer works: one request in a turn of the event loop, withdrawals first, then handshakes, then all else, and
 * in each of these lanes the clients one after the other, however much one of them asks. Between two turns the event loop
 * goes round, so whatever checks have arrived are decided. While checks come, each lane also pauses after its turn for nine times as long as that took:
 * a flood of one lane takes a tenth of the time, and one of all three leaves seven tenths to checks.
 *
 * A request that waits for something, such as a commit, goes on outside of its turn: before each further piece of work of about a
 * millisecond it waits for the next one (`next`).
 *
 * Bounded by who waits: a connection has one place, and its request too.
 */
export class Turns {
  readonly #options: TurnsOptions;
  readonly #lanes: Readonly<Record<Lane, LaneState>> = {
    withdrawal: laneOf(null),
    handshake: laneOf(HANDSHAKE_MS),
    ordinary: laneOf(null),
  };
  readonly #order = [this.#lanes.withdrawal, this.#lanes.handshake, this.#lanes.ordinary];
  #isScheduled = false;
  #cancelTimer: (() => void) | null = null;
  /** The turn under way, to be charged. */
  #current: { readonly lane: LaneState; readonly beganMs: number } | null = null;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /**
   * Waits for a turn. What follows at once, without waiting for anything, is what the turn is charged with.
   *
   * @param isGone whether nobody waits for it any more: it then costs no turn
   * @returns `late` where none came in 10 s, `gone` where nobody waited
   */
  wait(lane: Lane, client: string, isGone: () => boolean): Promise<TurnOutcome> {
    return new Promise((settle) => {
      this.#lanes[lane].queue.add(client, { joinedMs: this.#options.monotonicMs(), settle, isGone });
      this.#schedule();
    });
  }

  /**
   * Waits for a further turn of a request that had one. It comes before those of its client that had none, and always: whoever has
   * begun to write something ends it. What follows at once is what the turn is charged with.
   */
  next(lane: Exclude<Lane, 'handshake'>, client: string): Promise<void> {
    return new Promise((settle) => {
      this.#lanes[lane].queue.addFirst(client, { joinedMs: Infinity, settle: () => settle(), isGone: () => false });
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
    // INVARIANT: the two run one after the other, with the promises that the first settles in between, and nothing else.
    setImmediate(this.#run);
    setImmediate(this.#charge);
  }

  #pauseMs({ notBeforeMs }: LaneState): number {
    return this.#options.areChecksComing() ? Math.max(0, notBeforeMs - this.#options.monotonicMs()) : 0;
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
          this.#current = { lane, beganMs: nowMs };
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
      const costMs = lane.fixedMs ?? nowMs - beganMs;
      lane.notBeforeMs = nowMs + Math.min(MAX_PAUSE_MS, costMs * (1 / SHARE - 1));
    }
    this.#schedule();
  };
}

const laneOf = (fixedMs: number | null): LaneState => ({ fixedMs, queue: new FairQueue(), notBeforeMs: 0 });
