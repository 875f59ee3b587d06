import { Worker } from 'node:worker_threads';
import { isProblem } from '../../../core/runtime/problem.ts';
import { after } from '../../../core/runtime/timers.ts';
import { programBeside } from '../../../core/runtime/system/program-beside.ts';
import type { Faults } from '../../../core/telemetry/faults.ts';
import type { Metrics } from '../../../core/telemetry/metrics/metrics.ts';
import type { IndexReport, IndexThreadInput } from './index-messages.ts';

/** One part is in memory at a time. A thread that needs more than this ends, and nothing else does. */
const LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 96 };

/** Records of a part: a quarter of the most, for which the thread needs a quarter of the memory. */
const PART_RECORDS = 16_384;

/** When an index is made. */
export interface IndexTiming {
  /** After the start, which it does not slow. Default 60 s. */
  readonly firstMs: number;
  /** Interval of checks whether there is enough to index. Default 30 s. */
  readonly everyMs: number;
  /** Pause after a failure. Default 10 minutes. */
  readonly retryMs: number;
}

const TIMING: IndexTiming = { firstMs: 60_000, everyMs: 30_000, retryMs: 600_000 };

/** How far records have grown: only the difference between two calls counts. */
export interface IndexedGrowth {
  readonly records: number;
  /** Segments that were closed. */
  readonly closed: number;
}

/** What an index needs. */
export interface IndexServices {
  readonly metrics: Metrics;
  readonly faults: Faults;
  readonly growth: () => IndexedGrowth;
  /** Default `TIMING`. */
  readonly timing?: Partial<IndexTiming> | undefined;
}

type State =
  | { readonly kind: 'resting'; readonly cancel: () => void }
  | { readonly kind: 'running'; readonly worker: Worker }
  | { readonly kind: 'closed' };

const NAMES = { ledger: 'ledger index', received: 'index of received records' } as const;

/**
 * Indexes a ledger or received records automatically: once after the start, after each closed segment, and whenever enough
 * records for a part have come. Each run is a thread of its own that ends afterwards, at low priority and at a quarter of its
 * speed, so that no check waits for it.
 *
 * Lifecycle: made once the records are open; `close` ends a run at once, whatever it does. What it left is made by the next.
 */
export class IndexThread {
  readonly #input: IndexThreadInput;
  readonly #services: IndexServices;
  readonly #timing: IndexTiming;
  /** The growth when the last run began; `null` if it failed, or there was none. */
  #begun: IndexedGrowth | null = null;
  #last: { readonly indexed: number; readonly left: number; readonly at: number } | null = null;
  #state: State;

  /** @param partRecords records of a part. Default 16,384 */
  constructor(
    { partRecords = PART_RECORDS, ...input }: Omit<IndexThreadInput, 'partRecords'> & { readonly partRecords?: number },
    services: IndexServices,
  ) {
    this.#input = { ...input, partRecords };
    this.#services = services;
    this.#timing = { ...TIMING, ...services.timing };
    this.#state = this.#resting(this.#timing.firstMs);
    services.metrics.beforeScrape(() => this.#measure());
  }

  /** Ends a run that is under way, without waiting for it. */
  async close(): Promise<void> {
    const state = this.#state;
    this.#state = { kind: 'closed' };
    if (state.kind === 'resting') state.cancel();
    if (state.kind === 'running') await state.worker.terminate();
  }

  #resting(pauseMs: number): State {
    return { kind: 'resting', cancel: after(pauseMs, () => this.#look()) };
  }

  #look(): void {
    this.#state = this.#isDue() ? { kind: 'running', worker: this.#run() } : this.#resting(this.#timing.everyMs);
  }

  #isDue(): boolean {
    const { records, closed } = this.#services.growth();
    const { partRecords } = this.#input;
    if (this.#begun === null) return true;
    return closed > this.#begun.closed || records - this.#begun.records >= partRecords;
  }

  #run(): Worker {
    const { growth } = this.#services;
    this.#begun = growth();
    let problem: string | null = null;
    const worker = new Worker(programBeside(import.meta.url, 'index-worker'), {
      workerData: this.#input,
      execArgv: [],
      resourceLimits: LIMITS,
    });
    worker.on('message', (report: IndexReport) => {
      if (isProblem(report)) problem = report.problem;
      else this.#last = { ...report, at: growth().records };
    });
    worker.once('error', (error) => {
      problem = `the thread failed: ${String(error)}`;
    });
    worker.once('exit', (code) => this.#ended(problem ?? (code === 0 ? null : `the thread exited with code ${code}`)));
    return worker;
  }

  #ended(problem: string | null): void {
    if (this.#state.kind === 'closed') return;
    const what = NAMES[this.#input.of];
    this.#services.faults.set(what, problem === null ? null : `${problem}: searches read what is not indexed`);
    if (problem !== null) this.#begun = null;
    this.#state = this.#resting(problem === null ? this.#timing.everyMs : this.#timing.retryMs);
  }

  #measure(): void {
    if (this.#last === null) return;
    const { of } = this.#input;
    const { indexed, left, at } = this.#last;
    const { ledgerIndex } = this.#services.metrics;
    ledgerIndex.of({ of, state: 'indexed' }).set(indexed);
    ledgerIndex.of({ of, state: 'left' }).set(left + this.#services.growth().records - at);
  }
}
