import { isUtf8 } from 'node:buffer';

/** Up to this length checking bytes here is faster than calling the runtime. */
const SHORT_BYTES = 96;

/** Decodes UTF-8 and keeps a byte order mark; `null` if it is invalid. */
export function utf8From(bytes: Buffer, from: number = 0, to: number = bytes.length): string | null {
  if (to - from <= SHORT_BYTES && isAscii(bytes, from, to)) return bytes.toString('latin1', from, to);
  return isUtf8(bytes.subarray(from, to)) ? bytes.toString('utf8', from, to) : null;
}

function isAscii(bytes: Buffer, from: number, to: number): boolean {
  let seen = 0;
  for (let at = from; at < to; at += 1) seen |= bytes[at] ?? 0;
  return seen < 0x80;
}
