import { DRAWERS, drawerOf, offsetsIn } from './index-block.ts';
import type { Statements } from './statements.ts';

/** A stored index block: a range of record numbers. */
export interface StoredBlock {
  /** From 0 in each segment. */
  readonly block: number;
  readonly from: number;
  readonly upto: number;
}

/**
 * The index of one segment for readers. Blocks are written once and never changed, so that cached blocks stay valid. The records
 * after the last block are unindexed: fewer than a block holds.
 */
export class SegmentIndex {
  readonly #statements: Statements;
  readonly #carriedSize: number;
  readonly #blocks: StoredBlock[] = [];

  /** @param carriedSize number of records before the segment */
  constructor(statements: Statements, carriedSize: number) {
    this.#statements = statements;
    this.#carriedSize = carriedSize;
  }

  /** The current blocks, in record order. */
  blocks(): readonly StoredBlock[] {
    const rows = this.#statements.of('SELECT block, upto FROM index_blocks WHERE block >= ? ORDER BY block');
    for (const { block, upto } of rows.all(this.#blocks.length)) {
      const from = (this.#blocks.at(-1)?.upto ?? this.#carriedSize) + 1;
      this.#blocks.push({ block: Number(block), from, upto: Number(upto) });
    }
    return this.#blocks;
  }

  /** Number of the last indexed record. */
  indexed(): number {
    return this.blocks().at(-1)?.upto ?? this.#carriedSize;
  }

  /** Numbers of the records in a block that have a key, ascending. */
  seqs({ block, from }: StoredBlock, key: number): readonly number[] {
    return offsetsIn(this.drawer(block, drawerOf(key)), key).map((offset) => from + offset);
  }

  /** A drawer of a block; empty if there is none. */
  drawer(block: number, drawer: number): Uint8Array {
    const row = this.#statements.of('SELECT entries FROM index_drawers WHERE id = ?').get(block * DRAWERS + drawer);
    const entries = row?.['entries'];
    return entries instanceof Uint8Array ? entries : new Uint8Array();
  }

  /** Number of drawers. */
  drawers(): number {
    return Number(this.#statements.of('SELECT count(*) AS count FROM index_drawers').get()?.['count']);
  }
}
