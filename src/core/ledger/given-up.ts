import { base64Of } from './proof/base64.ts';
import type { JsonValue } from './canonical-json.ts';
import type { CompactRange } from './proof/compact-range.ts';
import { rootOf } from './proof/merkle.ts';
import { broken, recordsText, type Broken, type RecordRange } from './proof/verdict.ts';

/** Looks for the record that explains why a log does not start with record 1, in log order. */
export interface GivenUpWatch {
  readonly see: (seq: number, record: { readonly [name: string]: JsonValue }) => void;
  /** Called for each valid head: the records before it are signed. */
  readonly signed: () => void;
  /**
   * The number of the record that pruned the missing records; `null` if none are missing. Broken if no record explains them.
   */
  readonly found: () => number | null | Broken;
}

interface GivenUp {
  readonly seq: number;
  /** The last pruned record. */
  readonly to: number;
  readonly root: JsonValue | undefined;
}

/**
 * Checks that missing records were pruned by the log itself. Records are deleted only after a `pruned` record that names them
 * is signed, so a signed `pruned` record must remain. An unsigned record could have been written by anybody who deleted them.
 *
 * @param carried the tree over the missing records; empty if none are
 */
export function givenUpWatch(carried: CompactRange): GivenUpWatch {
  let last: GivenUp | null = null;
  let lastSigned: GivenUp | null = null;
  return {
    see: (seq, { kind, to, root }) => {
      if (kind === 'pruned' && typeof to === 'number' && to > (last?.to ?? 0)) last = { seq, to, root };
    },
    signed: () => {
      lastSigned = last;
    },
    found: () => {
      if (carried.size === 0) return null;
      if (lastSigned === null || lastSigned.to < carried.size) {
        return lostRecords({ from: (lastSigned?.to ?? 0) + 1, to: carried.size });
      }
      // Files that survive a crash leave a seam at the cut, whose tree is covered by later heads.
      const isOther = lastSigned.to === carried.size && lastSigned.root !== base64Of(rootOf(carried.nodes));
      return isOther
        ? broken('record', lastSigned.seq, 'names other pruned records than those missing')
        : lastSigned.seq;
    },
  };
}

/** The verdict for missing records that no record explains. */
const lostRecords = (lost: RecordRange): Broken => broken('log', lost.to, unexplained(lost), { lost });

/** The message for missing records at the start of a log. */
export const unexplained = (lost: RecordRange): string =>
  `${recordsText(lost)} missing, and no signed record says that ${lost.from === lost.to ? 'it was' : 'they were'} pruned`;
