import type { RecordSink } from '../ledger/writer.ts';
import type { StoredRecord } from '../ledger/timeline.ts';
import type { EncodedRecord } from '../ledger/record.ts';
import type { Task, TaskConflict, TaskEvent, TaskState } from '../task/task.ts';
import type { StoreFailure } from './store-failure.ts';

/** A token that was issued, as it is remembered: never the token itself. */
export interface IssuedToken {
  /** base64url SHA-256 of the `jti`. */
  readonly jtiDigest: string;
  readonly audience: string;
  /** Milliseconds since the Unix epoch. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** Which tasks to list, the newest first. */
export interface TaskFilter {
  readonly id?: string;
  readonly agent?: string;
  /** By the state that holds now, so an open task past its deadline is `expired`. */
  readonly state?: TaskState;
  /** Default and bound: 1,000. */
  readonly limit?: number;
}

/** What an event did to a task: `task` is the state after it, `changed` whether it was this call that ended it. */
export interface TaskEnd {
  readonly task: Task;
  readonly changed: boolean;
}

/** What can be read while another process writes. */
export interface StoreReader {
  /**
   * The wall clock that never steps back, milliseconds since the Unix epoch; what tasks are judged by.
   */
  nowMs(): number;
  /** The task with this issuer and id, read anew each time; `undefined` where there is none. */
  taskOf(issuer: string, id: string): Task | undefined | StoreFailure;
  tasks(filter: TaskFilter): readonly Task[] | StoreFailure;
  /** The first records of a task in the order of the ledger; at most `limit`. */
  recordsOf(taskId: string, limit: number): readonly StoredRecord[] | StoreFailure;
  close(): void;
}

/**
 * Tasks, tokens and records in one file. Every write is on disk when its call returns, or nothing of it is.
 */
export interface Store extends StoreReader, RecordSink {
  /** Writes a task, its first token and the records of both in one transaction: before the token is signed. */
  insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null | StoreFailure;
  /** Applies the event in one transaction with its record. `undefined` where there is no such task. */
  endTask(
    key: { readonly issuer: string; readonly id: string },
    event: TaskEvent,
    by: string,
  ): TaskEnd | TaskConflict | undefined | StoreFailure;
  /** Ends the open tasks whose deadline has passed, at most 1,000 in one call; how many it ended. */
  endExpired(): number | StoreFailure;
  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure;
}
