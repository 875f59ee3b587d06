import { DRAWERS, drawerOf, offsetsIn } from './index-block.ts';
import type { Statements } from './statements.ts';

/** A block of an index as it is stored: of the records from one number to another. */
export interface StoredBlock {
  /** From 0 in each segment. */
  readonly block: number;
  readonly from: number;
  readonly upto: number;
}

/**
 * The index of one segment, as anybody may read it: blocks, each written once and never touched again, so that what was seen
 * of it stays true. The records after the last block are not indexed: less than a block can hold.
 */
export class SegmentIndex {
  readonly #statements: Statements;
  readonly #carriedSize: number;
  readonly #blocks: StoredBlock[] = [];

  /** @param carriedSize records before the segment */
  constructor(statements: Statements, carriedSize: number) {
    this.#statements = statements;
    this.#carriedSize = carriedSize;
  }

  /** The blocks there are by now, in the order of their records. */
  blocks(): readonly StoredBlock[] {
    const rows = this.#statements.of('SELECT block, upto FROM index_blocks WHERE block >= ? ORDER BY block');
    for (const { block, upto } of rows.all(this.#blocks.length)) {
      const from = (this.#blocks.at(-1)?.upto ?? this.#carriedSize) + 1;
      this.#blocks.push({ block: Number(block), from, upto: Number(upto) });
    }
    return this.#blocks;
  }

  /** The number of the last record in a block. */
  indexed(): number {
    return this.blocks().at(-1)?.upto ?? this.#carriedSize;
  }

  /** The numbers of the records of a block that have a key, in their order. */
  seqs({ block, from }: StoredBlock, key: number): readonly number[] {
    return offsetsIn(this.drawer(block, drawerOf(key)), key).map((offset) => from + offset);
  }

  /** A drawer of a block; empty where there is none. */
  drawer(block: number, drawer: number): Uint8Array {
    const row = this.#statements.of('SELECT entries FROM index_drawers WHERE id = ?').get(block * DRAWERS + drawer);
    const entries = row?.['entries'];
    return entries instanceof Uint8Array ? entries : new Uint8Array();
  }

  /** How many drawers there are. */
  drawers(): number {
    return Number(this.#statements.of('SELECT count(*) AS count FROM index_drawers').get()?.['count']);
  }
}
