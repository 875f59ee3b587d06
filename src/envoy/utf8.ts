import { isUtf8 } from 'node:buffer';

/** Up to here a look at each byte is quicker than a call into the runtime. */
const SHORT_BYTES = 96;

/** The text in these bytes, a byte order mark kept; `null` where they are not UTF-8. */
export function utf8From(bytes: Buffer, from: number = 0, to: number = bytes.length): string | null {
  if (to - from <= SHORT_BYTES && isAscii(bytes, from, to)) return bytes.toString('latin1', from, to);
  return isUtf8(bytes.subarray(from, to)) ? bytes.toString('utf8', from, to) : null;
}

function isAscii(bytes: Buffer, from: number, to: number): boolean {
  let seen = 0;
  for (let at = from; at < to; at += 1) seen |= bytes[at] ?? 0;
  return seen < 0x80;
}
