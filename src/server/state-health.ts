import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/**
 * How the writes of the state file go: counts those that fail, and says since a write failed for want of space, until one succeeds,
 * that the disk is full. The store tries by itself: its clock is written every 10 s at least, and each second once that is due.
 */
export class StateHealth {
  readonly #metrics: Metrics;
  #problem: string | null = null;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** A transaction was written, or why it was not. */
  readonly written = (failure: StoreFailure | null): void => {
    if (failure === null) this.#problem = null;
    else {
      this.#metrics.stateWriteFailures.of({ code: codeOf(failure) }).inc();
      if (failure.code === 'full') this.#problem = failure.detail;
    }
  };

  /** What keeps the state from being written; `null` where nothing does. */
  problem(): string | null {
    return this.#problem;
  }
}

const codeOf = ({ code }: StoreFailure): 'full' | 'busy' | 'broken' =>
  code === 'full' || code === 'busy' ? code : 'broken';
