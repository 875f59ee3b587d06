import { keysIn } from '../../index-key.ts';
import { DRAWERS, IndexBlock } from './index-block.ts';
import type { SegmentIndex } from './segment-index.ts';
import type { Statements } from './statements.ts';

/** A leaf with its index keys. */
export interface KeyedLeaf {
  readonly bytes: Uint8Array;
  readonly keys: readonly number[];
}

/**
 * Writes the index of one segment: one block at a time, in the commit that fills it. Its pages are written once and
 * sequentially, like those of records; a sorted index would change a page per record. A commit that writes a block takes 1 ms
 * more. A block has at most 4,096 records, whose keys are held in memory.
 *
 * Lifecycle: `resume`, then `add` within each transaction that writes records. INVARIANT: not used again after a transaction
 * failed.
 */
export class IndexWriter {
  readonly #statements: Statements;
  #number: number;
  #block: IndexBlock;

  private constructor(statements: Statements, number: number, block: IndexBlock) {
    this.#statements = statements;
    this.#number = number;
    this.#block = block;
  }

  /**
   * Continues an index, after reading the records that are not in a block yet.
   *
   * @param size number of the last record
   * @returns `null` if the index does not match the records: continuing would hide some of them
   */
  static resume(statements: Statements, index: SegmentIndex, size: number): IndexWriter | null {
    const block = new IndexBlock(index.indexed() + 1);
    const rows = statements.of('SELECT keys, length(bytes) AS bytes FROM records WHERE seq >= ? ORDER BY seq');
    for (const { keys, bytes } of rows.iterate(block.from)) {
      if (keys instanceof Uint8Array) block.add(keysIn(keys), Number(bytes));
      if (block.isFull) return null;
    }
    return block.upto === size ? new IndexWriter(statements, index.blocks().length, block) : null;
  }

  /** Adds the following records. */
  add(leaves: readonly KeyedLeaf[]): void {
    for (const { bytes, keys } of leaves) {
      this.#block.add(keys, bytes.length);
      if (this.#block.isFull) this.finish();
    }
  }

  /** Writes the rest as a block, full or not. */
  finish(): void {
    const { from, upto } = this.#block;
    if (upto < from) return;
    this.#statements.of('INSERT INTO index_blocks VALUES (?,?)').run(this.#number, upto);
    const write = this.#statements.of('INSERT INTO index_drawers VALUES (?,?)');
    for (const [drawer, entries] of this.#block.drawers().entries())
      write.run(this.#number * DRAWERS + drawer, entries);
    this.#number += 1;
    this.#block = new IndexBlock(upto + 1);
  }
}
