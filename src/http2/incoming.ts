import type { AnswerableStream, StreamEvents } from './stream.ts';

/**
 * What a client sends on a stream, piece by piece, for a reader that takes its time: the client may send more once a piece has
 * been dealt with, which is when the next is asked for. It ends where the client has said all, and where the stream is over.
 */
export class Incoming implements StreamEvents, AsyncIterableIterator<Buffer> {
  readonly #stream: AnswerableStream;
  readonly #onClosed: () => void;
  /** As many as the window of the stream lets come. */
  readonly #pieces: Buffer[] = [];
  #dealtWith = 0;
  #isOver = false;
  #wake: () => void = () => undefined;

  /** @param onClosed told once the stream is over */
  constructor(stream: AnswerableStream, onClosed: () => void) {
    this.#stream = stream;
    this.#onClosed = onClosed;
  }

  data(bytes: Buffer): void {
    this.#pieces.push(bytes);
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
    while (this.#pieces.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const value = this.#pieces.shift();
    if (value === undefined) return { done: true, value };
    this.#dealtWith = value.length;
    return { done: false, value };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
