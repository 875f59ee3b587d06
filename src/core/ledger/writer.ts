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

/** A record on its way to the ledger. */
export interface HandedRecord extends EncodedRecord {
  /** Its number in the state file's outbox, if it comes from there: the ledger takes each number once. */
  readonly outbox?: number;
}

/** The destination of records. */
export interface RecordSink {
  /**
   * Writes the batch atomically and durably. An empty batch is a probe and must fail if a full batch would. May be
   * asynchronous, for a sink in a worker thread.
   */
  readonly appendRecords: (batch: readonly HandedRecord[]) => AppendFailure | null | Promise<AppendFailure | null>;
}

/** Limits and delays of a writer. */
export interface WriterLimits {
  /** Queue length; at the limit `append` refuses. Default 4,096. */
  readonly maxQueued: number;
  /** Most records per transaction. Default 256. */
  readonly maxBatch: number;
  /** Longest wait of an appended record, and the pause after a failure. Default 50 ms. */
  readonly flushMs: number;
  /** How long a `durable` record waits for others, to share a commit. Default 1 ms. */
  readonly durableMs: number;
}

const defaultLimits: WriterLimits = { maxQueued: 4_096, maxBatch: 256, flushMs: 50, durableMs: 1 };

/** The dependencies of a writer. */
export interface WriterOptions {
  readonly after?: After;
  readonly limits?: Partial<WriterLimits>;
  /** Called after each commit with the written records. */
  readonly onCommitted?: (batch: readonly HandedRecord[]) => void;
  /** Why no record is taken now though the sink writes; `null` if it is taken. Called with the queue length. Default: never. */
  readonly refusal?: (queued: number) => string | null;
}

interface PendingRecord {
  readonly record: HandedRecord;
  /** Resolves the caller that waits for the commit; `null` in batch mode. */
  readonly settle: ((isWritten: boolean) => void) | null;
}

/**
 * Queues records and writes them in group commits. Nothing is dropped silently: a record that cannot be queued is refused, and
 * its caller denies with `ledger.unavailable`. After a failed commit appends are refused until a commit succeeds; accepted records
 * stay queued and are retried. Lives until `close`, which writes the rest.
 */
export class LedgerWriter {
  readonly #sink: RecordSink;
  readonly #after: After;
  readonly #limits: WriterLimits;
  readonly #onCommitted: (batch: readonly HandedRecord[]) => void;
  readonly #refusal: (queued: number) => string | null;
  #queue: PendingRecord[] = [];
  #state: 'open' | 'failing' | 'closed' = 'open';
  #cause = '';
  #timer: { readonly dueMs: number; readonly cancel: () => void } | null = null;
  #flushing: Promise<void> | null = null;
  #closing: Promise<string | null> | null = null;

  constructor(sink: RecordSink, options: WriterOptions = {}) {
    this.#sink = sink;
    this.#after = options.after ?? after;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#onCommitted = options.onCommitted ?? (() => undefined);
    this.#refusal = options.refusal ?? (() => null);
  }

  /** Queue length. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Why appends are refused now; `null` if they are accepted. */
  get problem(): string | null {
    return this.unwritten ?? this.unacknowledged;
  }

  /** Why nothing can be written here; `null` if it can. Part of readiness. */
  get unwritten(): string | null {
    if (this.#state === 'open') return null;
    return this.#state === 'closed' ? 'the ledger is closed' : `the last commit failed: ${this.#cause}`;
  }

  /** Why more must be acknowledged elsewhere before the next record is taken; `null` if it need not be. Part of readiness. */
  get unacknowledged(): string | null {
    return this.#refusal(this.#queue.length);
  }

  /**
   * Queues a record, which is written within `flushMs`: mode `batch`.
   *
   * @returns `false` if the queue is full, the last commit failed, too much is not acknowledged, or the record cannot be encoded
   */
  append(record: LedgerRecord): boolean {
    const encoded = encodedRecord(record);
    return !('problem' in encoded) && this.#enqueue(encoded, null) === null;
  }

  /** Queues a record of the outbox, which keeps it until it is on disk here. @returns `false` if it is refused now */
  take(record: HandedRecord): boolean {
    return this.#enqueue(record, null) === null;
  }

  /**
   * Writes a record before it resolves: mode `blocking`.
   *
   * @returns `true` once it is on disk; `false` if it is not and will not be
   */
  durable(record: LedgerRecord): Promise<boolean> {
    const encoded = encodedRecord(record);
    if ('problem' in encoded) return Promise.resolve(false);
    return new Promise((resolve) => {
      if (this.#enqueue(encoded, resolve) !== null) resolve(false);
    });
  }

  /** Writes everything queued. Returns the problem if some of it could not be written. */
  async flush(): Promise<string | null> {
    do {
      await this.#flushOnce();
    } while (this.#queue.length > 0 && this.#state !== 'failing');
    return this.#state === 'failing' ? this.problem : null;
  }

  /**
   * Writes everything queued, then refuses new records. Further calls return the same.
   *
   * @returns how many records could not be written and are lost, and why; `null` for none
   */
  close(): Promise<string | null> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<string | null> {
    // A record may be queued after the last commit, before this goes on: it was accepted.
    do await this.flush();
    while (this.#flushing !== null || (this.#queue.length > 0 && this.#state !== 'failing'));
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#timer = null;
    const dropped = this.#queue.splice(0);
    for (const waiting of dropped) waiting.settle?.(false);
    // A record of the outbox stays there until a ledger has it.
    const lost = dropped.filter(({ record }) => record.outbox === undefined).length;
    return lost === 0 ? null : `${lost} records could not be written: ${this.#cause}`;
  }

  #enqueue(record: HandedRecord, settle: PendingRecord['settle']): string | null {
    const { problem } = this;
    if (problem !== null) return problem;
    if (this.#queue.length >= this.#limits.maxQueued) return 'the queue of the ledger is full';
    this.#queue.push({ record, settle });
    if (this.#queue.length >= this.#limits.maxBatch) this.#flushWithin(0);
    else this.#flushWithin(settle === null ? this.#limits.flushMs : this.#limits.durableMs);
    return null;
  }

  /** Sets the timer, unless it fires sooner already. */
  #flushWithin(dueMs: number): void {
    if (this.#timer !== null && this.#timer.dueMs <= dueMs) return;
    this.#timer?.cancel();
    const cancel = this.#after(dueMs, () => {
      this.#timer = null;
      void this.#flushOnce();
    });
    this.#timer = { dueMs, cancel };
  }

  /** One commit at a time: a second caller waits for the current commit, then starts its own. */
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

  #committed(batch: readonly PendingRecord[]): void {
    this.#queue = this.#queue.slice(batch.length);
    if (this.#state === 'failing') this.#state = 'open';
    for (const waiting of batch) waiting.settle?.(true);
    if (batch.length > 0) this.#onCommitted(batch.map(({ record }) => record));
  }

  /**
   * Waiting `durable` calls are refused and their records dropped: the record of an allow that is never given would be false.
   * The empty probe goes on, so that the writer notices when it can write again.
   */
  #failed(failure: AppendFailure): void {
    if (this.#state === 'open') this.#state = 'failing';
    this.#cause = failure.detail;
    for (const waiting of this.#queue) waiting.settle?.(false);
    this.#queue = this.#queue.filter((waiting) => waiting.settle === null);
    if (this.#state === 'failing') this.#flushWithin(this.#limits.flushMs);
  }
}
