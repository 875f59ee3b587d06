import { after } from '../runtime/timers.ts';
import type { After } from '../runtime/timers.ts';
import { encodedRecord } from './encoded-record.ts';
import type { EncodedRecord } from './encoded-record.ts';
import type { LedgerRecord } from './record.ts';

/** Why a batch was not written. */
export interface AppendFailure {
  readonly code: string;
  readonly detail: string;
}

/** A record on its way into the ledger. */
export interface HandedRecord extends EncodedRecord {
  /** Its number in the outbox of the state file, if it comes from there: the ledger takes no number twice. */
  readonly outbox?: number;
}

/** Where records go. */
export interface RecordSink {
  /**
   * Writes the batch whole and durably, or not at all. An empty batch is a probe: it must fail where a full one would.
   * The answer may come later, so that a sink in a worker thread fits.
   */
  readonly appendRecords: (batch: readonly HandedRecord[]) => AppendFailure | null | Promise<AppendFailure | null>;
}

/** Bounds and delays of a writer. */
export interface WriterLimits {
  /** Records waiting at most; at the bound `append` refuses. Default 4,096. */
  readonly maxQueued: number;
  /** Records of one transaction at most. Default 256. */
  readonly maxBatch: number;
  /** The longest a record of `append` waits, and the pause after a failure. Default 50 ms. */
  readonly flushMs: number;
  /** How long a record of `durable` waits for others to share its commit. Default 1 ms. */
  readonly durableMs: number;
}

const defaultLimits: WriterLimits = { maxQueued: 4_096, maxBatch: 256, flushMs: 50, durableMs: 1 };

/** What a writer needs from outside. */
export interface WriterOptions {
  readonly after?: After;
  readonly limits?: Partial<WriterLimits>;
  /** Called after each commit with what it wrote. */
  readonly onCommitted?: (batch: readonly HandedRecord[]) => void;
}

interface Waiting {
  readonly record: HandedRecord;
  /** Answers the call that waits for the commit; `null` in batch mode. */
  readonly settle: ((isWritten: boolean) => void) | null;
}

/**
 * Gathers records and writes them in group commits. Nothing is dropped in silence: what cannot be queued is refused to
 * the caller, who then denies with `ledger.unavailable`. After a failed commit every append is refused until one succeeds;
 * what `append` had accepted stays queued and is tried again. Lives until `close`, which writes what is left.
 */
export class LedgerWriter {
  readonly #sink: RecordSink;
  readonly #after: After;
  readonly #limits: WriterLimits;
  readonly #onCommitted: (batch: readonly HandedRecord[]) => void;
  #queue: Waiting[] = [];
  #state: 'open' | 'failing' | 'closed' = 'open';
  #cause = '';
  #timer: { readonly dueMs: number; readonly cancel: () => void } | null = null;
  #flushing: Promise<void> | null = null;

  constructor(sink: RecordSink, options: WriterOptions = {}) {
    this.#sink = sink;
    this.#after = options.after ?? after;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#onCommitted = options.onCommitted ?? (() => undefined);
  }

  /** Records waiting to be written. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Why appends are refused now; `null` where they are accepted. A gate of readiness. */
  get problem(): string | null {
    if (this.#state === 'open') return null;
    return this.#state === 'closed' ? 'the ledger is closed' : `the last commit failed: ${this.#cause}`;
  }

  /**
   * Takes a record, to be on disk within 50 ms: mode `batch`.
   *
   * @returns `false` where the queue is full, the last commit failed, or the record cannot be encoded
   */
  append(record: LedgerRecord): boolean {
    const encoded = encodedRecord(record);
    return !('problem' in encoded) && this.#enqueue(encoded, null) === null;
  }

  /** Takes a record of the outbox, where it waits until it is on disk here. @returns `false` where it is not taken now */
  take(record: HandedRecord): boolean {
    return this.#enqueue(record, null) === null;
  }

  /**
   * Writes a record before it answers: mode `blocking`.
   *
   * @returns `true` once it is on disk; `false` where it is not and will not be
   */
  durable(record: LedgerRecord): Promise<boolean> {
    const encoded = encodedRecord(record);
    if ('problem' in encoded) return Promise.resolve(false);
    return new Promise((resolve) => {
      if (this.#enqueue(encoded, resolve) !== null) resolve(false);
    });
  }

  /** Writes all that waits. The problem, where some of it could not be written. */
  async flush(): Promise<string | null> {
    do {
      await this.#flushOnce();
    } while (this.#queue.length > 0 && this.#state !== 'failing');
    return this.#state === 'failing' ? this.problem : null;
  }

  /** Accepts no more, writes what waits, and stops its timer. The problem, where some of it could not be written. */
  async close(): Promise<string | null> {
    if (this.#state === 'closed') return null;
    const problem = await this.flush();
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#timer = null;
    for (const waiting of this.#queue) waiting.settle?.(false);
    return problem;
  }

  #enqueue(record: HandedRecord, settle: Waiting['settle']): string | null {
    if (this.#state !== 'open') return this.problem;
    if (this.#queue.length >= this.#limits.maxQueued) return 'the queue of the ledger is full';
    this.#queue.push({ record, settle });
    if (this.#queue.length >= this.#limits.maxBatch) this.#flushWithin(0);
    else this.#flushWithin(settle === null ? this.#limits.flushMs : this.#limits.durableMs);
    return null;
  }

  /** Sets the timer, where it is not set to fire sooner. */
  #flushWithin(dueMs: number): void {
    if (this.#timer !== null && this.#timer.dueMs <= dueMs) return;
    this.#timer?.cancel();
    const cancel = this.#after(dueMs, () => {
      this.#timer = null;
      void this.#flushOnce();
    });
    this.#timer = { dueMs, cancel };
  }

  /** One commit at a time: a second caller waits for the one under way, then makes its own. */
  async #flushOnce(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing;
    this.#flushing = this.#commit();
    await this.#flushing;
  }

  async #commit(): Promise<void> {
    const batch = this.#queue.slice(0, this.#limits.maxBatch);
    const failure = await this.#append(batch.map((waiting) => waiting.record));
    this.#flushing = null;
    if (failure === null) this.#committed(batch);
    else this.#failed(failure);
    if (this.#state !== 'closed' && this.#queue.length > 0) {
      this.#flushWithin(this.#state === 'failing' ? this.#limits.flushMs : 0);
    }
  }

  async #append(records: readonly HandedRecord[]): Promise<AppendFailure | null> {
    if (records.length === 0 && this.#state === 'open') return null;
    try {
      return await this.#sink.appendRecords(records);
    } catch (error) {
      return { code: 'broken', detail: error instanceof Error ? error.message : String(error) };
    }
  }

  #committed(batch: readonly Waiting[]): void {
    this.#queue = this.#queue.slice(batch.length);
    if (this.#state === 'failing') this.#state = 'open';
    for (const waiting of batch) waiting.settle?.(true);
    if (batch.length > 0) this.#onCommitted(batch.map(({ record }) => record));
  }

  /**
   * Calls that wait are denied now and their records given up: a record of an allow that was never given would lie.
   * The probe goes on while nothing is queued, so that the writer finds out by itself that it can write again.
   */
  #failed(failure: AppendFailure): void {
    if (this.#state === 'open') this.#state = 'failing';
    this.#cause = failure.detail;
    for (const waiting of this.#queue) waiting.settle?.(false);
    this.#queue = this.#queue.filter((waiting) => waiting.settle === null);
    if (this.#state === 'failing') this.#flushWithin(this.#limits.flushMs);
  }
}
