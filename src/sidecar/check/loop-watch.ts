/** The parts of a check that hold the event loop, in order: between two of them, others may run. */
export type CheckStage = 'decode' | 'read' | 'decide' | 'answer' | 'report';

/**
 * How long a part of a check may hold the event loop, in milliseconds, before it is reported. No valid call of 64 KiB takes a
 * fifth of it.
 */
export const LONG_TURN_MS = 50;

/** A part of a check held the event loop too long. */
export interface LongTurn {
  readonly stage: CheckStage;
  readonly tookMs: number;
  /** `null` if the check has none yet, or failed. */
  readonly decisionId: string | null;
  /** Long turns since the last report, which were not reported. */
  readonly suppressed: number;
}

/** What a watch needs. */
export interface LoopWatchOptions {
  readonly monotonicMs: () => number;
  /** Counts each long turn. */
  readonly onLong: (stage: CheckStage) => void;
  /** Called with long turns, at most once a second: a client that causes a long turn can cause many. */
  readonly tell: (turn: LongTurn) => void;
}

const REPORT_EACH_MS = 1_000;
const WINDOW_MS = 60_000;

/**
 * Watches how long single checks hold the event loop. A stage that takes long names what is slow: `read` the content of the call, `decide`
 * policies, `report` span and log.
 */
export class LoopWatch {
  readonly #options: LoopWatchOptions;
  #longest = { untilMs: -Infinity, nowMs: 0, beforeMs: 0 };
  #reportedMs = -Infinity;
  #suppressed = 0;

  constructor(options: LoopWatchOptions) {
    this.#options = options;
  }

  /** A part of a check took so long without yielding. */
  held(stage: CheckStage, tookMs: number, decisionId: string | null): void {
    const nowMs = this.#options.monotonicMs();
    this.#turnWindow(nowMs);
    this.#longest.nowMs = Math.max(this.#longest.nowMs, tookMs);
    if (tookMs <= LONG_TURN_MS) return;
    this.#options.onLong(stage);
    if (nowMs - this.#reportedMs < REPORT_EACH_MS) {
      this.#suppressed += 1;
      return;
    }
    const suppressed = this.#suppressed;
    this.#reportedMs = nowMs;
    this.#suppressed = 0;
    this.#options.tell({ stage, tookMs, decisionId, suppressed });
  }

  /** The longest part of a check in the last minute or two, in milliseconds. */
  get longestMs(): number {
    this.#turnWindow(this.#options.monotonicMs());
    return Math.max(this.#longest.nowMs, this.#longest.beforeMs);
  }

  #turnWindow(nowMs: number): void {
    const { untilMs, nowMs: longestMs } = this.#longest;
    if (nowMs < untilMs) return;
    const beforeMs = nowMs < untilMs + WINDOW_MS ? longestMs : 0;
    this.#longest = { untilMs: nowMs + WINDOW_MS, nowMs: 0, beforeMs };
  }
}
