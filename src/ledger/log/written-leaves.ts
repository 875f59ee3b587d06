/** Leaves that were written and synced. */
export interface WrittenLeaves {
  /** Number of records before them. */
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
}

/** The same for another thread: all bytes in one buffer, which is transferred rather than copied. */
export interface PackedLeaves {
  readonly from: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** End offset of each leaf in `bytes`; each starts where the previous one ends. */
  readonly ends: readonly number[];
}

/** Packs leaves; `bytes` has its own buffer, so that it can be transferred. */
export function packedLeaves({ from, leaves }: WrittenLeaves): PackedLeaves {
  const bytes = new Uint8Array(leaves.reduce((sum, leaf) => sum + leaf.length, 0));
  let end = 0;
  const ends = leaves.map((leaf) => {
    bytes.set(leaf, end);
    end += leaf.length;
    return end;
  });
  return { from, bytes, ends };
}

/** Unpacks leaves as views of the buffer. */
export const unpackedLeaves = ({ from, bytes, ends }: PackedLeaves): WrittenLeaves => ({
  from,
  leaves: ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)),
});
