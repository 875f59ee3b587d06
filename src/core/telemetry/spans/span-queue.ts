import type { After } from '../../runtime/timers.ts';
import type { EndedSpan } from './ended-span.ts';
import type { Sent, SpanBatch, SpanExporter } from './span-exporter.ts';

/** Why spans were dropped: queue full, refused or failed repeatedly, or still queued at shutdown. */
export type DropCause = 'full' | 'failed' | 'closed';

/** Limits of a queue. */
export interface QueueSettings {
  /** Most spans held, those in flight included. */
  readonly maxSpans: number;
  /** Most bytes held; the last span may exceed it. */
  readonly maxBytes: number;
  /** Most spans per batch. */
  readonly batchSpans: number;
  /** Delay until a partial batch is sent, and the first back-off after a failure, milliseconds. */
  readonly delayMs: number;
  /** Timeout of a batch, milliseconds. */
  readonly timeoutMs: number;
}

/** The dependencies of a queue. */
export interface QueueOptions extends QueueSettings {
  readonly exporter: Pick<SpanExporter, 'newBatch'>;
  readonly after: After;
  readonly onDropped: (count: number, cause: DropCause) => void;
  /** Called after each attempt to send a batch. */
  readonly onTried?: ((isTaken: boolean) => void) | undefined;
}

/**
 * With doubling pauses, and the exporter's own retries of about 10 s, this covers about a minute: the restart of a collector.
 */
const MAX_ATTEMPTS = 6;

/** A batch of this size is full: a quarter of what a collector accepts over gRPC by default. */
const FULL_BYTES = 1024 * 1024;

/** Concurrent batches when the queue closes. Two queues together stay below the 30 that an OTLP exporter accepts. */
const LANES_AT_CLOSE = 8;

/**
 * A bounded queue of ended spans before an exporter. A span is serialised into the last waiting batch. A batch is sent when it
 * is full or its delay has passed, one at a time and in its own turn of the event loop: a request costs more than its spans, on
 * both sides. At its limit the queue drops new spans and reports them. A failed batch is retried, so a slow collector may see a
 * span twice; a refused batch is dropped.
 *
 * Lifecycle: `close` sends the rest and accepts no more; `abandon` drops the rest.
 */
export class SpanQueue {
  readonly #options: QueueOptions;
  /** No batch is empty; only the last batch has room. */
  #waiting: SpanBatch[] = [];
  #waitingSpans = 0;
  #inFlight = 0;
  /** Bytes of all spans held. */
  #bytes = 0;
  #sender: Promise<void> | null = null;
  #cancelTimer: (() => void) | null = null;
  readonly #paused = new Set<() => void>();
  #isClosing = false;
  #isAbandoned = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Spans held, at most `maxSpans`. */
  get size(): number {
    return this.#waitingSpans + this.#inFlight;
  }

  add(span: EndedSpan): void {
    const { maxSpans, maxBytes, delayMs, onDropped } = this.#options;
    if (this.#isClosing) return onDropped(1, 'closed');
    if (this.size >= maxSpans || this.#bytes >= maxBytes) return onDropped(1, 'full');
    const batch = this.#batchWithRoom();
    const before = batch.bytes;
    batch.add(span);
    this.#waitingSpans += 1;
    this.#bytes += batch.bytes - before;
    if (this.#sender !== null) return;
    if (this.#waiting.length === 1 && this.#isFull(batch)) this.#wakeIn(0);
    else if (this.#cancelTimer === null) this.#wakeIn(delayMs);
  }

  /** Sends what is queued. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    await Promise.all([this.#sender, this.#sendAll()]);
  }

  /** Sends what is queued and accepts no more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const resume of this.#paused) resume();
    await Promise.all([this.flush(), ...Array.from({ length: LANES_AT_CLOSE - 1 }, () => this.#sendAll())]);
  }

  /** Drops what is left. */
  abandon(): void {
    this.#isClosing = true;
    this.#isAbandoned = true;
    for (const resume of this.#paused) resume();
    if (this.size > 0) this.#options.onDropped(this.size, 'closed');
    this.#waiting = [];
    this.#waitingSpans = 0;
    this.#inFlight = 0;
    this.#bytes = 0;
  }

  #batchWithRoom(): SpanBatch {
    const last = this.#waiting.at(-1);
    if (last !== undefined && !this.#isFull(last)) return last;
    const batch = this.#options.exporter.newBatch();
    this.#waiting.push(batch);
    return batch;
  }

  #isFull(batch: SpanBatch): boolean {
    return batch.size >= this.#options.batchSpans || batch.bytes >= FULL_BYTES;
  }

  /** Wakes the sender. Without a delay it sends full batches only; after a delay, all batches that wait by then. */
  #wakeIn(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.after(delayMs, () => {
      this.#cancelTimer = null;
      this.#sender ??= this.#sendDue(delayMs === 0 ? 0 : this.#waiting.length);
    });
  }

  /** Sends the first `count` batches, then those that are full. */
  async #sendDue(count: number): Promise<void> {
    for (let due = count; due > 0 || this.#hasFull(); due -= 1) await this.#sendNext();
    this.#sender = null;
    if (this.#waiting.length > 0) this.#wakeIn(this.#options.delayMs);
  }

  #hasFull(): boolean {
    const [first] = this.#waiting;
    return first !== undefined && this.#isFull(first);
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#sendNext();
  }

  async #sendNext(): Promise<void> {
    const batch = this.#waiting.shift();
    if (batch === undefined) return;
    const { size } = batch;
    this.#waitingSpans -= size;
    this.#inFlight += size;
    const isSent = await this.#isDelivered(batch);
    if (this.#isAbandoned) return;
    this.#inFlight -= size;
    this.#bytes -= batch.bytes;
    batch.release();
    if (!isSent) this.#options.onDropped(size, 'failed');
  }

  async #isDelivered(batch: SpanBatch): Promise<boolean> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const sent = await this.#sent(batch);
      this.#options.onTried?.(sent === 'taken');
      if (sent !== 'again') return sent === 'taken';
      if (this.#isAbandoned) return false;
      await this.#pause(this.#options.delayMs * 2 ** (attempt - 1));
    }
    return false;
  }

  async #sent(batch: SpanBatch): Promise<Sent> {
    const { after, timeoutMs } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<Sent>();
    const cancel = after(timeoutMs, () => resolve('again'));
    try {
      return await Promise.race([batch.send(), late]);
    } catch {
      return 'refused';
    } finally {
      cancel();
    }
  }

  #pause(delayMs: number): Promise<void> {
    if (this.#isClosing) return Promise.resolve();
    return new Promise((resolve) => {
      const resume = (): void => {
        cancel();
        this.#paused.delete(resume);
        resolve();
      };
      const cancel = this.#options.after(delayMs, resume);
      this.#paused.add(resume);
    });
  }
}
