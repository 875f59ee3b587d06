/** Frames of HTTP/2: types, flags, errors, and their encoding. */

/** Frame types. @see RFC 9113 section 6 */
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

/** Frame flags. `ack` and `endStream` are the same bit, for different frame types. */
export const Flag = Object.freeze({ ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 });

/** Error codes of streams and connections. @see RFC 9113 section 7 */
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

/** Bytes of a frame's head. */
export const FRAME_HEAD_BYTES = 9;

/**
 * The default and smallest allowed SETTINGS_MAX_FRAME_SIZE: the largest payload accepted here, and every peer accepts it.
 */
export const MAX_FRAME_BYTES = 16_384;

/** Largest flow-control window and largest stream id. */
export const MAX_31_BITS = 0x7fff_ffff;

/** A received frame. Its payload is a view of the received bytes. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** Stream id; 0 is the connection. */
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

/** A 32-bit big-endian number, as in window updates and error codes. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
