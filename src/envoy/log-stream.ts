import { Incoming } from '../http2/incoming.ts';
import type { AnswerableStream, StreamEvents } from '../http2/stream.ts';
import type { ByteBudget } from './byte-budget.ts';
import { endAnswer, failAnswer, GrpcStatus } from './grpc-answer.ts';

/** How a stream is ended that did not end by itself. */
export interface Ending {
  readonly status: number;
  /** Printable ASCII without `%`. */
  readonly details: string;
}

/** The ending of one that the budget has no room for. */
export const TOO_MUCH: Ending = { status: GrpcStatus.resourceExhausted, details: 'too much waits to be taken' };

/** What a stream is made with. */
export interface LogStreamOptions {
  /** Of what came and was not read yet. */
  readonly budget: ByteBudget;
  /** It is over. */
  readonly onOver: (log: AccessLogStream) => void;
}

/**
 * One stream of an access log, for one reader. What waits for the reader is counted, and ends the stream where there is no room for
 * it; it is over once, by its client, its reader or the server, and nothing waits then.
 */
export class AccessLogStream implements StreamEvents, AsyncIterableIterator<Buffer, undefined> {
  readonly #stream: AnswerableStream;
  readonly #options: LogStreamOptions;
  readonly #incoming: Incoming;
  #held = 0;
  #isOver = false;

  constructor(stream: AnswerableStream, options: LogStreamOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#incoming = new Incoming(stream, () => this.#over());
  }

  /** Nothing of it is wanted any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  data(bytes: Buffer): void {
    this.#incoming.data(bytes);
    if (!this.#count()) this.end(TOO_MUCH);
  }

  ended(): void {
    this.#incoming.ended();
  }

  closed(): void {
    this.#incoming.closed();
  }

  /** Ends it, in order or with a problem; nothing where it is over. */
  end(ending: Ending | null): void {
    if (this.#isOver) return;
    if (ending === null) endAnswer(this.#stream, EMPTY);
    else failAnswer(this.#stream, ending.status, ending.details);
    this.#over();
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    const result = await this.#incoming.next();
    this.#count();
    return result;
  }

  /** The reader leaves before the end. */
  async return(): Promise<IteratorResult<Buffer, undefined>> {
    const result = await this.#incoming.return();
    this.#count();
    return result;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Counts what waits now; whether there was room for it. */
  #count(): boolean {
    const { budget } = this.#options;
    const more = this.#incoming.heldBytes - this.#held;
    if (more > 0 && !budget.take(more)) return false;
    if (more < 0) budget.give(-more);
    this.#held += more;
    return true;
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void this.return();
    this.#options.onOver(this);
  }
}

const EMPTY = new Uint8Array(0);
