import { existsSync } from 'node:fs';
import { checkpointRecordIn } from './checkpoint-record.ts';
import type { LogState } from './log-state.ts';
import { recordBytesIn } from '../proof/leaf.ts';
import type { StoredRecord } from '../timeline.ts';
import { failureOfSqlite } from '../../sqlite/sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { isExecution, recordMembersIn } from '../search/index-builder.ts';
import { executedIn } from '../search/executed-calls.ts';
import { indexKeysFor } from '../search/record-query.ts';
import { openIndexParts } from './segment/index-parts.ts';
import type { OpenParts, SegmentPart } from './segment/index-parts.ts';
import { keysOf } from './segment/record-filter.ts';
import type { RecordFilter } from './segment/record-filter.ts';
import { Segment } from './segment/segment.ts';
import type { PlacedLeaf } from './segment/segment.ts';
import { segmentsIn } from './segment/segment-files.ts';
import { foundIn, indexedIn } from './segment/segment-search.ts';
import type { SearchOrder } from './segment/segment-search.ts';

/** How far a record's instant may lie outside the time span of its segment: a clock may have been set, a record may have waited. */
const TIME_SLACK_MS = 24 * 3_600_000;

/** How many records before its use the outcome of a call may be written. */
const MAX_EARLY = 10_000;

/**
 * A log for readers, beside the writing process or from a copy: the segments that exist when it is opened. Generators throw
 * read failures; `readLog` catches them.
 *
 * Lifecycle: `close` once.
 */
export class LogReader {
  readonly origin: string;
  /** The state before the first remaining record. */
  readonly carried: LogState;
  readonly segments: readonly Segment[];
  readonly #parts = new Map<Segment, OpenParts>();
  #executed: ReadonlySet<string> | null = null;

  private constructor(first: Segment, segments: readonly Segment[]) {
    this.origin = first.origin;
    this.carried = first.carried;
    this.segments = segments;
  }

  /** Opens the log in a folder; `null` if there is none, `busy` if segments are pruned again and again meanwhile. */
  static open(folder: string): LogReader | StoreFailure | null {
    if (!existsSync(folder)) return null;
    for (let attempt = 1; ; attempt++) {
      const opened = openSegments(folder);
      if (isStoreFailure(opened)) return opened;
      if (opened !== 'given-up') return opened[0] === undefined ? null : new LogReader(opened[0], opened);
      // The record that pruned it may be in a segment created after the folder was listed.
      if (attempt === MAX_ATTEMPTS)
        return storeFailure('busy', `segments of \`${folder}\` are deleted while it is read`);
    }
  }

  /** All leaves from a number on. */
  *leaves(fromSeq = 1): Generator<PlacedLeaf> {
    for (const segment of this.segments) yield* segment.leaves(fromSeq);
  }

  /** The notes of all checkpoints by size; a checkpoint carried over between segments appears once. */
  *checkpoints(): Generator<{ readonly note: string }> {
    let last: string | null = null;
    for (const segment of this.segments) {
      for (const note of segment.checkpoints.notes()) {
        if (note !== last) yield { note };
        last = note;
      }
    }
  }

  /**
   * The matching leaves, read a few at a time: no reader, however slow, blocks the writer. Of `isUnexecuted` it throws `TooManyUnindexed`,
   * before the first leaf.
   */
  *found(filter: RecordFilter, order: SearchOrder): Generator<PlacedLeaf> {
    const segments = this.#within(filter);
    const isIndexed = indexKeysFor(filter).length > 0;
    for (const segment of order.isNewestFirst ? segments.toReversed() : segments) {
      const found = foundIn(segment, filter, order, isIndexed ? this.#partsOf(segment).parts : []);
      if (filter.isUnexecuted === undefined) yield* found;
      else for (const leaf of found) if (!this.#isExecuted(leaf)) yield leaf;
    }
  }

  /** Whether a search for a filter uses an index. Only verification shows that an index hides no record. */
  isIndexed(filter: RecordFilter): boolean {
    const hasParts = (segment: Segment): boolean => this.#partsOf(segment).parts.length > 0;
    return keysOf(filter).length > 0 || (indexKeysFor(filter).length > 0 && this.segments.some(hasParts));
  }

  /** Why parts of indexes could not be used so far. Their records were read one by one instead. */
  indexProblems(): readonly string[] {
    return [...this.#parts.values()].flatMap(({ problem }) => problem ?? []);
  }

  /** The first records of a task; at most `limit`. */
  recordsOf(taskId: string, limit: number): readonly StoredRecord[] {
    const leaves = this.found({ task: taskId }, { isNewestFirst: false }).take(limit);
    return leaves.map(({ seq, bytes }) => ({ seq, bytes: recordBytesIn(bytes) })).toArray();
  }

  /** Number of records, pruned records included. */
  get size(): number {
    return this.segments.at(-1)?.state().range.size ?? 0;
  }

  /** The last record of the use with a decision id (a withdrawn allow has two); `undefined` if there is none. */
  useOf(decisionId: string): PlacedLeaf | undefined {
    const [leaf] = this.found({ decisionId, kind: 'use' }, { isNewestFirst: true }).take(1);
    return leaf;
  }

  /** The highest outbox number taken from a state file. */
  takenOf(fileId: string): number {
    return this.segments.at(-1)?.taken().get(fileId) ?? 0;
  }

  close(): void {
    for (const { file } of [...this.#parts.values()].flatMap(({ parts }) => parts)) file.close();
    this.#parts.clear();
    for (const segment of this.segments) segment.close();
  }

  #partsOf(segment: Segment): OpenParts {
    const known = this.#parts.get(segment);
    if (known !== undefined) return known;
    const opened = openIndexParts(segment);
    this.#parts.set(segment, opened);
    return opened;
  }

  /** The number of the last record that a part of an index covers. */
  #indexedUpto(segment: Segment): number {
    return this.#partsOf(segment).parts.at(-1)?.upto ?? segment.carried.range.size;
  }

  /** Whether an outcome says that an upstream answered a call. An outcome may be written a little before its use. */
  #isExecuted({ seq, bytes }: PlacedLeaf): boolean {
    const decisionId = recordMembersIn(bytes)?.['decisionId'];
    if (typeof decisionId !== 'string') return false;
    this.#executed ??= this.#unindexedExecutions();
    if (this.#executed.has(decisionId)) return true;
    const outcome = { kind: 'outcome', decisionId };
    const isLater = ({ upto }: SegmentPart): boolean => upto >= seq - MAX_EARLY;
    return this.segments
      .values()
      .flatMap((segment) =>
        indexedIn(segment, outcome, { isNewestFirst: false }, this.#partsOf(segment).parts.filter(isLater)),
      )
      .some((leaf) => isExecution(recordMembersIn(leaf.bytes) ?? {}));
  }

  /** The decision ids of executed calls, from the outcomes that no part of an index covers. */
  #unindexedExecutions(): ReadonlySet<string> {
    return executedIn(
      this.segments
        .values()
        .flatMap((segment) =>
          foundIn(segment, { kind: 'outcome', fromSeq: this.#indexedUpto(segment) + 1 }, { isNewestFirst: false }),
        ),
    );
  }

  /** The segments that can contain records of the given time and number, so that a query for today does not read a year. */
  #within({ sinceMs = 0, untilMs = Number.POSITIVE_INFINITY, fromSeq = 1 }: RecordFilter): readonly Segment[] {
    return this.segments.filter((_, index) => {
      const next = this.segments[index + 1];
      if (next !== undefined && next.carried.range.size < fromSeq) return false;
      const [beginMs, endMs] = [this.#endMsOf(index - 1), this.#endMsOf(index)];
      if (beginMs !== null && beginMs - TIME_SLACK_MS > untilMs) return false;
      return endMs === null || endMs + TIME_SLACK_MS >= sinceMs;
    });
  }

  /**
   * When the last record of a segment was written, by that record: a segment that another segment follows ends with the record of a
   * checkpoint. INVARIANT: no column decides what is read, because no checkpoint covers columns. `null`, if the records do not say it, skips nothing.
   */
  #endMsOf(index: number): number | null {
    const [segment, next] = [this.segments[index], this.segments[index + 1]];
    if (segment === undefined || next === undefined) return null;
    const { size } = next.carried.range;
    return checkpointRecordIn(segment.leaf(size), size)?.at ?? null;
  }
}

/** Attempts to list a folder when segments are deleted meanwhile. */
const MAX_ATTEMPTS = 10;

/** Opens the segments of a folder; `given-up` if a listed segment has been deleted. A failure leaves nothing open. */
function openSegments(folder: string): readonly Segment[] | StoreFailure | 'given-up' {
  const segments: Segment[] = [];
  for (const { path } of segmentsIn(folder)) {
    const segment = Segment.open(path, 'read');
    if (segment instanceof Segment) segments.push(segment);
    // The newest may still be under construction.
    else if (segment !== 'unfinished') {
      for (const opened of segments) opened.close();
      return existsSync(path) ? segment : 'given-up';
    }
  }
  return segments;
}

/** Opens a log, passes it to `use` and closes it; `null` if the folder contains none. Throws errors that are not of SQLite. */
export function readLog<T>(folder: string, use: (log: LogReader) => T): T | StoreFailure | null {
  let log: LogReader | StoreFailure | null = null;
  try {
    log = LogReader.open(folder);
    return log === null || isStoreFailure(log) ? log : use(log);
  } catch (error) {
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    return failure;
  } finally {
    if (log instanceof LogReader) log.close();
  }
}
