import { leafEnd, type PackedLeaves } from '../../src/core/ledger/log/written-leaves.ts';

/** Unpacks leaves as views of the buffer. */
export function unpackedLeaves({ count, bytes }: Omit<PackedLeaves, 'from'>): readonly Uint8Array[] {
  let end = 0;
  return Array.from({ length: count }, () => {
    let last = end + 1;
    while ((bytes[last] ?? 0) > 0x7f) last += 1;
    end = leafEnd(bytes, end);
    return bytes.subarray(last + 1, end);
  });
}
