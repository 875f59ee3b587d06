/** The head of a log as its checkpoints sign it. */
import { openedCheckpoint } from '../proof/checkpoint.ts';
import { appended } from '../proof/compact-range.ts';
import { isSameHash, leafHash, rootOf } from '../proof/merkle.ts';
import type { NoteKey } from '../proof/note-key.ts';
import { recordsText } from '../proof/verdict.ts';
import type { RecordRange } from '../proof/verdict.ts';
import { isProblem } from '../../runtime/problem.ts';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { checkpointRecordIn } from './checkpoint-record.ts';
import type { SaidByCheckpoint } from './checkpoint-record.ts';
import { closedSegment } from './segment/closed-segment.ts';
import type { KeptCheckpoint } from './kept-checkpoints.ts';
import type { SegmentEnds } from './segment/segment-ends.ts';
import type { Segment } from './segment/segment.ts';
import { segmentHeaderProblem } from './segment/segment-header.ts';
import { segmentsIn } from './segment/segment-files.ts';
import type { SegmentFile } from './segment/segment-files.ts';
import { logCannotContinue } from './segment/unfit.ts';

/** What the record of a checkpoint says, and its leaf hash. */
type Head = SaidByCheckpoint & { readonly hash: Uint8Array };

/**
 * The first record that a log keeps, by the record of its last checkpoint; 1 before the first checkpoint.
 *
 * @param segment the newest segment, whose last checkpoint has a verified signature
 */
export function signedFirst(segment: Segment, folder: string): number | StoreFailure {
  const last = segment.checkpoints.last();
  if (last === null)
    return segment.carried.range.size === 0 ? 1 : logCannotContinue('its last segment has no checkpoint');
  const { size } = last.range;
  const isOwn = size > segment.carried.range.size;
  const head = isOwn ? headIn(segment, last) : carriedHead(last, segmentsIn(folder));
  if (isStoreFailure(head)) return head;
  const stands = segment.state();
  const isAtEnd = stands.range.size === size;
  if (isAtEnd && !isSameHash(stands.head, head.hash))
    return logCannotContinue(`its stored head does not match record ${size}`);
  const other = segmentHeaderProblem(segment, { begun: isOwn ? head.begun : head.at, taken: head.taken, isAtEnd });
  return other === null ? head.first : logCannotContinue(`of its last segment ${other}`);
}

/** For a segment without signed records of its own: the last head of the previous segment. */
function carriedHead(last: KeptCheckpoint, segments: readonly SegmentFile[]): Head | StoreFailure {
  const { size } = last.range;
  const home = segments.findLast(({ carriedSize }) => carriedSize < size);
  if (home === undefined) return missing({ from: 1, to: size });
  return headOfClosed(home.path, (segment) => {
    const end = segment.state().range.size;
    return end < size ? missing({ from: end + 1, to: size }) : headIn(segment, last);
  });
}

/**
 * When the last record of a closed segment was written. Its last checkpoint, signed by `key`, must cover all of it.
 *
 * @returns milliseconds since the Unix epoch
 */
export function signedEndMs({ path, end }: SegmentEnds, key: NoteKey): number | StoreFailure {
  const head = headOfClosed(path, (segment) => {
    const last = segment.checkpoints.last();
    const signed = last === null ? null : openedCheckpoint(last.note, key);
    const isWhole =
      last !== null &&
      signed !== null &&
      !isProblem(signed) &&
      [last.range, end.range].every(
        ({ size, nodes }) => size === signed.size && isSameHash(rootOf(nodes), signed.root),
      );
    return isWhole ? headIn(segment, last) : logCannotContinue(`\`${path}\` is not signed to its end`);
  });
  return isStoreFailure(head) ? head : head.at;
}

function headOfClosed(path: string, use: (segment: Segment) => Head | StoreFailure): Head | StoreFailure {
  const head = closedSegment(path, use);
  return isStoreFailure(head) && head.code === 'unusable' ? logCannotContinue(head.detail) : head;
}

/**
 * The record of a checkpoint. INVARIANT: trusted only because it leads to the signed root. The tree it starts from need not be
 * trusted: another tree or record would lead to another root.
 */
function headIn(home: Segment, { range: signed }: KeptCheckpoint): Head | StoreFailure {
  let { range } = home.checkpoints.near(signed.size - 1, 'up-to') ?? home.carried;
  let record: Uint8Array | null = null;
  for (const { seq, bytes } of home.leaves(range.size + 1)) {
    if (seq !== range.size + 1 || seq > signed.size) break;
    range = appended(range, leafHash(bytes));
    record = bytes;
  }
  if (record === null || range.size !== signed.size) return missing({ from: range.size + 1, to: range.size + 1 });
  if (!isSameHash(rootOf(range.nodes), rootOf(signed.nodes))) {
    return logCannotContinue(`its records up to ${signed.size} are not those that were signed`);
  }
  const said = checkpointRecordIn({ seq: signed.size, bytes: record }, signed.size);
  return said === null
    ? logCannotContinue(`record ${signed.size} is not a checkpoint`)
    : { ...said, hash: leafHash(record) };
}

const missing = (lost: RecordRange): StoreFailure => logCannotContinue(`${recordsText(lost)} missing`);
