/** The types of frames. @see RFC 9113 section 6 */
export const FrameType = Object.freeze({
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
});

/** The flags of frames; `ack` and `endStream` are one bit, of different types. */
export const Flag = Object.freeze({ ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 });

/** Why a stream or a connection ends. @see RFC 9113 section 7 */
export const ErrorCode = Object.freeze({
  none: 0x0,
  protocol: 0x1,
  internal: 0x2,
  flowControl: 0x3,
  streamClosed: 0x5,
  frameSize: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compression: 0x9,
  enhanceYourCalm: 0xb,
});

/** Bytes before the payload of each frame. */
export const FRAME_HEAD_BYTES = 9;

/** The largest payload that everybody takes, and the largest that is taken here. */
export const MAX_FRAME_BYTES = 16_384;

/** The largest window, and the largest number of a stream. */
export const MAX_31_BITS = 0x7fff_ffff;

/** A frame as it came; its payload is a view of what was received. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** 0 is the connection itself. */
  readonly stream: number;
  readonly payload: Buffer;
}

/** Writes the head of a frame. */
export function writeFrameHead(
  into: Buffer,
  at: number,
  { length, type, flags, stream }: { length: number; type: number; flags: number; stream: number },
): void {
  into[at] = length >>> 16;
  into[at + 1] = length >>> 8;
  into[at + 2] = length;
  into[at + 3] = type;
  into[at + 4] = flags;
  into[at + 5] = stream >>> 24;
  into[at + 6] = stream >>> 16;
  into[at + 7] = stream >>> 8;
  into[at + 8] = stream;
}

/** A number of 32 bits, as windows and codes of errors are written. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
