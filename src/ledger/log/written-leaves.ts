/** Leaves that were written and synced. */
export interface WrittenLeaves {
  /** Number of records before them. */
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
}

/** The same with all bytes in one buffer, which is transferred to another thread and sent on without an object for each leaf. */
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

/** Those of packed leaves from one index up to before another. */
export function partOf(packed: PackedLeaves, first: number, end: number): PackedLeaves {
  const { from, bytes, ends } = packed;
  if (first === 0 && end === ends.length) return packed;
  const start = startOf(packed, first);
  return {
    from: from + first,
    bytes: bytes.subarray(start, startOf(packed, end)),
    ends: ends.slice(first, end).map((each) => each - start),
  };
}

/** Where the leaf of an index starts; after the last leaf, where that ends. */
export const startOf = ({ ends }: PackedLeaves, index: number): number => ends[index - 1] ?? 0;

/** Number of leaves. */
export const countOf = (parts: readonly PackedLeaves[]): number =>
  parts.reduce((sum, { ends }) => sum + ends.length, 0);
