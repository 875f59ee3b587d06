/** Why the messages of a call are invalid: not gRPC, too large, or ended early. */
export type MessageProblem = 'malformed' | 'too-large' | 'incomplete';

import type { ByteBudget } from './byte-budget.ts';

const PREFIX_BYTES = 5;

/**
 * Splits the bytes of a gRPC call into length-prefixed messages. Holds at most twice the limit plus a chunk; a larger message is refused by
 * its prefix. A compressed message is `malformed`, because no compression was offered.
 *
 * Lifecycle: `letGo` returns what `hold` counted and drops the buffer.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export class GrpcMessages {
  readonly #maxBytes: number;
  readonly #budget: ByteBudget | null;
  /** Bytes taken from the budget. */
  #held = 0;
  #buffer: Buffer = EMPTY;
  #from = 0;
  #to = 0;

  /** @param budget for `hold`; `null` if memory is bounded otherwise */
  constructor(maxBytes: number, budget: ByteBudget | null = null) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Adds received bytes. */
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
   * Counts the memory held from now on, which exceeds the bytes: chunks are kept whole, and the buffer has spare capacity.
   * @returns whether the budget had room; if not, everything is dropped
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

  /** Drops the buffer. A message returned before stays valid. */
  letGo(): void {
    if (this.#held > 0) this.#budget?.give(this.#held);
    this.#held = 0;
    this.#buffer = EMPTY;
    this.#from = 0;
    this.#to = 0;
  }

  /** The next complete message, not copied; `null` if there is none, or what is wrong. */
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

  /** The only message of a half-closed call: exactly one message, and nothing else. */
  only(): Buffer | MessageProblem {
    const message = this.next();
    if (message === null) return 'incomplete';
    if (typeof message === 'string') return message;
    return this.#from === this.#to ? message : 'malformed';
  }

  /** Doubles the capacity, so that many small chunks are not copied again and again, but not beyond the announced length. */
  #roomFor(bytes: number): number {
    const whole = this.#to - this.#from < PREFIX_BYTES ? 0 : PREFIX_BYTES + this.#buffer.readUInt32BE(this.#from + 1);
    return bytes <= whole ? Math.min(2 * bytes, whole) : 2 * bytes;
  }

  /** Whether an incomplete message is buffered. */
  get isPartial(): boolean {
    return this.#from !== this.#to;
  }
}

const EMPTY = Buffer.alloc(0);

/** Frames a message, uncompressed. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}
