/** A copy that nothing else is kept for: it is a view of no chunk, and not in the pool that small buffers share. */
export function ownCopyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
