import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';

/**
 * Health of the writes to the state file. Counts failed writes, and reports a full disk from the first write that fails for lack of space
 * until a write succeeds. The store retries by itself: it writes its clock at least every 10 s, and each second once that is due.
 */
export class StateHealth {
  readonly #metrics: Metrics;
  #problem: string | null = null;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Notes a transaction: `null` if written, else why not. */
  readonly written = (failure: StoreFailure | null): void => {
    if (failure === null) this.#problem = null;
    else {
      this.#metrics.stateWriteFailures.of({ code: labelOf(failure) }).inc();
      if (failure.code === 'full') this.#problem = failure.detail;
    }
  };

  /** Why the state cannot be written; `null` if it can. */
  problem(): string | null {
    return this.#problem;
  }
}

const labelOf = ({ code }: StoreFailure): 'full' | 'busy' | 'broken' =>
  code === 'full' || code === 'busy' ? code : 'broken';
