/** Copies bytes into their own memory: neither a view of a chunk, nor in the pool that small buffers share. */
export function ownCopyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
