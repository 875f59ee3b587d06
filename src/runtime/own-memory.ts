/**
 * A copy in memory of its own, for bytes that are kept: Node.js cuts a small `Buffer` from 64 KiB, all of which stay as long as one such
 * `Buffer` does.
 */
export function ownMemory(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}
