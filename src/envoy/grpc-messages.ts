/** Why bytes are no messages of a call: no gRPC, more than the bound, or an end in the middle or where one more was due. */
export type MessageProblem = 'malformed' | 'too-large' | 'incomplete';

import type { ByteBudget } from './byte-budget.ts';

const PREFIX_BYTES = 5;

/**
 * Takes the length-prefixed messages of a gRPC call out of its bytes, however these arrive. It holds at most twice the bound
 * and one chunk; a message of more is told from its prefix, before it is there. A compressed message is `malformed`: nobody was
 * told that one may be sent.
 *
 * Lifecycle: what `hold` has counted is given back by `letGo`, which nothing is held after.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export class GrpcMessages {
  readonly #maxBytes: number;
  readonly #budget: ByteBudget | null;
  /** Of the budget. */
  #held = 0;
  #buffer: Buffer = EMPTY;
  #from = 0;
  #to = 0;

  /** @param budget of what `hold` counts; `null` where what is held is bounded otherwise */
  constructor(maxBytes: number, budget: ByteBudget | null = null) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Adds bytes as they came. */
  add(chunk: Buffer): void {
    if (this.#from === this.#to) {
      this.#buffer = chunk;
      this.#from = 0;
      this.#to = chunk.length;
      return;
    }
    const held = this.#to - this.#from;
    if (this.#buffer.length - this.#to < chunk.length) {
      const grown = Buffer.allocUnsafeSlow(this.#roomFor(held + chunk.length));
      this.#buffer.copy(grown, 0, this.#from, this.#to);
      this.#buffer = grown;
      this.#from = 0;
      this.#to = held;
    }
    chunk.copy(this.#buffer, this.#to);
    this.#to += chunk.length;
  }

  /**
   * Counts the memory that is held from now on, which is more than the bytes: a chunk is held as a whole, and what grows has room
   * for more. @returns whether it was there to be had; where not, all of it is let go
   */
  hold(): boolean {
    const more = this.#buffer.buffer.byteLength - this.#held;
    if (more > 0 && this.#budget?.take(more) === false) {
      this.letGo();
      return false;
    }
    if (more < 0) this.#budget?.give(-more);
    this.#held += more;
    return true;
  }

  /** Holds nothing any more. A message that was given stays as it is. */
  letGo(): void {
    if (this.#held > 0) this.#budget?.give(this.#held);
    this.#held = 0;
    this.#buffer = EMPTY;
    this.#from = 0;
    this.#to = 0;
  }

  /** The next message that is whole, not copied; `null` where none is, or what is there is none. */
  next(): Buffer | MessageProblem | null {
    if (this.#to - this.#from < PREFIX_BYTES) return null;
    if (this.#buffer[this.#from] !== 0) return 'malformed';
    const length = this.#buffer.readUInt32BE(this.#from + 1);
    if (length > this.#maxBytes) return 'too-large';
    const from = this.#from + PREFIX_BYTES;
    if (this.#to - from < length) return null;
    this.#from = from + length;
    return this.#buffer.subarray(from, from + length);
  }

  /** The only message of a call that has said all: there must be one, and nothing more. */
  only(): Buffer | MessageProblem {
    const message = this.next();
    if (message === null) return 'incomplete';
    if (typeof message === 'string') return message;
    return this.#from === this.#to ? message : 'malformed';
  }

  /** Twice as much as is needed, so that many small chunks are not copied over and over, but no more than the message says it has. */
  #roomFor(bytes: number): number {
    const whole = this.#to - this.#from < PREFIX_BYTES ? 0 : PREFIX_BYTES + this.#buffer.readUInt32BE(this.#from + 1);
    return bytes <= whole ? Math.min(2 * bytes, whole) : 2 * bytes;
  }

  /** Whether there are bytes of a message that is not whole. */
  get isPartial(): boolean {
    return this.#from !== this.#to;
  }
}

const EMPTY = Buffer.alloc(0);

/** A message as it is sent: never compressed. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}
