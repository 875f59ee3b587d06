import { keysIn } from '../index-key.ts';
import { DRAWERS, IndexBlock } from './index-block.ts';
import type { SegmentIndex } from './segment-index.ts';
import type { Statements } from './statements.ts';

/** A leaf, with the keys it is to be found by. */
export interface KeyedLeaf {
  readonly bytes: Uint8Array;
  readonly keys: readonly number[];
}

/**
 * Writes the index of one segment: a block whenever one is full, by the commit that fills it. So its pages are written once, one
 * after the other like those of the records, where an index that is kept in order would change a page for each record. A commit
 * that writes a block takes a millisecond more: a block has 4,096 records at most, and their keys are held in memory.
 *
 * Lifecycle: `resume`, then `add` within each transaction that writes records. INVARIANT: not used again after one that failed.
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
   * Goes on where an index ends: with the records that are there and not in a block yet.
   *
   * @param size the number of the last record
   * @returns `null` where the index does not fit the records: to go on would hide some of them
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

  /** Takes the records that follow. */
  add(leaves: readonly KeyedLeaf[]): void {
    for (const { bytes, keys } of leaves) {
      this.#block.add(keys, bytes.length);
      if (this.#block.isFull) this.finish();
    }
  }

  /** Writes what there is as a block, full or not. */
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
