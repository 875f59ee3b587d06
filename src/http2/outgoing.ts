import type { Socket } from 'node:net';
import { FRAME_HEAD_BYTES, MAX_FRAME_BYTES, writeFrameHead } from './frame.ts';

const BUFFER_BYTES = 4 * (MAX_FRAME_BYTES + FRAME_HEAD_BYTES);
const EMPTY = new Uint8Array(0);

/**
 * The frames of a connection on their way out. They gather until `flush`, so that the answers of one turn are one write. What
 * the other end does not read stays with the socket: `waiting` says how much.
 */
export class Outgoing {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #end = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that were handed to the socket and not yet to the system. */
  get waiting(): number {
    return this.#socket.writableLength;
  }

  /** Whether frames have gathered. */
  get isEmpty(): boolean {
    return this.#end === 0;
  }

  /** Adds a frame. @param payload at most `MAX_FRAME_BYTES`; copied */
  frame(type: number, flags: number, stream: number, payload: Uint8Array = EMPTY): void {
    const { length } = payload;
    if (this.#buffer.length - this.#end < FRAME_HEAD_BYTES + length) this.flush();
    writeFrameHead(this.#buffer, this.#end, { length, type, flags, stream });
    this.#buffer.set(payload, this.#end + FRAME_HEAD_BYTES);
    this.#end += FRAME_HEAD_BYTES + length;
  }

  /** Hands over what has gathered. */
  flush(): void {
    if (this.#end === 0) return;
    const bytes = this.#buffer.subarray(0, this.#end);
    this.#end = 0;
    if (!this.#socket.writable) return;
    // INVARIANT: what waits takes as much memory as it has bytes, however small the pieces are in which it was handed over.
    if (this.waiting > 0) {
      this.#socket.write(Buffer.from(bytes));
      return;
    }
    this.#socket.write(bytes);
    // INVARIANT: bytes that the system has not taken stay as they are until it has.
    if (this.waiting > 0) this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }
}
