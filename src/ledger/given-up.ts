import { base64Of } from './base64.ts';
import type { JsonValue } from './canonical-json.ts';
import type { CompactRange } from './compact-range.ts';
import { rootOf } from './merkle.ts';
import { broken, recordsText, type Broken, type Records } from './verdict.ts';

/** Looks for the record that explains why a log does not begin with record 1, in the order of the records. */
export interface GivenUpWatch {
  readonly see: (seq: number, record: { readonly [name: string]: JsonValue }) => void;
  /** Called for each head that was found right: what was seen before is signed. */
  readonly signed: () => void;
  /** The number of the record that gives up the missing records; `null` where none is missing. Broken where no record does. */
  readonly found: () => number | null | Broken;
}

interface GivenUp {
  readonly seq: number;
  /** The last record that is given up. */
  readonly to: number;
  readonly root: JsonValue | undefined;
}

/**
 * The check that missing records were given up by the log itself. Records are deleted after a `pruned` record that names them is
 * signed, so a signed one must be left; one under no head could have been written by whoever deleted them.
 *
 * @param carried the tree over the records that are missing; empty where none is
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
      // Where files are left over after a crash, the tree at the cut is that of a seam, which the heads after it vouch for.
      const isOther = lastSigned.to === carried.size && lastSigned.root !== base64Of(rootOf(carried.nodes));
      return isOther
        ? broken('record', lastSigned.seq, 'gives up other records than those that are gone')
        : lastSigned.seq;
    },
  };
}

/** The verdict on records at the beginning that nobody gave up. */
const lostRecords = (lost: Records): Broken => broken('log', lost.to, unexplained(lost), { lost });

/** What is said of records that are missing at the beginning of a log. */
export const unexplained = (lost: Records): string =>
  `${recordsText(lost)} missing, and no signed record gives ${lost.from === lost.to ? 'it' : 'them'} up`;
