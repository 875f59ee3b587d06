import { Incoming } from '../../http2/incoming.ts';
import type { StreamEvents } from '../../http2/stream.ts';
import type { ByteBudget } from '../grpc/byte-budget.ts';
import { type GrpcCall, GrpcStatus } from '../grpc/grpc-call.ts';

/** How the server ends a stream. */
export interface Ending {
  readonly status: number;
  /** Printable ASCII without `%`. */
  readonly details: string;
}

/** The ending if the budget has no room. */
export const TOO_MUCH: Ending = { status: GrpcStatus.resourceExhausted, details: 'too much waits to be taken' };

/** What a stream needs. */
export interface LogStreamOptions {
  /** Limits what was received and not yet read. */
  readonly budget: ByteBudget;
  /** The stream is over. */
  readonly onOver: (log: AccessLogStream) => void;
}

/**
 * One access log stream as an async iterator for one reader. Buffered data counts against the budget; without room the stream
 * is ended. It ends once, by client, reader or server, and then holds nothing.
 */
export class AccessLogStream implements StreamEvents, AsyncIterableIterator<Buffer, undefined> {
  readonly #call: GrpcCall;
  readonly #options: LogStreamOptions;
  readonly #incoming: Incoming;
  #held = 0;
  #isOver = false;

  constructor(call: GrpcCall, options: LogStreamOptions) {
    this.#call = call;
    this.#options = options;
    this.#incoming = new Incoming(call, () => this.#over());
  }

  /** Whether the stream is over. */
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

  /** Ends the stream, normally or with a problem. Does nothing if it is over. */
  end(ending: Ending | null): void {
    if (this.#isOver) return;
    if (ending === null) this.#call.end(EMPTY);
    else this.#call.fail(ending.status, ending.details);
    this.#over();
  }

  /**
   * Ends the answer normally, so that the client chooses a process again for its next stream. What the client sends until it sees the end is
   * still read, except over a network: grpc-js stops reading then.
   */
  endAnswer(): void {
    if (!this.#isOver) this.#call.end(EMPTY);
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    const result = await this.#incoming.next();
    this.#count();
    return result;
  }

  /** The reader stops before the end. */
  async return(): Promise<IteratorResult<Buffer, undefined>> {
    const result = await this.#incoming.return();
    this.#count();
    return result;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Counts the buffered data. Returns whether the budget had room. */
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
