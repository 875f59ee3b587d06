import { rangeBytes } from '../proof/compact-range.ts';
import type { CompactRange } from '../proof/compact-range.ts';
import { mustRange } from './log-state.ts';
import type { Row, Statements } from './segment/statements.ts';

/** A stored checkpoint: the signed note and its tree. */
export interface KeptCheckpoint {
  readonly atMs: number;
  readonly range: CompactRange;
  readonly note: string;
}

/** The checkpoints of one segment. */
export class KeptCheckpoints {
  readonly #statements: Statements;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  /** Adds a checkpoint. Call it within a transaction. */
  add({ atMs, range, note }: KeptCheckpoint): void {
    const write = this.#statements.of('INSERT INTO checkpoints (size, at_ms, range, note) VALUES (?,?,?,?)');
    write.run(range.size, atMs, rangeBytes(range), note);
  }

  /** The last checkpoint. */
  last(): KeptCheckpoint | null {
    return this.near(Number.MAX_SAFE_INTEGER, 'up-to');
  }

  /** The checkpoint of the largest size up to `size`, or of the smallest size from it on. */
  near(size: number, side: 'up-to' | 'from'): KeptCheckpoint | null {
    const [compare, order] = side === 'from' ? ['>=', 'ASC'] : ['<=', 'DESC'];
    const sql = `SELECT * FROM checkpoints WHERE size ${compare} ? ORDER BY size ${order} LIMIT 1`;
    const row = this.#statements.of(sql).get(size);
    return row === undefined ? null : checkpointFrom(row);
  }

  /** All of them by size, each with the size it is stored under. */
  *all(): Generator<KeptCheckpoint & { readonly size: number }> {
    for (const row of this.#statements.another('SELECT * FROM checkpoints ORDER BY size').iterate())
      yield { size: Number(row['size']), ...checkpointFrom(row) };
  }

  /** All notes by size; the first may be carried over from the previous segment. */
  *notes(): Generator<string> {
    for (const row of this.#statements.another('SELECT note FROM checkpoints ORDER BY size').iterate())
      yield String(row['note']);
  }
}

const checkpointFrom = (row: Row): KeptCheckpoint => ({
  atMs: Number(row['at_ms']),
  range: mustRange(row['range']),
  note: String(row['note']),
});
