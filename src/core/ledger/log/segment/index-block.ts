import { KEY_BYTES } from '../../index-key.ts';

// All constants here are part of the format: a block is rebuilt to verify it.

/** Entries of a block are spread over this many drawers by a part of their key; a look-up reads one drawer. */
export const DRAWERS = 64;

/**
 * Limits of a block: records, and bytes of their leaves. Larger blocks mean fewer to search; smaller blocks leave fewer records
 * unindexed. Measured: a look-up takes 0.5 ms in a segment of 256 MiB, and up to 1 ms for the unindexed rest.
 */
const MAX_RECORDS = 4_096;
const MAX_BYTES = 4 * 1024 ** 2;

/** Bytes of an entry: a key, and the offset of its record from the first of the block in 2 bytes, big-endian. */
const ENTRY_BYTES = KEY_BYTES + 2;
const OFFSETS = 2 ** 16;

/** The drawer of a key. */
export const drawerOf = (key: number): number => (key >>> 24) % DRAWERS;

/** The record offsets that a drawer holds for a key, ascending. */
export function offsetsIn(drawer: Uint8Array, key: number): readonly number[] {
  const bytes = Buffer.from(drawer.buffer, drawer.byteOffset, drawer.byteLength);
  const offsets: number[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    if (bytes.readUInt32BE(at) === key) offsets.push(bytes.readUInt16BE(at + KEY_BYTES));
  }
  return offsets;
}

/** The index of consecutive records while it is being filled. Deterministic: equal records give equal drawers. */
export class IndexBlock {
  /** The number of its first record. */
  readonly from: number;
  readonly #drawers: readonly number[][] = Array.from({ length: DRAWERS }, () => []);
  #records = 0;
  #bytes = 0;

  constructor(from: number) {
    this.from = from;
  }

  /** Number of its last record; `from - 1` if it is empty. */
  get upto(): number {
    return this.from + this.#records - 1;
  }

  /** Whether it is full, which bounds the look-up in unindexed records and the cost of indexing. */
  get isFull(): boolean {
    return this.#records >= MAX_RECORDS || this.#bytes >= MAX_BYTES;
  }

  /** Adds the next record. @param bytes length of its leaf */
  add(keys: readonly number[], bytes: number): void {
    for (const key of keys) this.#drawers[drawerOf(key)]?.push(key * OFFSETS + this.#records);
    this.#records += 1;
    this.#bytes += bytes;
  }

  /** The drawers as stored, entries in record order. */
  drawers(): readonly Uint8Array[] {
    return this.#drawers.map((entries) => {
      const bytes = Buffer.allocUnsafe(entries.length * ENTRY_BYTES);
      for (const [index, entry] of entries.entries()) bytes.writeUIntBE(entry, index * ENTRY_BYTES, ENTRY_BYTES);
      return bytes;
    });
  }
}
