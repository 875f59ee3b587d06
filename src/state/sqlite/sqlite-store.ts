import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import { type Cause, causeOf } from '../../task/cause.ts';
import { contextAfter } from '../../task/context-change.ts';
import type { Saying } from '../../task/context-change.ts';
import { expiryOf, stateAt } from '../../task/task.ts';
import type { HistoryEntry } from '../../task/history.ts';
import type { Task, TaskConflict, TaskEvent, TaskRisk } from '../../task/task.ts';
import { isProblem } from '../../runtime/problem.ts';
import { spendsProblem } from '../settlement.ts';
import { namesOf, spendFor } from './budget-table.ts';
import type { Clocks } from '../../runtime/ports.ts';
import type { ClockSources, FloorMark } from '../clock-floor.ts';
import { Connection } from './connection.ts';
import type { ClockOfState, StateConnectionOptions } from './connection.ts';
import { giveBack, sizeOfFile, sparePages } from './file-space.ts';
import { fileIdOf, forgetOutbox, insertRecords, outboxAfter, outboxEnd, waitingRecordsOf } from './outbox-table.ts';
import { rememberKey } from './replay-table.ts';
import { Pruning } from './prune.ts';
import { createState, stateFormat } from './schema.ts';
import { restoredAt } from './restored-mark.ts';
import { RefusedTokens } from './refused-tokens.ts';
import { secretDigests, sightings, writeSightings } from './secret-table.ts';
import { isSettled, noteSettled } from './settled-table.ts';
import { changesAfter, endOfFeed } from './feed-table.ts';
import type { FeedChanges } from '../feed.ts';
import { deleteMark, hasMark, insertMark, isMarked, replaceMarks } from './serving-mark.ts';
import { openSqlite } from '../../sqlite/sqlite-file.ts';
import type { OpenOptions } from '../../sqlite/sqlite-file.ts';
import { isStoreFailure, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type {
  DueSecret,
  HandedOn,
  IssuedToken,
  OutboxRecord,
  SecretSighting,
  OpenTaskFilter,
  Pruned,
  Spend,
  SpendProblem,
  StateSize,
  Store,
  StoreReader,
  TaskCounts,
  TaskEnd,
  TaskFilter,
  TaskKey,
  TokenOfTask,
  UseState,
  WaitingRecord,
} from '../store.ts';
import { amendTask, changeTask } from './task-change.ts';
import { refusedPremise } from '../premises.ts';
import type { Premises } from '../premises.ts';
import { premiseProblem } from './premises.ts';
import { placeProblem } from './task-parts.ts';
import { valuesOf } from './task-row.ts';
import {
  countTasks,
  dueTasks,
  idlingTasks,
  insertTaskRow,
  listOpenTasks,
  listTasks,
  taskAt,
  touchTask,
} from './task-table.ts';
import { insertTokenRow, revokeTokenRow, textsOf, tokenAt } from './token-table.ts';
import { UseStates } from './use-states.ts';

/** How far the clock mark in the file may lag where nothing else is written. */
const CLOCK_WRITE_MS = 10_000;
const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;
/** Length of the mark by which a serving process is known. */
const MARK_BYTES = 8;

/** Options of a store. */
export interface StoreOptions extends ClockSources, FileOptions {}

interface FileOptions {
  /** Cryptographically strong random bytes. */
  readonly randomBytes: (length: number) => Uint8Array;
  /**
   * Called once when the store breaks, by an I/O error or a corrupt file. The process must stop serving and exit: after a failed sync
   * SQLite acknowledges writes that it may lose. A new process opens the file and checks it.
   */
  readonly onFatal?: (failure: StoreFailure) => void;
  /** Called with the records that each commit added to the outbox; hand them to the ledger. It must not throw. */
  readonly onRecords?: (records: readonly EncodedRecord[]) => void;
  /** Called after each transaction with `null` once it is on disk, or with the failure of the disk or of a lock. It must not throw. */
  readonly onWrite?: (failure: StoreFailure | null) => void;
  /**
   * `create` (default) is for a process that serves with the file: it creates the file if it does not exist, and marks it as in use until
   * `close`. `write` is for a command: the file must exist, and opening is fast whatever its size.
   */
  readonly access?: 'create' | 'write';
  /** Largest size of the file. A write beyond it fails as `full`. Default 64 GiB. */
  readonly maxBytes?: number;
  /**
   * How long a write waits for the lock of another process, blocking the event loop, before it fails as `busy`. Default 1,000 ms. After one
   * SQLITE_BUSY, writes stop waiting until one succeeds.
   */
  readonly busyTimeoutMs?: number;
}

/**
 * Opens the state file, and creates it with mode 0600 if it does not exist. If its last use did not end cleanly, a process that opens it to
 * serve checks the whole file first, which takes time in proportion to its size. Refused: a version of SQLite that can lose writes, a
 * damaged file, a file that others may read, and an unknown schema.
 */
export function openStore(path: string, options: StoreOptions): Store | StoreFailure {
  const store = openUnmarkedStore(path, options);
  if (isStoreFailure(store)) return store;
  try {
    // A failure is retried by `markServing`.
    store.markServing();
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Opens the file without marking it as in use. `markServing` does that: it is the first write and needs a clock. */
export function openUnmarkedStore(path: string, options: ClockOfState & FileOptions): Store | StoreFailure {
  const { access = 'create', maxBytes = DEFAULT_MAX_BYTES, randomBytes } = options;
  const mark = access === 'create' ? Buffer.from(randomBytes(MARK_BYTES)).toString('hex') : null;
  let isChecked = false;
  const store = opened(path, options, {
    format: stateFormat,
    access,
    maxBytes,
    create: (db) => createState(db, randomBytes),
    isCheckDue: (db) => (isChecked = mark !== null && isMarked(db)),
  });
  if (mark !== null && !isStoreFailure(store)) store.serveAs(mark, isChecked);
  return store;
}

/** A reader in a process that serves. Beside the file it knows the clock, and the tokens refused by this process. */
export interface StateReader extends StoreReader, Pick<Store, 'refuseToken' | 'digestOf'> {
  /** The clock mark for the next commit. */
  mark(): FloorMark;
  /** Whether `refuseToken` was called for the token. */
  isRefused(jtiDigest: string): boolean;
}

/** Opens the state file read-only, beside the process or thread that writes it. */
export function openStoreForReading(
  path: string,
  options: ClockSources & Pick<StoreOptions, 'onFatal'>,
): StateReader | StoreFailure {
  return opened(path, options, { format: stateFormat, access: 'read', maxBytes: DEFAULT_MAX_BYTES });
}

function opened(path: string, options: StateConnectionOptions, how: OpenOptions): SqliteStore | StoreFailure {
  const db = openSqlite(path, how);
  return isStoreFailure(db) ? db : new SqliteStore(new Connection(db, options));
}

/** A store over one connection. Every call is synchronous and is one statement or one transaction. */
class SqliteStore implements Store, StateReader {
  readonly #connection: Connection;
  readonly #useStates: UseStates;
  readonly #refused = new RefusedTokens();
  readonly #pruning: Pruning;
  /** The mark of this process in the file; `null` where it does not serve. */
  #mark: string | null = null;
  /** Whether the whole file was checked. If so, this process's first mark removes all others. */
  #isChecked = false;
  readonly digestOf: Store['digestOf'];

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#useStates = new UseStates(connection);
    this.#pruning = new Pruning(connection);
    this.digestOf = secretDigests(connection);
  }

  clocks(): Clocks {
    return this.#connection.clocks();
  }

  nowMs(): number {
    return this.#connection.nowMs();
  }

  floorMs(): number {
    return this.#connection.floorMs();
  }

  taskOf(issuer: string, id: string): Task | undefined | StoreFailure {
    return this.#connection.read([issuer, id], () => taskAt(this.#connection, { issuer, id }));
  }

  useStateOf(issuer: string, id: string, jtiDigest: string): UseState | undefined | StoreFailure {
    const key = { issuer, id };
    const held = this.#connection.read([], () => this.#useStates.held(key, jtiDigest));
    if (held !== undefined && isStoreFailure(held)) return held;
    if (held !== undefined) return this.#refused.inUse(held, jtiDigest);
    const state = this.#connection.read([issuer, id, jtiDigest], () => this.#useStates.read(key, jtiDigest));
    return state === undefined || isStoreFailure(state) ? state : this.#refused.inUse(state, jtiDigest);
  }

  turn(): void {
    // If it fails, each look fails too and gives the reason.
    this.#connection.read([], () => this.#useStates.turn());
  }

  turnOver(): void {
    this.#useStates.turnOver();
  }

  tokenOf(jtiDigest: string): TokenOfTask | undefined | StoreFailure {
    const token = this.#connection.read([jtiDigest], () => tokenAt(this.#connection, jtiDigest));
    return token === undefined || isStoreFailure(token) ? token : this.#refused.of(token, jtiDigest);
  }

  tasks(filter: TaskFilter): readonly Task[] | StoreFailure {
    const { id = null, agent = null, state = null } = filter;
    return this.#connection.read([id, agent, state], () => listTasks(this.#connection, filter));
  }

  openTasks(filter: OpenTaskFilter, limit: number): readonly Task[] | StoreFailure {
    const { agent = null, subject = null, id = null, jtiDigest = null } = filter;
    return this.#connection.read([agent, subject, id, jtiDigest], () => listOpenTasks(this.#connection, filter, limit));
  }

  taskCounts(): TaskCounts | StoreFailure {
    return this.#connection.read([], () => countTasks(this.#connection));
  }

  size(): StateSize | StoreFailure {
    return this.#connection.read([], () => sizeOfFile(this.#connection));
  }

  staticSecrets(limit: number): readonly SecretSighting[] | StoreFailure {
    return this.#connection.read([], () => sightings(this.#connection, limit));
  }

  fileId(): string | StoreFailure {
    return this.#connection.read([], () => fileIdOf(this.#connection));
  }

  outboxEnd(): number | StoreFailure {
    return this.#connection.read([], () => outboxEnd(this.#connection));
  }

  restoredAtMs(): number | null | StoreFailure {
    return this.#connection.read([], () => restoredAt(this.#connection));
  }

  outbox(after: number, limit: number): readonly OutboxRecord[] | StoreFailure {
    return this.#connection.read([], () => outboxAfter(this.#connection, after, limit));
  }

  recordsOf(taskId: string, limit: number): readonly WaitingRecord[] | StoreFailure {
    return this.#connection.read([taskId], () => waitingRecordsOf(this.#connection, taskId, limit));
  }

  insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null | StoreFailure {
    return this.#connection.write(
      [...valuesOf(task), ...textsOf(token)],
      () => placeProblem(this.#connection, task) ?? this.#insertTask(task, token, records),
    );
  }

  insertPart(
    part: Task,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    { jtiDigest, spends }: HandedOn,
    decidedBy?: Premises,
  ): null | SpendProblem | StoreFailure {
    const { issuer, parentId } = part;
    if (parentId === null) return storeFailure('refused', 'a part names the task it is a part of');
    const problem = spendsProblem(spends);
    if (problem !== null) return storeFailure('refused', problem);
    if (this.#refused.has(jtiDigest)) return 'ended';
    const input = [...valuesOf(part), ...textsOf(token), jtiDigest, ...namesOf(spends)];
    return this.#connection.write(input, () => {
      const unfit = placeProblem(this.#connection, part) ?? premiseProblem(this.#connection, decidedBy);
      if (unfit !== null) return unfit;
      const key = { issuer, id: parentId };
      // INVARIANT: the spends are the last step that can refuse, so that nothing is taken for a part that is not written.
      const use = this.#useStates.current(key, jtiDigest);
      return spendFor(this.#connection, key, { use, spends }) ?? this.#insertTask(part, token, records);
    });
  }

  insertToken(
    key: TaskKey,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | StoreFailure {
    const refused = refusedPremise(decidedBy, (digest) => this.#refused.has(digest));
    if (refused !== null) return refused;
    return this.#connection.write([key.issuer, key.id, ...textsOf(token)], () => {
      const task = taskAt(this.#connection, key);
      if (task === undefined) return storeFailure('conflict', 'there is no such task');
      const state = stateAt(task, this.nowMs());
      if (state !== 'active') return storeFailure('conflict', `the task is \`${state}\``);
      if (task.generation !== token.generation) return storeFailure('conflict', 'the task was suspended and resumed');
      const changed = premiseProblem(this.#connection, decidedBy);
      if (changed !== null) return changed;
      insertTokenRow(this.#connection, key, token);
      insertRecords(this.#connection, records);
      return null;
    });
  }

  applyTaskEvent(
    key: TaskKey,
    event: TaskEvent,
    by: string,
    decidedBy?: Premises,
  ): TaskEnd | TaskConflict | undefined | StoreFailure {
    return this.#change<TaskEnd | StoreFailure>(
      key,
      [event.cause.note, by],
      (task) => premiseProblem(this.#connection, decidedBy) ?? changeTask(this.#connection, task, event, by),
    );
  }

  setContext(
    key: TaskKey,
    saying: Saying,
    event?: TaskEvent & { readonly kind: 'suspend' | 'revoke' },
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure {
    const { by, kind } = saying;
    const cause = event?.cause ?? causeOf('context.changed', '');
    const said = Object.entries(saying.values).flatMap(([name, value]) => (value === null ? [name] : [name, value]));
    return this.#change<Task | StoreFailure>(key, [by, cause.note, ...said], (task) => {
      const changed = premiseProblem(this.#connection, decidedBy);
      if (changed !== null) return changed;
      const facts = contextAfter(task, saying);
      if (isProblem(facts)) return storeFailure('refused', `the task ${facts.problem}`);
      const amended = amendTask(this.#connection, task, { facts, event: 'context', kind, cause, by });
      if ('problem' in amended || event === undefined) return amended;
      const ended = changeTask(this.#connection, amended, event, by);
      return 'problem' in ended ? ended : ended.task;
    });
  }

  setRisk(
    key: TaskKey,
    risk: TaskRisk,
    cause: Cause,
    by: string,
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure {
    return this.#change<Task | StoreFailure>(
      key,
      [cause.note, by],
      (task) =>
        premiseProblem(this.#connection, decidedBy) ??
        amendTask(this.#connection, task, { facts: { risk }, event: 'risk', cause, by }),
    );
  }

  mark(): FloorMark {
    return this.#connection.mark();
  }

  isRefused(jtiDigest: string): boolean {
    return this.#refused.has(jtiDigest);
  }

  refuseToken(jtiDigest: string): void {
    this.#refused.add(jtiDigest, this.nowMs());
  }

  revokeToken(jtiDigest: string, cause: Cause, by: string): boolean | StoreFailure {
    return this.#connection.write([jtiDigest, cause.note, by], () =>
      revokeTokenRow(this.#connection, jtiDigest, { cause, by }),
    );
  }

  rememberOnce(kind: 'signal', key: string, untilMs: number): 'new' | 'seen' | StoreFailure {
    return this.#connection.write([key], () => rememberKey(this.#connection, kind, { key, untilMs }));
  }

  spend(
    key: TaskKey,
    jtiDigest: string,
    spends: readonly Spend[],
    entry?: HistoryEntry,
  ): null | SpendProblem | StoreFailure {
    return this.#settle(key, { jtiDigest, spends, entry }, null);
  }

  settle(decisionId: string, key: TaskKey, use: Parameters<Store['settle']>[2]): null | SpendProblem | StoreFailure {
    return this.#settle(key, use, decisionId);
  }

  feedEnd(): number | StoreFailure {
    return this.#connection.read([], () => endOfFeed(this.#connection));
  }

  feedAfter(position: number): FeedChanges | null | StoreFailure {
    return this.#connection.read([], () => changesAfter(this.#connection, position));
  }

  together(work: () => void): null | StoreFailure {
    const failure = this.#connection.together(work);
    if (failure !== null) this.#useStates.forgetAll();
    return failure;
  }

  writeSecrets(due: readonly DueSecret[]): null | StoreFailure {
    const texts = due.flatMap(({ secret: { digest, kind, place, agent, action } }) => [
      digest,
      kind,
      place,
      agent,
      action,
    ]);
    return this.#connection.write(texts, () => writeSightings(this.#connection, due));
  }

  endExpired(): number | StoreFailure {
    const due = this.#connection.read([], () => dueTasks(this.#connection));
    if (isStoreFailure(due)) return due;
    if (due.length === 0 && this.#connection.clockLagMs() < CLOCK_WRITE_MS) return 0;
    return this.#connection.write([], () => due.filter((key) => this.#expire(key)).length);
  }

  prune(keepMs: number): Pruned | StoreFailure {
    const due = this.#connection.read([], () => this.#pruning.due(keepMs));
    if (due === null) return { tasks: 0, isMore: false };
    return isStoreFailure(due) ? due : this.#connection.write([], () => this.#pruning.step(due));
  }

  shrink(): boolean | StoreFailure {
    const spare = this.#connection.read([], () => sparePages(this.#connection));
    if (isStoreFailure(spare)) return spare;
    return spare === 0 ? false : this.#connection.write([], () => giveBack(this.#connection));
  }

  markServing(): null | StoreFailure {
    const id = this.#mark;
    if (id === null) return null;
    const isThere = this.#connection.read([], () => hasMark(this.#connection, id));
    if (isStoreFailure(isThere)) return isThere;
    if (isThere) return null;
    const write = this.#isChecked ? replaceMarks : insertMark;
    const failure = this.#connection.write([], () => write(this.#connection, id));
    if (failure === null) this.#isChecked = false;
    return failure;
  }

  /** Sets the mark that `markServing` writes. */
  serveAs(mark: string, isChecked: boolean): void {
    this.#mark = mark;
    this.#isChecked = isChecked;
  }

  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure {
    return this.#connection.write([], () => {
      insertRecords(this.#connection, batch);
      return null;
    });
  }

  forget(upTo: number): null | StoreFailure {
    return this.#connection.write([], () => forgetOutbox(this.#connection, upTo));
  }

  touchTasks(used: ReadonlyMap<string, number>): null | StoreFailure {
    const idling = this.#connection.read([...used.keys()], () => idlingTasks(this.#connection, used));
    if (isStoreFailure(idling)) return idling;
    if (idling.length === 0) return null;
    return this.#connection.write([], () => {
      for (const [task, at] of idling) touchTask(this.#connection, task, at);
      return null;
    });
  }

  close(): void {
    const mark = this.#mark;
    try {
      // If this fails, the mark stays and the next start checks the file.
      if (mark !== null) this.#connection.write([mark], () => deleteMark(this.#connection, mark));
    } finally {
      this.#connection.close();
    }
  }

  #settle(
    key: TaskKey,
    { jtiDigest, spends, entry }: Parameters<Store['settle']>[2],
    decisionId: string | null,
  ): null | SpendProblem | StoreFailure {
    const problem = spendsProblem(spends);
    if (problem !== null) return storeFailure('refused', problem);
    if (this.#refused.has(jtiDigest)) return 'ended';
    const texts = entry === undefined ? [] : [entry.action, ...entry.labels];
    const input = [key.issuer, key.id, jtiDigest, decisionId, ...namesOf(spends), ...texts];
    return this.#connection.write(input, () => {
      if (decisionId !== null && isSettled(this.#connection, decisionId)) return null;
      const use = this.#useStates.current(key, jtiDigest);
      const unsettled = spendFor(this.#connection, key, { use, spends, entry });
      if (unsettled === null && decisionId !== null) noteSettled(this.#connection, decisionId);
      return unsettled;
    });
  }

  /** Within a transaction. */
  #insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null {
    insertTaskRow(this.#connection, task);
    insertTokenRow(this.#connection, task, token);
    insertRecords(this.#connection, records);
    return null;
  }

  /** One transaction on an existing task. */
  #change<T>(
    key: TaskKey,
    texts: readonly string[],
    work: (task: Task) => T | TaskConflict,
  ): T | TaskConflict | undefined | StoreFailure {
    return this.#connection.write([key.issuer, key.id, ...texts], () => {
      const task = taskAt(this.#connection, key);
      return task === undefined ? undefined : work(task);
    });
  }

  /** Within a transaction: reads the task again, since the expiry of a task also ends its parts. */
  #expire(key: TaskKey): boolean {
    const task = taskAt(this.#connection, key);
    if (task === undefined || task.endedAtMs !== null || stateAt(task, this.floorMs()) !== 'expired') return false;
    const ended = changeTask(this.#connection, task, { kind: 'expire', cause: expiryOf(task).cause }, 'remit');
    return !('problem' in ended) && ended.changed;
  }
}
