import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { After } from '../timers.ts';

/** Why spans were dropped: no room, refused or failed again and again, or still there when time was up. */
export type DropCause = 'full' | 'failed' | 'closed';

/** What takes spans: as much of the SDK's own interface as is used. */
export interface Exporter {
  export(spans: ReadableSpan[], done: (result: { readonly code: number; readonly error?: Error }) => void): void;
  shutdown(): Promise<void>;
}

/** How a queue is bounded. */
export interface QueueSettings {
  /** Spans held at most, those being sent included. */
  readonly maxSpans: number;
  /** Spans sent at a time. They are serialised in one go, at some 6 us each, and checks wait for that. */
  readonly batchSpans: number;
  /** Wait for a batch to fill, and before a failed one is sent again for the first time, milliseconds. */
  readonly delayMs: number;
  /** How long an exporter may take over a batch, milliseconds. */
  readonly timeoutMs: number;
}

/** What a queue works with. */
export interface QueueOptions extends QueueSettings {
  readonly exporter: Pick<Exporter, 'export'>;
  readonly after: After;
  readonly onDropped: (count: number, cause: DropCause) => void;
}

/**
 * With the pause doubled each time, and the some 10 s for which an exporter tries by itself, this makes about a minute: a
 * collector that restarts.
 */
const MAX_ATTEMPTS = 6;

/** Batches sent at the same time when the queue closes. Two queues stay under the 30 that an OTLP exporter takes at a time. */
const LANES_AT_CLOSE = 8;

/**
 * A bounded queue of ended spans in front of an exporter. Adding costs a check nothing but a push: batches are serialised and
 * sent from a turn of their own, one at a time. At its bound it drops what is new, and says so. A batch that was not taken is
 * sent again, so that a slow collector can see a span twice; one that was refused for good is dropped.
 *
 * Lifecycle: `close` sends what waits and takes no more; `abandon` gives up on the rest.
 */
export class SpanQueue {
  readonly #options: QueueOptions;
  #waiting: ReadableSpan[] = [];
  #inFlight = 0;
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
    return this.#waiting.length + this.#inFlight;
  }

  add(span: ReadableSpan): void {
    const { maxSpans, batchSpans, delayMs, onDropped } = this.#options;
    if (this.#isClosing) return onDropped(1, 'closed');
    if (this.size >= maxSpans) return onDropped(1, 'full');
    this.#waiting.push(span);
    if (this.#sender !== null) return;
    if (this.#waiting.length === batchSpans) this.#wakeIn(0);
    else if (this.#cancelTimer === null) this.#wakeIn(delayMs);
  }

  /** Sends what waits now. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    await Promise.all([this.#sender, this.#send()]);
  }

  /** Sends what waits, and takes no more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const resume of this.#paused) resume();
    await Promise.all([this.flush(), ...Array.from({ length: LANES_AT_CLOSE - 1 }, () => this.#send())]);
  }

  /** Drops what is still here. */
  abandon(): void {
    this.#isClosing = true;
    this.#isAbandoned = true;
    for (const resume of this.#paused) resume();
    if (this.size > 0) this.#options.onDropped(this.size, 'closed');
    this.#waiting = [];
    this.#inFlight = 0;
  }

  #wakeIn(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.after(delayMs, () => {
      this.#cancelTimer = null;
      this.#sender ??= this.#sendAll();
    });
  }

  async #sendAll(): Promise<void> {
    await this.#send();
    this.#sender = null;
    // What came in while the last promise settled found a sender and no timer.
    if (this.#waiting.length > 0) this.#wakeIn(0);
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#options.batchSpans);
      this.#inFlight += batch.length;
      const isSent = await this.#isDelivered(batch);
      if (this.#isAbandoned) return;
      this.#inFlight -= batch.length;
      if (!isSent) this.#options.onDropped(batch.length, 'failed');
    }
  }

  async #isDelivered(batch: ReadableSpan[]): Promise<boolean> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const result = await this.#exported(batch);
      if (result !== 'again') return result === 'sent';
      if (this.#isAbandoned) return false;
      await this.#pause(this.#options.delayMs * 2 ** (attempt - 1));
    }
    return false;
  }

  async #exported(batch: ReadableSpan[]): Promise<'sent' | 'again' | 'refused'> {
    const { exporter, after, timeoutMs } = this.#options;
    const resource = batch[0]?.resource;
    if (resource?.asyncAttributesPending === true) await resource.waitForAsyncAttributes?.();
    return new Promise((resolve) => {
      const cancel = after(timeoutMs, () => resolve('again'));
      try {
        exporter.export(batch, ({ code, error }) => {
          cancel();
          resolve(code === SUCCESS ? 'sent' : isFinal(error) ? 'refused' : 'again');
        });
      } catch {
        cancel();
        resolve('refused');
      }
    });
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

/** `ExportResultCode.SUCCESS`. */
const SUCCESS = 0;

/** What OTLP says is not sent again, over gRPC: all but cancelled, deadline, aborted, range, unavailable, loss, exhausted. */
const FINAL_GRPC: ReadonlySet<number> = new Set([2, 3, 5, 6, 7, 9, 12, 13, 16]);

/** Whether the collector has said that it will never take this. @see OTLP specification 1.7, failures */
function isFinal(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  if (typeof code !== 'number') return false;
  return FINAL_GRPC.has(code) || (code >= 300 && code < 500 && code !== 429);
}
