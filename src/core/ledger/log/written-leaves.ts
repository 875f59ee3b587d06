/** Leaves that were written and synced. */
export interface WrittenLeaves {
  /** Number of records before them. */
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
}

/**
 * The same leaves in one buffer, so that they can be sent without reading each: encoded as the field `leaves` of
 * `remit.authority.v1.Records`, each after its tag and length.
 */
export interface PackedLeaves {
  readonly from: number;
  /** Number of leaves. */
  readonly count: number;
  readonly bytes: Buffer;
}

/** Field 3, whose values have a length. */
const TAG = (3 << 3) | 2;
/** The tag, and the length of a leaf: at most 65,535 bytes. */
const MAX_HEAD_BYTES = 4;

/**
 * Most bytes of leaves packed or sent together: the memory for a message is allocated once, for this size. Any single leaf fits.
 */
export const MAX_TOGETHER_BYTES = 112 * 1024;
/** Most leaves that are packed or sent together. */
export const MAX_TOGETHER_LEAVES = 512;

/** Splits leaves into parts of at most `MAX_TOGETHER_BYTES` once packed, and `MAX_TOGETHER_LEAVES`. */
export function* partsOf({ from, leaves }: WrittenLeaves): Generator<WrittenLeaves> {
  for (let first = 0; first < leaves.length;) {
    let [end, bytes] = [first, 0];
    while (end < leaves.length && end - first < MAX_TOGETHER_LEAVES) {
      bytes += MAX_HEAD_BYTES + (leaves[end]?.length ?? 0);
      if (bytes > MAX_TOGETHER_BYTES && end > first) break;
      end += 1;
    }
    yield { from: from + first, leaves: leaves.slice(first, end) };
    first = end;
  }
}

/**
 * Packs leaves.
 *
 * @param room memory for them, if it is large enough. Default: new memory
 */
export function packedLeaves({ from, leaves }: WrittenLeaves, room?: Buffer): PackedLeaves {
  const most = leaves.reduce((sum, leaf) => sum + MAX_HEAD_BYTES + leaf.length, 0);
  const bytes = room !== undefined && most <= room.length ? room : Buffer.allocUnsafe(most);
  let at = 0;
  for (const leaf of leaves) {
    bytes[at] = TAG;
    at = afterVarint(bytes, at + 1, leaf.length);
    bytes.set(leaf, at);
    at += leaf.length;
  }
  return { from, count: leaves.length, bytes: bytes.subarray(0, at) };
}

/** The end of the leaf whose tag is at an offset: the offset of the next leaf's tag. */
export function leafEnd(bytes: Uint8Array, at: number): number {
  const start = afterHead(bytes, at);
  let length = 0;
  for (let index = start - 1; index > at; index -= 1) length = (length << 7) | ((bytes[index] ?? 0) & 0x7f);
  return start + length;
}

/** The offset at which the leaf itself starts. */
function afterHead(bytes: Uint8Array, at: number): number {
  let last = at + 1;
  while ((bytes[last] ?? 0) > 0x7f) last += 1;
  return last + 1;
}

function afterVarint(into: Uint8Array, at: number, value: number): number {
  let [end, rest] = [at, value];
  for (; rest > 0x7f; rest >>>= 7) into[end++] = (rest & 0x7f) | 0x80;
  into[end] = rest;
  return end + 1;
}
