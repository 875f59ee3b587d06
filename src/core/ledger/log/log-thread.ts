import { Worker } from 'node:worker_threads';
import type { HandedRecord, RecordSink } from '../writer.ts';
import { isStoreFailure, storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { programBeside } from '../../runtime/system/program-beside.ts';
import type { RingPart } from './leaf-ring.ts';
import type { MadeCheckpoint } from './log.ts';
import type { LogThreadMessage, LogRequest, LogStatus, LogThreadInput } from './log-messages.ts';
import { packed } from './segment/packed-records.ts';

/** Events of a log's thread. */
export interface LogWatcher {
  /** Called once when the log breaks. The process must stop serving and exit. */
  readonly onFatal: (failure: StoreFailure) => void;
  /** A checkpoint was made, or failed. */
  readonly onCheckpoint: (made: MadeCheckpoint | StoreFailure) => void;
  /** Receives the written leaves. Default: nobody, which costs less. */
  readonly handOut?: LeafReceiver;
}

/** Takes what a log's thread has written, from a ring that both share. */
export interface LeafReceiver {
  /** Its memory, by `newRing` of `leaf-ring.ts`. */
  readonly ring: SharedArrayBuffer;
  /**
   * Receives all leaves that are written from now on, part by part and in order, before `appendRecords` resolves or
   * `onCheckpoint` is called; with the checkpoint if one was signed at the end of the part. `null` if the ring has no room, or if
   * after a failure it is not known what was written.
   */
  readonly onWritten: (written: RingPart | null, checkpoint: string | null) => void;
}

/** A thread that loads its program before it is known which log it opens. */
export interface LoadingLogThread {
  /** Opens the log in a folder, or starts a new log. Once. */
  readonly open: (input: Omit<LogThreadInput, 'ring'>, watcher: LogWatcher) => Promise<LogThread | StoreFailure>;
  /** Ends the thread, whatever it does. */
  readonly end: () => Promise<unknown>;
}

/** Records pass through as bytes, so the thread needs little young-generation memory, whatever flags the process has. */
const LIMITS = { maxYoungGenerationSizeMb: 3 };

/**
 * The log in its own thread, so that disk syncs do not block checks. Takes one batch at a time.
 *
 * Lifecycle: `open` once, or `start` and `open` of the thread; `appendRecords` one after the other, `close` at the end.
 */
export class LogThread implements RecordSink {
  readonly origin: string;
  /** The verifier key of its checkpoints, for pinning. */
  readonly verifierKey: string;
  /** The highest outbox number taken from the state file when the log was opened. */
  readonly taken: number;
  readonly #worker: Worker;
  readonly #watcher: LogWatcher;
  #status: LogStatus;
  #closedSegments = 0;
  #waiting: ((failure: StoreFailure | null) => void) | null = null;
  #broken: StoreFailure | null = null;
  /** The answer to the last request. */
  #asked: Promise<StoreFailure | null> = Promise.resolve(null);
  #closed: Promise<StoreFailure | null> | null = null;

  private constructor(worker: Worker, opened: Extract<LogThreadMessage, { kind: 'opened' }>, watcher: LogWatcher) {
    this.#worker = worker;
    this.#watcher = watcher;
    this.#status = opened;
    this.origin = opened.origin;
    this.verifierKey = opened.verifierKey;
    this.taken = opened.taken;
    worker.on('message', (message: LogThreadMessage) => this.#hear(message));
    worker.on('error', (error) => this.#end(`the thread of the ledger failed: ${String(error)}`));
    worker.on('exit', (code) => this.#end(`the thread of the ledger exited with code ${code}`));
  }

  /** Starts a thread that opens a log later, by `open`. */
  static start(): LoadingLogThread {
    const worker = new Worker(programBeside(import.meta.url, 'log-worker'), { execArgv: [], resourceLimits: LIMITS });
    const ended = new Promise<StoreFailure>((resolve) => {
      const end = (detail: string): void => resolve(storeFailure('unusable', `the thread of the ledger ${detail}`));
      worker
        .on('error', (error) => end(`failed: ${String(error)}`))
        .on('exit', (code) => end(`exited with code ${code}`));
    });
    const open: LoadingLogThread['open'] = (input, watcher) =>
      new Promise((resolve) => {
        void ended.then(resolve);
        worker.once('message', (first: LogThreadMessage) => {
          if (first.kind === 'unopened') resolve(first.failure);
          else if (first.kind === 'opened') resolve(new LogThread(worker, first, watcher));
        });
        const whole: LogThreadInput = { ...input, ring: watcher.handOut?.ring ?? null };
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
        worker.postMessage(whole);
      });
    return { open, end: () => worker.terminate() };
  }

  /** Opens the log in a folder, or starts a new log. */
  static open(input: Omit<LogThreadInput, 'ring'>, watcher: LogWatcher): Promise<LogThread | StoreFailure> {
    return LogThread.start().open(input, watcher);
  }

  /** Number of records, and bytes of the files, after the last batch. */
  get status(): LogStatus {
    return this.#status;
  }

  /** Number of segments that were closed since it was opened. */
  get closedSegments(): number {
    return this.#closedSegments;
  }

  appendRecords(batch: readonly HandedRecord[]): Promise<StoreFailure | null> {
    const records = packed(batch.map(({ bytes, outbox }) => ({ bytes, outbox: outbox ?? null })));
    return this.#ask({ kind: 'append', records }, [records.bytes.buffer]);
  }

  /**
   * Signs the rest and ends the thread, after the batch that it may have. Returns the failure if the last records are not covered by a checkpoint.
   * Called again, it gives the same result.
   */
  close(): Promise<StoreFailure | null> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<StoreFailure | null> {
    await this.#asked;
    const failure = await this.#ask({ kind: 'close' });
    this.#broken ??= storeFailure('broken', 'the ledger is closed');
    await this.#worker.terminate();
    return failure;
  }

  /** INVARIANT: one request at a time; the writer awaits each answer. */
  #ask(request: LogRequest, handedOver: readonly ArrayBuffer[] = []): Promise<StoreFailure | null> {
    if (this.#broken !== null) return Promise.resolve(this.#broken);
    return (this.#asked = new Promise((resolve) => {
      this.#waiting = resolve;
      this.#worker.postMessage(request, handedOver);
    }));
  }

  #hear(message: LogThreadMessage): void {
    switch (message.kind) {
      case 'appended':
        this.#status = { size: message.size, bytes: message.bytes };
        this.#handOut(message.failure, { written: message.written, checkpoint: null });
        this.#answer(message.failure);
        return;
      case 'closed':
        this.#broken = storeFailure('broken', 'the ledger is closed');
        this.#answer(message.failure);
        return;
      case 'checkpoint':
        if (isStoreFailure(message.made)) {
          this.#handOut(message.made, { written: [], checkpoint: null });
          if (message.made.code === 'broken') this.#break(message.made);
        } else {
          if (message.made.closesSegment) this.#closedSegments += 1;
          this.#handOut(null, { written: message.written, checkpoint: message.made.note });
        }
        this.#watcher.onCheckpoint(message.made);
        return;
      case 'opened':
      case 'unopened':
    }
  }

  #handOut(
    failure: StoreFailure | null,
    { written, checkpoint }: { readonly written: readonly RingPart[] | null; readonly checkpoint: string | null },
  ): void {
    const { handOut } = this.#watcher;
    if (failure !== null || written === null) handOut?.onWritten(null, null);
    else written.forEach((part, index) => handOut?.onWritten(part, index === written.length - 1 ? checkpoint : null));
  }

  #answer(failure: StoreFailure | null): void {
    if (failure?.code === 'broken') this.#break(failure);
    this.#waiting?.(failure);
    this.#waiting = null;
  }

  #end(detail: string): void {
    const failure = this.#broken ?? storeFailure('broken', detail);
    this.#break(failure);
    this.#waiting?.(failure);
    this.#waiting = null;
  }

  #break(failure: StoreFailure): void {
    if (this.#broken !== null) return;
    this.#broken = failure;
    this.#watcher.onFatal(failure);
  }
}
