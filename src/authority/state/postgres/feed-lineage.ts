import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { lostCommits } from '../../../core/state/lost-commits.ts';
import type { Statement } from './flight.ts';

/** A change of the feed: its number, and the mark that no other change has. */
interface SeenChange {
  readonly seq: number;
  readonly mark: string;
}

/** The last change, the mark of an earlier change, and the first change that is kept. */
const MARKS = `SELECT h.seq, (SELECT mark FROM remit.feed WHERE part = 0 AND seq = h.seq) AS mark,
    (SELECT mark FROM remit.feed WHERE part = 0 AND seq = $1) AS seen, (SELECT min(seq) FROM remit.feed WHERE part = 0) AS first
  FROM remit.feed_head h WHERE h.part = 0`;

/**
 * Whether the database still has the changes that this process has seen in it. After a standby that lacked commits was promoted,
 * or a backup was restored, it does not, and soon gives the same numbers to other changes: so each change has a random mark.
 */
export class FeedLineage {
  #seen: SeenChange | null = null;

  /** Asks for the marks; `proceed` takes the answer. */
  get question(): Statement {
    return { text: MARKS, values: [this.#seen?.seq ?? 0] };
  }

  /**
   * Compares the answer with what was seen before, and remembers its last change. A failure is permanent, until the database has
   * the lost changes again.
   */
  proceed(row: Readonly<Record<string, unknown>> | undefined): null | StoreFailure {
    const lost = this.lossIn(row);
    if (lost === null && typeof row?.['mark'] === 'string')
      this.#seen = { seq: Number(row['seq'] ?? 0), mark: row['mark'] };
    return lost;
  }

  /** Compares the answer alone. */
  lossIn(row: Readonly<Record<string, unknown>> | undefined): null | StoreFailure {
    if (this.#seen === null) return null;
    const [seq, first] = [Number(row?.['seq'] ?? 0), row?.['first'] ?? null];
    // A change from before the first that is kept was deleted for its age.
    const isKept = first !== null && Number(first) <= this.#seen.seq;
    return seq < this.#seen.seq || (isKept && row?.['seen'] !== this.#seen.mark)
      ? lostCommits(`change ${this.#seen.seq} that an authority has seen`)
      : null;
  }
}
