import { Flag } from './frame.ts';

/** The payload of a frame without its padding; `null` if the padding is longer than the frame. @see RFC 9113 section 6.1 */
export function unpadded(payload: Buffer, flags: number): Buffer | null {
  if ((flags & Flag.padded) === 0) return payload;
  const padding = payload[0];
  return padding === undefined || padding >= payload.length ? null : payload.subarray(1, payload.length - padding);
}
