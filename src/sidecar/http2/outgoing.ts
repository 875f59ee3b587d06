import type { Socket } from 'node:net';
import { FRAME_HEAD_BYTES, MAX_FRAME_BYTES, writeFrameHead } from './frame.ts';

const BUFFER_BYTES = 4 * (MAX_FRAME_BYTES + FRAME_HEAD_BYTES);
const EMPTY = new Uint8Array(0);

/**
 * The frames of a connection on their way out. They are buffered until `flush`, so that all answers of one turn are one write.
 * Bytes that the peer does not read stay in the socket: `waiting` tells how many.
 */
export class Outgoing {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #end = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes handed to the socket that the system has not accepted yet. */
  get waiting(): number {
    return this.#socket.writableLength;
  }

  /** Whether no frames are buffered. */
  get isEmpty(): boolean {
    return this.#end === 0;
  }

  /** Buffers a frame. @param payload at most `MAX_FRAME_BYTES`; copied */
  frame(type: number, flags: number, stream: number, payload: Uint8Array = EMPTY): void {
    const { length } = payload;
    if (this.#buffer.length - this.#end < FRAME_HEAD_BYTES + length) this.flush();
    writeFrameHead(this.#buffer, this.#end, { length, type, flags, stream });
    this.#buffer.set(payload, this.#end + FRAME_HEAD_BYTES);
    this.#end += FRAME_HEAD_BYTES + length;
  }

  /** Sends the buffered frames. */
  flush(): void {
    if (this.#end === 0) return;
    const bytes = this.#buffer.subarray(0, this.#end);
    this.#end = 0;
    if (!this.#socket.writable) return;
    // INVARIANT: waiting data takes as much memory as it has bytes, however small the frames were.
    if (this.waiting > 0) {
      this.#socket.write(Buffer.from(bytes));
      return;
    }
    this.#socket.write(bytes);
    // INVARIANT: do not reuse the buffer before the system has accepted its bytes.
    if (this.waiting > 0) this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }
}
