import type { EncodedRecord } from '../ledger/encoded-record.ts';
import type { StoredRecord } from '../ledger/timeline.ts';
import type { LimitPeak, LimitUse, LimitUseFilter } from './limit-use.ts';
import type { Orders } from '../order/orders.ts';
import type { OpenTaskCount } from '../limit/open-task-uses.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import type { TaskHistory } from '../task/history.ts';
import type { Stop, StopQuery } from '../task/stop.ts';
import type { Task, TaskState } from '../task/task.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { FeedChanges } from './feed.ts';
import type { SignalQueue } from './signal-queue.ts';
import type { SecretSighting } from './secret-sighting.ts';
import type { TaskLoan } from './task-loan.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';

/** A record that waits for the ledger. */
export interface OutboxRecord extends EncodedRecord {
  /** Its number in this file, from 1. Never reused. */
  readonly outbox: number;
}

/** A record of the outbox, in the form in which records of the ledger are read. */
export interface WaitingRecord extends StoredRecord {
  readonly outbox: number;
}

/** A token with the task it belongs to. */
export interface TokenOfTask extends IssuedTokenState {
  readonly issuer: string;
  readonly taskId: string;
}

/** The state by which one use of a token is decided. */
export interface UseState {
  readonly task: Task;
  /** The token, if it belongs to the task. */
  readonly issued: IssuedTokenState | undefined;
  readonly history: TaskHistory;
}

/** A task and its token, without the history: what tells whether the token may still be used at all. */
export type TaskStanding = Pick<UseState, 'task' | 'issued'>;

/** Which tasks to list, newest first. */
export interface TaskFilter {
  readonly id?: string;
  readonly agent?: string;
  /** The current state: an open task past its deadline is `expired`. */
  readonly state?: TaskState;
  /** The parts of this task. */
  readonly parent?: Pick<Task, 'issuer' | 'id'>;
  /** Default and maximum: 1,000. */
  readonly limit?: number;
}

/** Which open tasks to list. All given conditions must hold. */
export interface OpenTaskFilter {
  readonly agent?: string;
  readonly subject?: string;
  readonly id?: string;
  /** The task of the token with this digest. */
  readonly jtiDigest?: string;
  /** Lists the next page: tasks that come after this task in the listing. */
  readonly olderThan?: Pick<Task, 'createdAtMs' | 'id'> | undefined;
}

/** Number of tasks in the file. A task past its deadline counts as open until its expiry is written. */
export interface TaskCounts {
  readonly active: number;
  readonly suspended: number;
  readonly ended: number;
}

/** Size of a state file on disk, without SQLite's log. */
export interface StateSize {
  readonly bytes: number;
  /** Free bytes within that size, for later writes. */
  readonly freeBytes: number;
}

/** What a process can read while another process writes. */
export interface StoreReader {
  /** One reading of all clocks. */
  clocks(): Clocks;
  /** The later of wall clock and floor, in milliseconds since the Unix epoch. Decisions about tasks use it (`laterOf`). */
  nowMs(): number;
  /** The floor alone (`clock-floor.ts`), in the same unit. Permanent writes use it. */
  floorMs(): number;
  /** The task with this issuer and id, read from the file each time; `undefined` if it does not exist. */
  taskOf(issuer: string, id: string): Task | undefined | StoreFailure;
  /** The task with the token of that digest and its history, in one statement; `undefined` if the task does not exist. */
  useStateOf(issuer: string, id: string, jtiDigest: string): UseState | undefined | StoreFailure;
  /** The same without the history; it reads nothing if only the history was written since. */
  standingOf(issuer: string, id: string, jtiDigest: string): TaskStanding | undefined | StoreFailure;
  /**
   * Checks once for commits of other processes, for all calls of `useStateOf` and `standingOf` until `turnOver`. The caller must not await before
   * `turnOver`: each check of the turn had been received by then, so an end that was acknowledged before it counts.
   */
  turn(): void;
  turnOver(): void;
  tokenOf(jtiDigest: string): TokenOfTask | undefined | StoreFailure;
  tasks(filter: TaskFilter): readonly Task[] | StoreFailure;
  /**
   * The tasks whose end is not written, newest first; at most `limit` and 1,000. Also those that are past their time by the clock: a signal that
   * ends tasks must find them, since the clock can be wrong.
   */
  openTasks(filter: OpenTaskFilter, limit: number): readonly Task[] | StoreFailure;
  /** Number of tasks by state. Reads three rows, however many tasks there are. */
  taskCounts(): TaskCounts | StoreFailure;
  /** Size of the file on disk. */
  size(): StateSize | StoreFailure;
  /** The static secrets that were seen, most recently seen first; at most `limit`. */
  staticSecrets(limit: number): readonly SecretSighting[] | StoreFailure;
  /** Digest of a secret under the key of this file: `hmac-sha-256:` and base64url. The same after every restart. */
  digestOf(secret: string): string;
  /** Random id made with the file. Under it the ledger stores which numbers of this file's outbox it has. */
  fileId(): string | StoreFailure;
  /** The number of the last record ever added to the outbox; 0 before the first. It never decreases. */
  outboxEnd(): number | StoreFailure;
  /** `Feed.feedEnd` and `Feed.feedAfter`, at once. */
  feedEnd(): number | StoreFailure;
  feedAfter(position: number): FeedChanges | null | StoreFailure;
  /** When the file was restored from a backup, in milliseconds since the Unix epoch by the floor; `null` if it never was. */
  restoredAtMs(): number | null | StoreFailure;
  /** The stop that lasts longest of those that concern a declaration; `null` if there is none. */
  stopOf(query: StopQuery): Stop | null | StoreFailure;
  /** What is used of limits over all tasks in the current windows; at most `MAX_LIMIT_USES`, those with the most used first. */
  limitUses(filter: LimitUseFilter): readonly LimitUse[] | StoreFailure;
  /** How many tasks are open whose end is not written, by agent and subject; at most `MAX_LIMIT_USES`, those with the most first. */
  openTaskCounts(): readonly OpenTaskCount[] | StoreFailure;
  /** What processes were lent of the budgets of a task and have not given back; at most `MAX_LOANS`, the largest first. */
  loansOf(key: Pick<Task, 'issuer' | 'id'>): readonly TaskLoan[] | StoreFailure;
  /** How far limits are used in the current windows. */
  limitPeaks(): readonly LimitPeak[] | StoreFailure;
  /**
   * The queue of a receiver of signals, in the order in which it is sent (`signalRanks`), oldest first.
   * @param later numbers of signals that failed, in the order in which they are to be tried again. The first `signalLimits.maxAgain` of them come
   *   last, and the others not at all
   */
  signalQueue(receiver: string, later?: readonly number[]): SignalQueue | StoreFailure;
  /** The orders of operators. A check of a turn sees those that were committed before the turn, as with `useStateOf`. */
  ordersInForce(): Orders | StoreFailure;
  /** The waiting records with a number above `after`, in order; at most `limit`. */
  outbox(after: number, limit: number): readonly OutboxRecord[] | StoreFailure;
  /** The first records of a task that wait in the outbox; at most `limit`. */
  recordsOf(taskId: string, limit: number): readonly WaitingRecord[] | StoreFailure;
  close(): void;
}
