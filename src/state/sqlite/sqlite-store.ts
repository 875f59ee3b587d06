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
import { Connection } from './connection.ts';
import { giveBack, sparePages } from './file-space.ts';
import { forgetOutbox, insertRecords } from './outbox-table.ts';
import { rememberKey } from './replay-table.ts';
import { Pruning } from './prune.ts';
import { writeSightings } from './secret-table.ts';
import { isSettled, noteSettled } from './settled-table.ts';
import { isStoreFailure, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type {
  DueSecret,
  HandedOn,
  IssuedToken,
  Pruned,
  Spend,
  SpendProblem,
  Store,
  TaskEnd,
  TaskKey,
} from '../store.ts';
import { amendTask, changeTask } from './task-change.ts';
import { refusedPremise } from '../premises.ts';
import type { Premises } from '../premises.ts';
import { premiseProblem } from './premises.ts';
import { placeProblem } from './task-parts.ts';
import { dueTasks, insertTaskRow, taskAt, touchTask } from './task-table.ts';
import { insertTokenRow, revokeTokenRow, textsOf } from './token-table.ts';
import { ServingMark } from './serving-mark.ts';
import { valuesOf } from './task-row.ts';
import { SqliteReader } from './state-reader.ts';

/** How far the clock mark in the file may lag where nothing else is written. */
const CLOCK_WRITE_MS = 10_000;

/** A store over one connection. Every call is synchronous and is one statement or one transaction. */
export class SqliteStore extends SqliteReader implements Store {
  readonly #pruning: Pruning;
  /** `null` where this process does not serve. */
  #mark: ServingMark | null = null;

  constructor(connection: Connection) {
    super(connection);
    this.#pruning = new Pruning(connection);
  }

  insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null | StoreFailure {
    return this.connection.write(
      [...valuesOf(task), ...textsOf(token)],
      () => placeProblem(this.connection, task) ?? this.#insertTask(task, token, records),
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
    if (this.refused.has(jtiDigest)) return 'ended';
    const input = [...valuesOf(part), ...textsOf(token), jtiDigest, ...namesOf(spends)];
    return this.connection.write(input, () => {
      const unfit = placeProblem(this.connection, part) ?? premiseProblem(this.connection, decidedBy);
      if (unfit !== null) return unfit;
      const key = { issuer, id: parentId };
      // INVARIANT: the spends are the last step that can refuse, so that nothing is taken for a part that is not written.
      const use = this.useStates.current(key, jtiDigest);
      return spendFor(this.connection, key, { use, spends }) ?? this.#insertTask(part, token, records);
    });
  }

  insertToken(
    key: TaskKey,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | StoreFailure {
    const refused = refusedPremise(decidedBy, (digest) => this.refused.has(digest));
    if (refused !== null) return refused;
    return this.connection.write([key.issuer, key.id, ...textsOf(token)], () => {
      const task = taskAt(this.connection, key);
      if (task === undefined) return storeFailure('conflict', 'there is no such task');
      const state = stateAt(task, this.nowMs());
      if (state !== 'active') return storeFailure('conflict', `the task is \`${state}\``);
      if (task.generation !== token.generation) return storeFailure('conflict', 'the task was suspended and resumed');
      const changed = premiseProblem(this.connection, decidedBy);
      if (changed !== null) return changed;
      insertTokenRow(this.connection, key, token);
      insertRecords(this.connection, records);
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
      (task) => premiseProblem(this.connection, decidedBy) ?? changeTask(this.connection, task, event, by),
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
      const changed = premiseProblem(this.connection, decidedBy);
      if (changed !== null) return changed;
      const facts = contextAfter(task, saying);
      if (isProblem(facts)) return storeFailure('refused', `the task ${facts.problem}`);
      const amended = amendTask(this.connection, task, { facts, event: 'context', kind, cause, by });
      if ('problem' in amended || event === undefined) return amended;
      const ended = changeTask(this.connection, amended, event, by);
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
        premiseProblem(this.connection, decidedBy) ??
        amendTask(this.connection, task, { facts: { risk }, event: 'risk', cause, by }),
    );
  }

  revokeToken(jtiDigest: string, cause: Cause, by: string): boolean | StoreFailure {
    return this.connection.write([jtiDigest, cause.note, by], () =>
      revokeTokenRow(this.connection, jtiDigest, { cause, by }),
    );
  }

  rememberOnce(kind: 'signal', key: string, untilMs: number): 'new' | 'seen' | StoreFailure {
    return this.connection.write([key], () => rememberKey(this.connection, kind, { key, untilMs }));
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

  inOneCommit(work: () => void): null | StoreFailure {
    const failure = this.connection.inOneCommit(work);
    if (failure !== null) this.useStates.forgetAll();
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
    return this.connection.write(texts, () => writeSightings(this.connection, due));
  }

  endExpired(): number | StoreFailure {
    const due = this.connection.read([], () => dueTasks(this.connection));
    if (isStoreFailure(due)) return due;
    if (due.length === 0 && this.connection.clockLagMs() < CLOCK_WRITE_MS) return 0;
    return this.connection.write([], () => due.filter((key) => this.#expire(key)).length);
  }

  prune(keepMs: number): Pruned | StoreFailure {
    const due = this.connection.read([], () => this.#pruning.due(keepMs));
    if (due === null) return { tasks: 0, isMore: false };
    return isStoreFailure(due) ? due : this.connection.write([], () => this.#pruning.step(due));
  }

  shrink(): boolean | StoreFailure {
    const spare = this.connection.read([], () => sparePages(this.connection));
    if (isStoreFailure(spare)) return spare;
    return spare === 0 ? false : this.connection.write([], () => giveBack(this.connection));
  }

  markServing(): null | StoreFailure {
    return this.#mark?.set() ?? null;
  }

  /** Sets the mark that `markServing` writes. */
  serveAs(id: string, isChecked: boolean): void {
    this.#mark = new ServingMark(this.connection, id, isChecked);
  }

  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure {
    return this.connection.write([], () => {
      insertRecords(this.connection, batch);
      return null;
    });
  }

  forget(upTo: number): null | StoreFailure {
    return this.connection.write([], () => forgetOutbox(this.connection, upTo));
  }

  touchTasks(used: ReadonlyMap<string, number>): null | StoreFailure {
    const idling = this.idlingAmong(used);
    if (isStoreFailure(idling)) return idling;
    if (idling.length === 0) return null;
    return this.connection.write([], () => {
      for (const [task, at] of idling) touchTask(this.connection, task, at);
      return null;
    });
  }

  override close(): void {
    try {
      this.#mark?.remove();
    } finally {
      super.close();
    }
  }

  #settle(
    key: TaskKey,
    { jtiDigest, spends, entry }: Parameters<Store['settle']>[2],
    decisionId: string | null,
  ): null | SpendProblem | StoreFailure {
    const problem = spendsProblem(spends);
    if (problem !== null) return storeFailure('refused', problem);
    if (this.refused.has(jtiDigest)) return 'ended';
    const texts = entry === undefined ? [] : [entry.action, ...entry.labels];
    const input = [key.issuer, key.id, jtiDigest, decisionId, ...namesOf(spends), ...texts];
    return this.connection.write(input, () => {
      if (decisionId !== null && isSettled(this.connection, decisionId)) return null;
      const use = this.useStates.current(key, jtiDigest);
      const unsettled = spendFor(this.connection, key, { use, spends, entry });
      if (unsettled === null && decisionId !== null) noteSettled(this.connection, decisionId);
      return unsettled;
    });
  }

  /** Within a transaction. */
  #insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null {
    insertTaskRow(this.connection, task);
    insertTokenRow(this.connection, task, token);
    insertRecords(this.connection, records);
    return null;
  }

  /** One transaction on an existing task. */
  #change<T>(
    key: TaskKey,
    texts: readonly string[],
    work: (task: Task) => T | TaskConflict,
  ): T | TaskConflict | undefined | StoreFailure {
    return this.connection.write([key.issuer, key.id, ...texts], () => {
      const task = taskAt(this.connection, key);
      return task === undefined ? undefined : work(task);
    });
  }

  /** Within a transaction: reads the task again, since the expiry of a task also ends its parts. */
  #expire(key: TaskKey): boolean {
    const task = taskAt(this.connection, key);
    if (task === undefined || task.endedAtMs !== null || stateAt(task, this.floorMs()) !== 'expired') return false;
    const ended = changeTask(this.connection, task, { kind: 'expire', cause: expiryOf(task).cause }, 'remit');
    return !('problem' in ended) && ended.changed;
  }
}
