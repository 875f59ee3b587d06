import { FRAME_HEAD_BYTES, type Frame, MAX_31_BITS, MAX_FRAME_BYTES } from './frame.ts';

const EMPTY = Buffer.alloc(0);

/**
 * Splits a byte stream into frames. The payload of a frame that lies within one chunk is a view of it. A frame that spans
 * chunks is buffered, up to `MAX_FRAME_BYTES`.
 */
export class FrameReader {
  readonly #head = Buffer.alloc(FRAME_HEAD_BYTES);
  #headBytes = 0;
  /** Payload of the frame whose head is complete and whose payload is not. */
  #payload: Buffer | null = null;
  #payloadBytes = 0;

  /**
   * Passes each complete frame to `take`, until it returns false.
   *
   * @param take returns whether to go on
   * @returns `too-large` for a frame of more than `MAX_FRAME_BYTES`, which its head already tells
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
