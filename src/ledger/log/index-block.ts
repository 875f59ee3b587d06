import { KEY_BYTES } from '../index-key.ts';

// All of these are part of the format: a block is made anew to verify it.

/** Entries of a block are kept in so many drawers, by a part of their key: to look one up reads one drawer. */
export const DRAWERS = 64;

/**
 * Records of a block at most, and bytes of their leaves: a block that has one of both is full. Larger blocks are fewer to look
 * into, smaller ones leave less that is not in any yet: as measured, a look-up takes half a millisecond in a segment of 256 MiB, and
 * up to one for what comes after the index.
 */
const MAX_RECORDS = 4_096;
const MAX_BYTES = 4 * 1024 ** 2;

/** An entry is a key and, in 2 bytes, how far its record is from the first one of the block; both big-endian. */
const ENTRY_BYTES = KEY_BYTES + 2;
const OFFSETS = 2 ** 16;

/** Which drawer has the entries of a key. */
export const drawerOf = (key: number): number => (key >>> 24) % DRAWERS;

/** How far the records are that a drawer has under a key, from the first record of its block; in their order. */
export function offsetsIn(drawer: Uint8Array, key: number): readonly number[] {
  const bytes = Buffer.from(drawer.buffer, drawer.byteOffset, drawer.byteLength);
  const offsets: number[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    if (bytes.readUInt32BE(at) === key) offsets.push(bytes.readUInt16BE(at + KEY_BYTES));
  }
  return offsets;
}

/**
 * The index of some records that follow each other, while it is filled. It says nothing that the records do not: the same
 * records have the same drawers.
 */
export class IndexBlock {
  /** The number of its first record. */
  readonly from: number;
  readonly #drawers: readonly number[][] = Array.from({ length: DRAWERS }, () => []);
  #records = 0;
  #bytes = 0;

  constructor(from: number) {
    this.from = from;
  }

  /** The number of its last record; `from - 1` where it has none. */
  get upto(): number {
    return this.from + this.#records - 1;
  }

  /** Whether no record may follow: what bounds a look-up in records that are not indexed yet, and the work of indexing. */
  get isFull(): boolean {
    return this.#records >= MAX_RECORDS || this.#bytes >= MAX_BYTES;
  }

  /** Takes the next record. @param bytes of its leaf, how many */
  add(keys: readonly number[], bytes: number): void {
    for (const key of keys) this.#drawers[drawerOf(key)]?.push(key * OFFSETS + this.#records);
    this.#records += 1;
    this.#bytes += bytes;
  }

  /** The drawers as they are stored, entries in the order of their records. */
  drawers(): readonly Uint8Array[] {
    return this.#drawers.map((entries) => {
      const bytes = Buffer.allocUnsafe(entries.length * ENTRY_BYTES);
      for (const [index, entry] of entries.entries()) bytes.writeUIntBE(entry, index * ENTRY_BYTES, ENTRY_BYTES);
      return bytes;
    });
  }
}
