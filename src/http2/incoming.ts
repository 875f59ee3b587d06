import { type AnswerableStream, STREAM_WINDOW_BYTES, type StreamEvents } from './stream.ts';

const EMPTY = Buffer.alloc(0);

/**
 * What a client sends on a stream, for a reader that takes its time: the client may send more once what was read has been dealt
 * with, which is when the next is asked for. It ends where the client has said all, and where the stream is over. What comes
 * after a reader that has left is thrown away.
 *
 * INVARIANT: what waits for the reader takes a few times as much memory as it has bytes, however small the frames are in which it
 * came; a client that sent it byte by byte would else have a hundred times the window kept.
 */
export class Incoming implements StreamEvents, AsyncIterableIterator<Buffer, undefined> {
  readonly #stream: AnswerableStream;
  readonly #onClosed: () => void;
  /** What waits: the one piece there is, as it came, or the copies of several, with room for more. */
  #waiting: Buffer = EMPTY;
  #waitingBytes = 0;
  #dealtWith = 0;
  #isOver = false;
  #isLeft = false;
  #wake: () => void = () => undefined;

  /** @param onClosed told once the stream is over */
  constructor(stream: AnswerableStream, onClosed: () => void) {
    this.#stream = stream;
    this.#onClosed = onClosed;
  }

  /** The memory that what waits takes, in bytes. */
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

  /** The reader leaves before the end. */
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
      // Twice as much as is needed, so that many small pieces are not copied over and over; no more than a window waits.
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
