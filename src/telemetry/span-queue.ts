import type { After } from '../runtime/timers.ts';
import type { EndedSpan } from './ended-span.ts';
import type { Sent, SpanBatch, SpanExporter } from './span-exporter.ts';

/** Why spans were dropped: no room, refused or failed again and again, or still there when time was up. */
export type DropCause = 'full' | 'failed' | 'closed';

/** How a queue is bounded. */
export interface QueueSettings {
  /** Spans held at most, those being sent included. */
  readonly maxSpans: number;
  /** What they take at most, but for the last. */
  readonly maxBytes: number;
  /** Spans sent at a time, at most. */
  readonly batchSpans: number;
  /** Wait for a batch to fill, and before a failed one is sent again for the first time, milliseconds. */
  readonly delayMs: number;
  /** How long an exporter may take over a batch, milliseconds. */
  readonly timeoutMs: number;
}

/** What a queue works with. */
export interface QueueOptions extends QueueSettings {
  readonly exporter: Pick<SpanExporter, 'newBatch'>;
  readonly after: After;
  readonly onDropped: (count: number, cause: DropCause) => void;
}

/**
 * With the pause doubled each time, and the some 10 s for which an exporter tries by itself, this makes about a minute: a
 * collector that restarts.
 */
const MAX_ATTEMPTS = 6;

/** A batch of so many bytes gets no more spans: a quarter of what a collector takes over gRPC where nothing is said. */
const FULL_BYTES = 1024 * 1024;

/** Batches sent at the same time when the queue closes. Two queues stay under the 30 that an OTLP exporter takes at a time. */
const LANES_AT_CLOSE = 8;

/**
 * A bounded queue of ended spans in front of an exporter. A span is added to the last batch that waits, in the exporter's own
 * form. A batch is sent when it is full or has waited its time, from a turn of its own, one at a time: a request costs more
 * than the spans in it, for us and for the collector. At its bound the queue drops what is new, and says so. A batch that was
 * not taken is sent again, so that a slow collector can see a span twice; one that was refused for good is dropped.
 *
 * Lifecycle: `close` sends what waits and takes no more; `abandon` gives up on the rest.
 */
export class SpanQueue {
  readonly #options: QueueOptions;
  /** None is empty, and only the last has room. */
  #waiting: SpanBatch[] = [];
  #waitingSpans = 0;
  #inFlight = 0;
  /** Of all that is held. */
  #bytes = 0;
  #sender: Promise<void> | null = null;
  #cancelTimer: (() => void) | null = null;
  readonly #paused = new Set<() => void>();
  #isClosing = false;
  #isAbandoned = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Spans held now, at most `maxSpans`. */
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

  /** Sends what waits now. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    await Promise.all([this.#sender, this.#sendAll()]);
  }

  /** Sends what waits, and takes no more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const resume of this.#paused) resume();
    await Promise.all([this.flush(), ...Array.from({ length: LANES_AT_CLOSE - 1 }, () => this.#sendAll())]);
  }

  /** Drops what is still here. */
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

  /** Sends what is full, now or after a wait; what waits then goes too, for it had its time. */
  #wakeIn(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.after(delayMs, () => {
      this.#cancelTimer = null;
      this.#sender ??= this.#sendDue(delayMs === 0 ? 0 : this.#waiting.length);
    });
  }

  /** Sends the first so many batches, and then what is full. */
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
    if (!isSent) this.#options.onDropped(size, 'failed');
  }

  async #isDelivered(batch: SpanBatch): Promise<boolean> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const sent = await this.#sent(batch);
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
