import { type AnswerableStream, STREAM_WINDOW_BYTES, type StreamEvents } from './stream.ts';

const EMPTY = Buffer.alloc(0);

/**
 * What a client sends on a stream, as an async iterator with backpressure: asking for the next piece releases the window of the previous
 * piece. Ends when the client half-closes or the stream is over. Data that arrives after the reader has returned is discarded.
 *
 * INVARIANT: buffered data takes only a few times its own size in memory, however small its frames were. Kept frame by frame, one-byte frames
 * would take a hundred times the window.
 */
export class Incoming implements StreamEvents, AsyncIterableIterator<Buffer, undefined> {
  readonly #stream: Pick<AnswerableStream, 'took'>;
  readonly #onClosed: () => void;
  /** Buffered data: a single received piece as it came, or the copies of several with spare capacity. */
  #waiting: Buffer = EMPTY;
  #waitingBytes = 0;
  #dealtWith = 0;
  #isOver = false;
  #isLeft = false;
  #wake: () => void = () => undefined;

  /** @param onClosed called once the stream is over */
  constructor(stream: Pick<AnswerableStream, 'took'>, onClosed: () => void) {
    this.#stream = stream;
    this.#onClosed = onClosed;
  }

  /** Memory used by buffered data, in bytes. */
  get heldBytes(): number {
    return this.#waitingBytes === 0 ? 0 : this.#waiting.buffer.byteLength;
  }

  data(bytes: Buffer): void {
    if (this.#isLeft) this.#stream.took(bytes.length);
    else if (this.#waitingBytes === 0) this.#waiting = bytes;
    else this.#append(bytes);
    this.#waitingBytes += this.#isLeft ? 0 : bytes.length;
    this.#wake();
  }

  ended(): void {
    this.#isOver = true;
    this.#wake();
  }

  closed(): void {
    this.ended();
    this.#onClosed();
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    this.#stream.took(this.#dealtWith);
    this.#dealtWith = 0;
    while (this.#waitingBytes === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#waitingBytes === 0) return { done: true, value: undefined };
    const value = this.#waiting.subarray(0, this.#waitingBytes);
    this.#dealtWith = this.#waitingBytes;
    this.#clear();
    return { done: false, value };
  }

  /** The reader stops before the end. */
  async return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#isLeft = true;
    this.#stream.took(this.#dealtWith + this.#waitingBytes);
    this.#dealtWith = 0;
    this.#clear();
    this.ended();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #append(bytes: Buffer): void {
    const needed = this.#waitingBytes + bytes.length;
    if (this.#waiting.length < needed) {
      // Doubles, so that many small pieces are not copied again and again. Never above the window: no more can be buffered.
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * needed, STREAM_WINDOW_BYTES)));
      this.#waiting.copy(grown, 0, 0, this.#waitingBytes);
      this.#waiting = grown;
    }
    bytes.copy(this.#waiting, this.#waitingBytes);
  }

  #clear(): void {
    this.#waiting = EMPTY;
    this.#waitingBytes = 0;
  }
}
