import { FRAME_HEAD_BYTES, type Frame, MAX_31_BITS, MAX_FRAME_BYTES } from './frame.ts';

const EMPTY = Buffer.alloc(0);

/**
 * Takes frames out of the bytes of a connection, however these arrive. Payloads of frames that are whole in one chunk are not
 * copied; of one that is not it holds that frame alone, of `MAX_FRAME_BYTES` at most.
 */
export class FrameReader {
  readonly #head = Buffer.alloc(FRAME_HEAD_BYTES);
  #headBytes = 0;
  /** Of the frame whose head is whole and whose payload is not. */
  #payload: Buffer | null = null;
  #payloadBytes = 0;

  /**
   * Hands over each frame that is whole, until one of them is not taken.
   *
   * @param take whether to go on
   * @returns `too-large` for a frame of more than `MAX_FRAME_BYTES`, which is told from its head
   */
  read(chunk: Buffer, take: (frame: Frame) => boolean): 'read' | 'too-large' {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payload === null && this.#headBytes === 0 && chunk.length - at >= FRAME_HEAD_BYTES) {
        const end = at + FRAME_HEAD_BYTES + lengthAt(chunk, at);
        if (end - at > FRAME_HEAD_BYTES + MAX_FRAME_BYTES) return 'too-large';
        if (end <= chunk.length) {
          if (!take(frameOf(chunk, at, chunk.subarray(at + FRAME_HEAD_BYTES, end)))) return 'read';
          at = end;
          continue;
        }
      }
      at = this.#payload === null ? this.#readHead(chunk, at) : this.#readPayload(chunk, at);
      if (this.#payload === null) continue;
      if (this.#payload.length > MAX_FRAME_BYTES) return 'too-large';
      if (this.#payloadBytes < this.#payload.length) continue;
      const frame = frameOf(this.#head, 0, this.#payload);
      this.#payload = null;
      if (!take(frame)) return 'read';
    }
    return 'read';
  }

  #readHead(chunk: Buffer, at: number): number {
    const to = Math.min(chunk.length, at + FRAME_HEAD_BYTES - this.#headBytes);
    chunk.copy(this.#head, this.#headBytes, at, to);
    this.#headBytes += to - at;
    if (this.#headBytes < FRAME_HEAD_BYTES) return to;
    this.#headBytes = 0;
    this.#payloadBytes = 0;
    const length = lengthAt(this.#head, 0);
    this.#payload = length === 0 ? EMPTY : Buffer.allocUnsafeSlow(Math.min(length, MAX_FRAME_BYTES + 1));
    return to;
  }

  #readPayload(chunk: Buffer, at: number): number {
    const payload = this.#payload ?? EMPTY;
    const to = Math.min(chunk.length, at + payload.length - this.#payloadBytes);
    chunk.copy(payload, this.#payloadBytes, at, to);
    this.#payloadBytes += to - at;
    return to;
  }
}

const byteAt = (bytes: Buffer, at: number): number => bytes[at] ?? 0;

const lengthAt = (bytes: Buffer, at: number): number =>
  (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);

const frameOf = (bytes: Buffer, at: number, payload: Buffer): Frame => ({
  type: byteAt(bytes, at + 3),
  flags: byteAt(bytes, at + 4),
  stream: bytes.readUInt32BE(at + 5) & MAX_31_BITS,
  payload,
});
