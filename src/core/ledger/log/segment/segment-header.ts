import { checkpointInNote } from '../../proof/checkpoint.ts';
import { appended, rangeBytes } from '../../proof/compact-range.ts';
import type { CompactRange } from '../../proof/compact-range.ts';
import { isSameHash, leafHash, rootOf } from '../../proof/merkle.ts';
import { isProblem } from '../../../runtime/problem.ts';
import { checkpointRecordIn } from '../checkpoint-record.ts';
import type { SaidByCheckpoint } from '../checkpoint-record.ts';
import type { KeptCheckpoint } from '../kept-checkpoints.ts';
import type { Segment } from './segment.ts';

/** What signed records say of the header of a segment. */
export interface SignedHeader {
  /** When it was begun; `null` if no record says it. */
  readonly begun: number | null;
  /** The highest outbox number taken from each state file; `null` if no record says it. */
  readonly taken: ReadonlyMap<string, number> | null;
  /** Whether no record follows the record of this checkpoint, so that the header must say exactly the same. */
  readonly isAtEnd: boolean;
}

/**
 * How the header of a segment differs from what signed records say of it; `null` if it does not. Outbox numbers that are too high would
 * make the writer skip records of the state.
 */
export function segmentHeaderProblem(segment: Segment, { begun, taken, isAtEnd }: SignedHeader): string | null {
  if (begun !== null && segment.createdMs !== begun) {
    return `the header says that it was begun at ${segment.createdMs}, its records say ${begun}`;
  }
  if (taken === null) return null;
  const stored = segment.taken();
  for (const file of new Set([...taken.keys(), ...stored.keys()])) {
    const [said, signed] = [stored.get(file) ?? 0, taken.get(file) ?? 0];
    if (said < signed || (isAtEnd && said > signed)) {
      return `the header says that ${said} records of state file ${file} were taken, its records say ${signed}`;
    }
  }
  return null;
}

/** What is known of the records before a segment. */
export interface BeforeSegment {
  /** The record of the checkpoint over all of them; `null` if there are none, or if it is not known. */
  readonly last: Pick<SaidByCheckpoint, 'at' | 'begun' | 'taken'> | null;
  readonly isFollowed: boolean;
}

/** The signed state at the end of a segment, for the check of the next segment. */
export interface CheckedSegment {
  readonly last: BeforeSegment['last'];
}

/**
 * Compares every column of a segment, besides its records and their index, with its records and its checkpoints. Those are verified
 * before, so that nothing is left that could be changed unseen: the end of the segment, when it was begun, what it took from state files,
 * and the size, time and tree beside each signed note.
 *
 * @returns what is wrong, as a text
 */
export function columnProblem(segment: Segment, before: BeforeSegment): string | CheckedSegment {
  const { carried } = segment;
  let said = before.last;
  let checked: CompactRange | null = null;
  for (const row of segment.checkpoints.all()) {
    const { size } = row;
    if (!isOwnTree(row)) return `the tree beside its checkpoint of ${size} records is not the signed tree`;
    if (checked === null && carried.range.size > 0 && size !== carried.range.size) break;
    const isCarried = size === carried.range.size;
    const record = isCarried ? before.last : checkpointRecordIn(segment.leaf(size), size);
    if (record !== null && record.at !== row.atMs) {
      return `its checkpoint of ${size} records has the time ${row.atMs}, its record says ${record.at}`;
    }
    const { begun = null, taken = null } = record ?? {};
    const other = segmentHeaderProblem(segment, { begun: isCarried ? null : begun, taken, isAtEnd: false });
    if (other !== null) return other;
    said = record ?? said;
    checked = row.range;
  }
  if (checked === null && carried.range.size > 0) return 'it lacks the checkpoint of the records before it';
  return endProblem(segment, { ...before, said, checked: checked ?? carried.range }) ?? { last: said };
}

interface Checked extends BeforeSegment {
  readonly said: BeforeSegment['last'];
  /** The tree of the last checkpoint. */
  readonly checked: CompactRange;
}

function endProblem(segment: Segment, { last, said, checked, isFollowed }: Checked): string | null {
  const { carried } = segment;
  let range = checked;
  for (const { bytes } of segment.leaves(checked.size + 1)) range = appended(range, leafHash(bytes));
  const end = segment.state();
  const isEnd = Buffer.compare(rangeBytes(end.range), rangeBytes(range)) === 0;
  if (!isEnd) return `its header says that it ends with record ${end.range.size}, it ends with ${range.size}`;
  const newest = segment.leaf(range.size);
  const head = newest === undefined ? carried.head : leafHash(newest.bytes);
  if (Buffer.compare(end.head, head) !== 0) return `the hash in its header is not that of record ${range.size}`;
  const isAtEnd = range.size === checked.size;
  if (isFollowed && !isAtEnd) return `no checkpoint covers its records from ${checked.size + 1} on`;
  const begun = carried.range.size > 0 && last !== null ? last.at : null;
  return segmentHeaderProblem(segment, { begun, taken: said?.taken ?? null, isAtEnd });
}

/** Whether the size and the tree beside a note are those that it signs. */
function isOwnTree({ size, range, note }: KeptCheckpoint & { readonly size: number }): boolean {
  const head = checkpointInNote(note);
  return !isProblem(head) && head.size === size && range.size === size && isSameHash(head.root, rootOf(range.nodes));
}
