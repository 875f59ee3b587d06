import { base64OrNothing, tornSeam } from '../../proof/seam.ts';
import { unexplained } from '../../given-up.ts';
import { isStoreFailure } from '../../../runtime/store-failure.ts';
import type { StoreFailure } from '../../../runtime/store-failure.ts';
import { closedSegment } from './closed-segment.ts';
import type { LogState } from '../log-state.ts';
import type { Segment } from './segment.ts';
import { segmentsIn } from './segment-files.ts';
import { carriedOf } from '../stored-log.ts';
import { logCannotContinue } from './unfit.ts';

/** The first and last record of a segment, as it claims. */
export interface SegmentEnds {
  readonly path: string;
  readonly origin: string;
  readonly carried: LogState;
  readonly end: LogState;
}

const endsOf = (segment: Segment): SegmentEnds => ({
  path: segment.path,
  origin: segment.origin,
  carried: segment.carried,
  end: segment.state(),
});

/**
 * The segments of a log from its first kept record on, oldest first; they must be complete and contiguous. Reads each segment once; only
 * a verifier checks the records within.
 *
 * @param options `segment` is the current segment, which is not reopened; `first` the first record that is kept
 */
export function keptSegments(
  folder: string,
  { segment, first }: { readonly segment: Segment; readonly first: number },
): readonly SegmentEnds[] | StoreFailure {
  const kept: SegmentEnds[] = [];
  for (const { path, carriedSize } of segmentsIn(folder)) {
    if (carriedSize + 1 < first) continue;
    const ends = path === segment.path ? endsOf(segment) : closedSegment(path, endsOf);
    if (isStoreFailure(ends)) return ends.code === 'busy' ? ends : logCannotContinue(ends.detail);
    if (ends.carried.range.size !== carriedSize)
      return logCannotContinue(`\`${path}\` begins after record ${ends.carried.range.size}`);
    kept.push(ends);
  }
  const hole = holeProblem(kept, first);
  return hole === null ? kept : logCannotContinue(hole);
}

/** Which records are missing, or how segments do not fit together; `null` if all are there. */
function holeProblem(segments: readonly SegmentEnds[], first: number): string | null {
  const [oldest] = segments;
  if (oldest === undefined) return 'it has no segment';
  const { size } = oldest.carried.range;
  if (size >= first) return unexplained({ from: first, to: size });
  for (const [index, { end, origin }] of segments.entries()) {
    const next = segments[index + 1];
    if (next === undefined) break;
    const prev = base64OrNothing(end.head.length === 0 ? null : end.head);
    const torn = tornSeam(
      { origin: next.origin, carried: carriedOf(next.carried) },
      { origin, range: end.range, prev },
    );
    if (torn !== null) return torn.problem;
  }
  return null;
}
