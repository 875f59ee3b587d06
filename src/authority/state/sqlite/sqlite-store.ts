import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { Cause } from '../../../core/task/cause.ts';
import type { Saying } from '../../../core/task/context-change.ts';
import type { HistoryEntry } from '../../../core/task/history.ts';
import type { Task, TaskConflict, TaskEvent, TaskRisk } from '../../../core/task/task.ts';
import { withDigests } from '../../../core/state/writes/limit-settlement.ts';
import { namesOf, spendsProblem } from '../../../core/state/writes/settlement.ts';
import { textsOfUses } from '../../../core/state/reported-uses.ts';
import type { Reporter, UsesOfToken } from '../../../core/state/reported-uses.ts';
import type { StateRows } from '../../../core/state/writes/state-rows.ts';
import { saidIn, textsOf } from '../../../core/state/writes/stored-text.ts';
import {
  addPart,
  addTask,
  addToken,
  applyEvent,
  changeContext,
  changeRisk,
  expire,
  revokeToken,
} from '../../../core/state/writes/writes.ts';
import { keepRecord, giveBackUse, settleUse, takeFrom } from '../../../core/state/writes/use-writes.ts';
import type { Order } from '../../../core/order/order.ts';
import { liftOrder, putOrder } from '../../../core/state/writes/order-writes.ts';
import { liftStops } from '../../../core/state/writes/note-stops.ts';
import { sqliteRows } from './sqlite-rows.ts';
import { Connection } from './connection.ts';
import { giveBack, sparePages } from './file-space.ts';
import { forgetOutbox, insertRecords } from './tables/outbox-table.ts';
import { rememberKey } from './tables/replay-table.ts';
import { Pruning } from './prune.ts';
import { claimSignals, dropSignals } from './tables/signal-table.ts';
import { writeSightings } from './tables/secret-table.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { OverLimit } from '../../../core/limit/limit-spend.ts';
import type { HandedOn, Lent, LimitsLeft, SettleProblem, SpendProblem, TaskSpend } from '../../../core/state/spend.ts';
import type { IssuedToken, Pruned, Store, TaskEnd, TaskKey, UnsentUse } from '../../../core/state/store.ts';
import type { SignalClaim } from '../../../core/state/signal-queue.ts';
import type { DueSecret } from '../../../core/state/secret-sighting.ts';
import { refusedPremise } from '../../../core/state/writes/premises.ts';
import type { Premises } from '../../../core/state/writes/premises.ts';
import { writeUses } from './tables/token-uses-table.ts';
import { dueTasks, touchTask } from './tables/task-table.ts';
import { markServing, unmarkServing } from './tables/serving-mark.ts';
import { taskValues } from '../../../core/state/writes/task-row.ts';
import { SqliteReader } from './state-reader.ts';
import type { RememberedKind } from '../../../core/state/replay-memory.ts';

/** How far the clock mark in the file may lag if nothing else is written. */
const CLOCK_WRITE_MS = 10_000;
/**
 * Most tokens whose state the writer caches: those in use now. The reader beside it caches many more, and a second read here costs little
 * compared with the commit.
 */
const MAX_STATES = 1_024;

/** A store over a connection. Every call is synchronous, and what a call writes is a single transaction. */
export class SqliteStore extends SqliteReader implements Store {
  readonly #pruning: Pruning;
  /** Within a transaction. */
  readonly #rows: StateRows;
  /** Whether this process serves with the file. */
  readonly #isServing: boolean;

  constructor(connection: Connection, { isServing }: { readonly isServing: boolean }) {
    super(connection, MAX_STATES);
    this.#isServing = isServing;
    this.#pruning = new Pruning(connection);
    this.#rows = sqliteRows(connection, (key, jtiDigest) => this.useStates.current(key, jtiDigest));
  }

  insertTask(
    task: Task,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | OverLimit | StoreFailure {
    return this.connection.write([...taskValues(task), ...textsOf(token)], () =>
      addTask(this.#rows, { task, token, records }, decidedBy),
    );
  }

  insertPart(
    task: Task,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    handed: HandedOn,
    decidedBy?: Premises,
  ): null | SpendProblem | OverLimit | StoreFailure {
    const { parentId } = task;
    if (parentId === null) return storeFailure('refused', 'a part names the task it is a part of');
    const problem = spendsProblem(handed.spends);
    if (problem !== null) return storeFailure('refused', problem);
    if (this.refused.has(handed.jtiDigest)) return 'ended';
    const input = [...taskValues(task), ...textsOf(token), handed.jtiDigest, ...namesOf(handed.spends)];
    return this.connection.write(input, () =>
      addPart(this.#rows, { task, token, records, parentId }, handed, decidedBy),
    );
  }

  insertToken(
    key: TaskKey,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | StoreFailure {
    const refused = refusedPremise(decidedBy, (digest) => this.refused.has(digest));
    if (refused !== null) return refused;
    return this.connection.write([key.issuer, key.id, ...textsOf(token)], () =>
      addToken(this.#rows, key, { token, records }, decidedBy),
    );
  }

  applyTaskEvent(
    key: TaskKey,
    event: TaskEvent,
    by: string,
    decidedBy?: Premises,
  ): TaskEnd | TaskConflict | undefined | StoreFailure {
    return this.connection.write([key.issuer, key.id, event.cause.note, by], () =>
      applyEvent(this.#rows, key, { event, by }, decidedBy),
    );
  }

  setContext(
    key: TaskKey,
    saying: Saying,
    event?: TaskEvent & { readonly kind: 'suspend' | 'revoke' },
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure {
    const texts = [saying.by, event?.cause.note ?? '', ...saidIn(saying)];
    return this.connection.write([key.issuer, key.id, ...texts], () =>
      changeContext(this.#rows, key, { saying, event }, decidedBy),
    );
  }

  setRisk(
    key: TaskKey,
    risk: TaskRisk,
    cause: Cause,
    by: string,
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure {
    return this.connection.write([key.issuer, key.id, cause.note, by], () =>
      changeRisk(this.#rows, key, { risk, cause, by }, decidedBy),
    );
  }

  liftStops(key: TaskKey, cause: Cause, by: string): Task | undefined | StoreFailure {
    return this.connection.write([key.issuer, key.id, cause.note, by], () => liftStops(this.#rows, key, { cause, by }));
  }

  putOrder(order: Order, records: readonly EncodedRecord[]): null | StoreFailure {
    return this.connection.write([JSON.stringify(order)], () => putOrder(this.#rows, order, records));
  }

  liftOrder(id: string, records: readonly EncodedRecord[]): Order | undefined | StoreFailure {
    return this.connection.write([id], () => liftOrder(this.#rows, id, records));
  }

  revokeToken(jtiDigest: string, cause: Cause, by: string): boolean | StoreFailure {
    return this.connection.write([jtiDigest, cause.note, by], () => revokeToken(this.#rows, jtiDigest, { cause, by }));
  }

  rememberOnce(kind: RememberedKind, key: string, untilMs: number): 'new' | 'seen' | StoreFailure {
    return this.connection.write([key], () => rememberKey(this.connection, kind, { key, untilMs }));
  }

  spend(
    key: TaskKey,
    jtiDigest: string,
    spends: readonly TaskSpend[],
    entry?: HistoryEntry,
  ): null | SpendProblem | StoreFailure {
    return this.#take<SpendProblem>([], key, { jtiDigest, spends, entry }, () =>
      takeFrom(this.#rows, { key, jtiDigest }, { spends, entry }),
    );
  }

  settle(decisionId: string, key: TaskKey | null, use: Parameters<Store['settle']>[2]): ReturnType<Store['settle']> {
    return this.#take<SettleProblem | Lent | LimitsLeft>([decisionId, use.by ?? '', use.agent ?? ''], key, use, () =>
      settleUse(this.#rows, decisionId, { ...use, spends: withDigests(use.spends, this.digestOf), key }),
    );
  }

  giveBack(use: UnsentUse): boolean | StoreFailure {
    const { decisionId, key, spends, left = [], before = 0, by = '' } = use;
    const problem = spendsProblem(spends, [...left, before]);
    if (problem !== null) return storeFailure('refused', problem);
    return this.connection.write([decisionId, key?.issuer ?? '', key?.id ?? '', by, ...namesOf(spends)], () =>
      giveBackUse(this.#rows, use),
    );
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
    return this.connection.write([], () => due.filter((key) => expire(this.#rows, key)).length);
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
    return this.#isServing ? markServing(this.connection) : null;
  }

  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure {
    return this.connection.write([], () => {
      insertRecords(this.connection, batch);
      return null;
    });
  }

  keepRecord(decisionId: string, record: EncodedRecord): null | StoreFailure {
    return this.connection.write([decisionId], () => keepRecord(this.#rows, decisionId, record));
  }

  forget(upTo: number): null | StoreFailure {
    return this.connection.write([], () => forgetOutbox(this.connection, upTo));
  }

  claimSignals(receiver: string): SignalClaim | StoreFailure {
    return this.connection.write([receiver], () => claimSignals(this.connection, receiver));
  }

  dropSignals(receiver: string, seqs: readonly number[]): null | StoreFailure {
    return this.connection.write([receiver], () => dropSignals(this.connection, receiver, seqs));
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

  writeUses(uses: readonly UsesOfToken[], reporter: Reporter): null | StoreFailure {
    return this.connection.write([reporter.name, ...uses.flatMap(textsOfUses)], () =>
      writeUses(this.connection, uses, reporter),
    );
  }

  override close(): void {
    try {
      if (this.#isServing) unmarkServing(this.connection);
    } finally {
      super.close();
    }
  }

  /** Takes from a task what `work` takes. Takes nothing if the numbers or texts cannot be stored, or the token is refused here. */
  #take<Problem>(
    ids: readonly string[],
    key: TaskKey | null,
    { jtiDigest, spends, entry, ahead }: Parameters<Store['settle']>[2],
    work: () => Problem | null,
  ): Problem | 'ended' | null | StoreFailure {
    const problem = spendsProblem(spends, ahead);
    if (problem !== null) return storeFailure('refused', problem);
    if (this.refused.has(jtiDigest)) return 'ended';
    const texts = entry === undefined ? [] : [entry.action, ...entry.labels];
    return this.connection.write(
      [key?.issuer ?? '', key?.id ?? '', jtiDigest, ...ids, ...namesOf(spends), ...texts],
      work,
    );
  }
}
