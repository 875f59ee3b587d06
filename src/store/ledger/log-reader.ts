import { existsSync } from 'node:fs';
import type { LogState } from './segment.ts';
import { recordBytesIn } from '../../ledger/leaf.ts';
import type { StoredRecord } from '../../ledger/timeline.ts';
import { failureOfSqlite, isStoreFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';
import { Segment } from './segment.ts';
import { segmentsIn } from './segment-files.ts';

/** A leaf with its place. */
export interface PlacedLeaf {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/**
 * A log as anybody may read it, beside the process that writes it: the segments that are there when it is opened. Failures
 * of reading are thrown by the generators and caught by `readLog`.
 */
export class LogReader {
  readonly origin: string;
  /** What came before the first record that is left. */
  readonly carried: LogState;
  readonly segments: readonly Segment[];

  constructor(first: Segment, segments: readonly Segment[]) {
    this.origin = first.origin;
    this.carried = first.carried;
    this.segments = segments;
  }

  /** All leaves from a number on. */
  *leaves(fromSeq = 1): Generator<PlacedLeaf> {
    for (const segment of this.segments) yield* segment.leaves(fromSeq);
  }

  /** The notes of all checkpoints, by size. */
  *checkpoints(): Generator<{ readonly note: string; readonly atMs: number }> {
    let last = 0;
    for (const segment of this.segments) {
      for (const checkpoint of segment.checkpoints()) {
        if (checkpoint.range.size > last) yield checkpoint;
        last = Math.max(last, checkpoint.range.size);
      }
    }
  }

  /** The leaves whose columns meet a condition. @param where SQL of this module's callers, never of a user */
  *find(where: string, values: readonly (string | number)[]): Generator<PlacedLeaf> {
    for (const segment of this.segments) yield* segment.rows(where, values);
  }

  /** The first records of a task; at most `limit`. */
  recordsOf(taskId: string, limit: number): readonly StoredRecord[] {
    const records: StoredRecord[] = [];
    for (const { seq, bytes } of this.find('task = ?', [taskId])) {
      if (records.length >= limit) break;
      records.push({ seq, bytes: recordBytesIn(bytes) });
    }
    return records;
  }

  /** The last record of the use with a decision id: an allow that did not hold has two. `undefined` where there is none. */
  useOf(decisionId: string): StoredRecord | undefined {
    const leaf = [...this.find("decision_id = ? AND kind = 'use'", [decisionId])].at(-1);
    return leaf === undefined ? undefined : { seq: leaf.seq, bytes: recordBytesIn(leaf.bytes) };
  }

  /** How far the outbox of a state file was taken. */
  takenOf(fileId: string): number {
    return this.segments.at(-1)?.taken().get(fileId) ?? 0;
  }
}

/** Opens a log for reading, hands it on, and closes it; `null` where the folder holds none. */
export function readLog<T>(folder: string, use: (log: LogReader) => T): T | StoreFailure | null {
  const segments: Segment[] = [];
  try {
    if (!existsSync(folder)) return null;
    for (const { path } of segmentsIn(folder)) {
      const segment = Segment.open(path, 'read');
      // The newest may be in the making.
      if (segment === 'unfinished') continue;
      if (isStoreFailure(segment)) return segment;
      segments.push(segment);
    }
    const [first] = segments;
    return first === undefined ? null : use(new LogReader(first, segments));
  } catch (error) {
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    return failure;
  } finally {
    for (const segment of segments) segment.close();
  }
}
