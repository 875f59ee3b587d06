import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import { encodedRecord } from '../../ledger/encoded-record.ts';
import type { LedgerRecord } from '../../ledger/record.ts';
import type { LimitCounter, OpenTasksLimit } from '../../limit/limit-spend.ts';
import type { Order } from '../../order/order.ts';
import type { TaskHistory } from '../../task/history.ts';
import type { Stop, StopQuery, StopRow } from '../../task/stop.ts';
import type { Task } from '../../task/task.ts';
import type { IssuedToken, TaskKey } from '../store.ts';
import type { TokenOfTask, UseState } from '../store-reader.ts';

/**
 * The rows of the state within one transaction, by which the writes of `writes.ts` are decided and which they change. Later reads see
 * earlier changes. A method may throw: then everything that the write has changed is undone, and the error becomes its failure.
 */
export interface StateRows {
  /** `Store.nowMs` and `Store.floorMs` of the write. */
  nowMs(): number;
  floorMs(): number;
  task(key: TaskKey): Task | undefined;
  /** The open descendants of the task, nearest first. */
  openParts(key: TaskKey): readonly Task[];
  countOpenParts(key: TaskKey): number;
  token(jtiDigest: string): TokenOfTask | undefined;
  useState(key: TaskKey, jtiDigest: string): UseState | undefined;
  /** The value of a counter of the task; 0 if there is no such counter. */
  spent(key: TaskKey, counter: string): number;
  /** Inserts a task; fails as `conflict` if the key exists. */
  addTask(task: Task): void;
  /** Replaces what can change of a task, and announces the change to the feed. */
  setTask(task: Task): void;
  /** Inserts a token; fails as `conflict` if the digest exists. */
  addToken(key: TaskKey, token: IssuedToken): void;
  /** Marks a token as revoked, and announces the change of its task to the feed. */
  setRevoked(token: TokenOfTask, atMs: number): void;
  setSpent(key: TaskKey, counter: string, spent: number): void;
  /** The value of a counter of a limit; 0 if there is no such counter. */
  limitUsed(counter: LimitCounter): number;
  /**
   * @param max what the limit allows now, for listings
   */
  setLimitUsed(counter: LimitCounter, used: number, max: number): void;
  /** Whether a counter of different values has a value, by the digest under the key of this state. */
  hasLimitValue(counter: LimitCounter, digest: string): boolean;
  addLimitValue(counter: LimitCounter, digest: string): void;
  /** How many tasks are open, by agent. Counts only tasks of the given agent and subject; `null` stands for all. */
  openTasks(
    of: Pick<OpenTasksLimit, 'agent' | 'subject'>,
  ): readonly { readonly agent: string; readonly count: number }[];
  /** When the state was restored from a backup; `null` if it never was. */
  restoredAtMs(): number | null;
  /** Whether the use of that decision is settled. */
  isSettled(decisionId: string): boolean;
  /** Remembers that it is, for 10 minutes. */
  setSettled(decisionId: string): void;
  /** Replaces the history that the task shares with its family, and announces the change to the feed. */
  setHistory(key: TaskKey, history: TaskHistory): void;
  /** The stop that lasts longest of those that concern a declaration; `null` if there is none. */
  stop(query: StopQuery): Stop | null;
  /** Writes stops. A stop that is stored under the same key is replaced, unless it ended later. */
  addStops(stops: readonly StopRow[]): void;
  /** The stops of a suspended task become stops of a task that ended then. */
  endStops(key: TaskKey, endedAtMs: number): void;
  /** Deletes the stops of ended tasks that concern such a declaration, for any subject. */
  liftStops(query: Omit<StopQuery, 'subject'>): void;
  /** Deletes the stops of a suspended task. */
  removeStops(key: TaskKey): void;
  /** All orders that were not lifted, also those that are over. */
  orders(): readonly Order[];
  /**
   * Whether an authority wrote an order, as far as that can be known. A stop that somebody else wrote into a database holds, but it does not count
   * against `orderLimits`, and keeps no limit from stopping: otherwise no stop could be given any more.
   */
  isGivenOrder(id: string): boolean;
  /** Adds an order, or removes it, and announces the change to the feed. */
  addOrder(order: Order): void;
  removeOrder(id: string): void;
  /** Adds records to the outbox, in order, and restarts the idle time of tasks with allowed uses. */
  addRecords(records: readonly EncodedRecord[]): void;
}

/** Adds a record made by the state itself. Its text has passed `recordText`, so it can be encoded. */
export function addRecord(rows: StateRows, record: LedgerRecord): void {
  const encoded = encodedRecord(record);
  if ('problem' in encoded) throw new Error(`a change has no record: ${encoded.problem}`);
  rows.addRecords([encoded]);
}
