import type { EncodedRecord } from '../../../../core/ledger/encoded-record.ts';
import { laterOf } from '../../../../core/runtime/ports.ts';
import type { Clocks } from '../../../../core/runtime/ports.ts';
import { isStoreFailure, storeFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import { noHistory } from '../../../../core/task/history.ts';
import type { TaskHistory } from '../../../../core/task/history.ts';
import type { Stop, StopQuery, StopRow } from '../../../../core/task/stop.ts';
import type { Task } from '../../../../core/task/task.ts';
import { ORDERS_ROOT } from '../../../../core/state/feed.ts';
import type { ChangedPart } from '../../../../core/state/feed.ts';
import { MAX_REPLAY_ROWS, replayRowsFull } from '../../../../core/state/replay-memory.ts';
import type { Order } from '../../../../core/order/order.ts';
import type { StateRows } from '../../../../core/state/writes/state-rows.ts';
import type { IssuedToken, TaskKey } from '../../../../core/state/store.ts';
import type { TokenOfTask, UseState } from '../../../../core/state/store-reader.ts';
import { keyText } from './key-text.ts';
import type { LimitCounter } from '../../../../core/limit/limit-spend.ts';
import { LimitRows } from './limit-rows.ts';
import { OrderRows } from './order-rows.ts';
import { UnreadableOrderRow } from './rows-read.ts';
import { StopRows } from './stop-rows.ts';
import { UndoLog } from './undo-log.ts';

/** A task with the id of its root task. */
export interface RootedTask {
  readonly task: Task;
  readonly root: string;
  /** How often its row was written; 0 for a row of an earlier version. */
  readonly revision: number;
}

/** A key that is remembered. */
export interface Remembered {
  readonly kind: string;
  readonly key: string;
  readonly untilMs: number;
  /** Whether it has no row yet. */
  readonly isNew: boolean;
}

/** A counter of a budget. Neither number becomes less: what is given back is counted too. */
export interface SpentRow {
  readonly key: TaskKey;
  readonly name: string;
  /** Everything that was ever taken. */
  readonly taken: number;
  /** What of it was given back. */
  readonly given: number;
}

/** A key that exists: thrown by an insert, and returned by `attempt`. */
class Conflict extends Error {}

/**
 * The rows of a transaction in memory: as read and locked, and as changed since by its writes, which run one after another. A write that
 * fails leaves no trace. At the end `changed` gives what to write.
 */
export class RowSet implements StateRows {
  readonly #tasks = new Map<string, RootedTask>();
  readonly #tokens = new Map<string, TokenOfTask>();
  readonly #spent = new Map<string, SpentRow>();
  readonly #histories = new Map<string, { readonly key: TaskKey; readonly history: TaskHistory }>();
  readonly #settled = new Set<string>();
  readonly #remembered = new Map<string, Remembered>();
  readonly #rememberedCounts = new Map<string, number>();
  readonly #changed = {
    newTasks: new Set<string>(),
    tasks: new Set<string>(),
    newTokens: new Set<string>(),
    revoked: new Set<string>(),
    spent: new Set<string>(),
    histories: new Set<string>(),
    settled: new Set<string>(),
    remembered: new Set<string>(),
    feed: new Map<string, ChangedPart>(),
  };
  #records: readonly EncodedRecord[] = [];
  #clocks: Clocks = { wallMs: 0, floorMs: 0, monotonicMs: 0 };
  readonly #undo = new UndoLog();
  readonly #orders = new OrderRows(this.#undo, () => this.#announce(ORDERS_ROOT, 'orders'));

  readonly #stops = new StopRows(this.#undo);
  readonly limits = new LimitRows(this.#undo);

  loadTask(rooted: RootedTask): void {
    this.#tasks.set(keyText(rooted.task), rooted);
  }

  loadToken(token: TokenOfTask): void {
    this.#tokens.set(token.jtiDigest, token);
  }

  loadSpent(row: SpentRow): void {
    this.#spent.set(spentText(row.key, row.name), row);
  }

  loadHistory(key: TaskKey, history: TaskHistory): void {
    this.#histories.set(keyText(key), { key, history });
  }

  loadSettled(decisionId: string): void {
    this.#settled.add(decisionId);
  }

  loadRemembered({ kind, key }: Omit<Remembered, 'untilMs' | 'isNew'>, untilMs: number): void {
    this.#remembered.set(`${kind}\0${key}`, { kind, key, untilMs, isNew: false });
  }

  loadRememberedCount(kind: string, count: number): void {
    this.#rememberedCounts.set(kind, count);
  }

  loadStop(stop: StopRow): void {
    this.#stops.load(stop);
  }

  /** @param isGiven looks whether an authority wrote the order */
  loadOrder(order: Order, isGiven: () => boolean): void {
    this.#orders.load(order, isGiven);
  }

  /** `OrderRows.loadUnreadable`. */
  loadUnreadableOrder(row: UnreadableOrderRow): void {
    this.#orders.loadUnreadable(row);
  }

  /** Runs a write by the clock readings of its call. Undoes all of it if it gives a failure, meets a key that exists, or asks for unreadable orders. */
  attempt<T>(clocks: Clocks, write: (rows: RowSet) => T): T | StoreFailure {
    this.#clocks = clocks;
    this.#undo.begin();
    try {
      const result = write(this);
      if (isStoreFailure(result)) this.#undo.revert();
      return result;
    } catch (error) {
      this.#undo.revert();
      if (error instanceof Conflict) return storeFailure('conflict', 'a row with that key exists');
      if (error instanceof UnreadableOrderRow) return storeFailure('unusable', error.message);
      throw error;
    }
  }

  /** What the writes have changed. */
  changed() {
    const { newTasks, tasks, newTokens, revoked, spent, histories, settled, remembered, feed } = this.#changed;
    return {
      newTasks: valuesOf(this.#tasks, newTasks),
      tasks: valuesOf(this.#tasks, tasks).filter(({ task }) => !newTasks.has(keyText(task))),
      newTokens: valuesOf(this.#tokens, newTokens),
      revoked: valuesOf(this.#tokens, revoked).filter(({ jtiDigest }) => !newTokens.has(jtiDigest)),
      spent: valuesOf(this.#spent, spent),
      histories: valuesOf(this.#histories, histories),
      settled: [...settled],
      remembered: valuesOf(this.#remembered, remembered),
      orders: this.#orders.changed(),
      limits: this.limits.changed(),
      feed: [...feed],
      stops: this.#stops.changed(),
      records: this.#records,
    };
  }

  nowMs(): number {
    return laterOf(this.#clocks);
  }

  floorMs(): number {
    return this.#clocks.floorMs;
  }

  task(key: TaskKey): Task | undefined {
    return this.#tasks.get(keyText(key))?.task;
  }

  openParts({ issuer, id }: TaskKey): readonly Task[] {
    const open = [...this.#tasks.values()].map(({ task }) => task).filter((task) => task.endedAtMs === null);
    const parts: Task[] = [];
    for (let parents = new Set([id]); parents.size > 0;) {
      const next = open.filter(
        (task) => task.issuer === issuer && task.parentId !== null && parents.has(task.parentId),
      );
      parts.push(...next);
      parents = new Set(next.map((task) => task.id));
    }
    return parts;
  }

  countOpenParts(key: TaskKey): number {
    return this.openParts(key).length;
  }

  token(jtiDigest: string): TokenOfTask | undefined {
    return this.#tokens.get(jtiDigest);
  }

  useState(key: TaskKey, jtiDigest: string): UseState | undefined {
    const task = this.task(key);
    if (task === undefined) return undefined;
    const token = this.token(jtiDigest);
    const isOwn = token !== undefined && token.issuer === key.issuer && token.taskId === key.id;
    const history = this.#histories.get(keyText(this.#rootOf(key)))?.history ?? noHistory;
    return { task, issued: isOwn ? token : undefined, history };
  }

  spent(key: TaskKey, counter: string): number {
    const row = this.#spent.get(spentText(key, counter));
    return row === undefined ? 0 : row.taken - row.given;
  }

  isSettled(decisionId: string): boolean {
    return this.#settled.has(decisionId);
  }

  addTask(task: Task): void {
    const key = keyText(task);
    if (this.#tasks.has(key)) throw new Conflict();
    const { issuer, parentId } = task;
    const root = parentId === null ? task.id : this.#rootOf({ issuer, id: parentId }).id;
    this.#undo.set(this.#tasks, key, { task, root, revision: 0 });
    this.#undo.mark(this.#changed.newTasks, key);
    this.limits.opened(task.agent, task.subject);
  }

  setTask(task: Task): void {
    this.#replace(task);
    this.#announce(this.#rootOf(task).id, 'task');
  }

  addToken({ issuer, id }: TaskKey, token: IssuedToken): void {
    if (this.#tokens.has(token.jtiDigest)) throw new Conflict();
    this.#undo.set(this.#tokens, token.jtiDigest, { ...token, revokedAtMs: null, issuer, taskId: id });
    this.#undo.mark(this.#changed.newTokens, token.jtiDigest);
  }

  setRevoked(token: TokenOfTask, atMs: number): void {
    this.#undo.set(this.#tokens, token.jtiDigest, { ...token, revokedAtMs: atMs });
    this.#undo.mark(this.#changed.revoked, token.jtiDigest);
    this.#announce(this.#rootOf({ issuer: token.issuer, id: token.taskId }).id, 'task');
  }

  setSpent(key: TaskKey, counter: string, spent: number): void {
    const text = spentText(key, counter);
    const { taken, given } = this.#spent.get(text) ?? { taken: 0, given: 0 };
    const more = spent - (taken - given);
    const row = more >= 0 ? { taken: taken + more, given } : { taken, given: given - more };
    this.#undo.set(this.#spent, text, { key, name: counter, ...row });
    this.#undo.mark(this.#changed.spent, text);
  }

  setHistory(key: TaskKey, history: TaskHistory): void {
    const root = this.#rootOf(key);
    this.#undo.set(this.#histories, keyText(root), { key: root, history });
    this.#undo.mark(this.#changed.histories, keyText(root));
    this.#announce(root.id, 'history');
  }

  setSettled(decisionId: string): void {
    this.#undo.mark(this.#settled, decisionId);
    this.#undo.mark(this.#changed.settled, decisionId);
  }

  readonly stop = (query: StopQuery): Stop | null => this.#stops.find(query);
  readonly addStops = (stops: readonly StopRow[]): void => this.#stops.add(stops);
  readonly endStops = ({ issuer, id }: TaskKey, endedAtMs: number): void =>
    this.#stops.change({ kind: 'end', key: { issuer, id }, endedAtMs });
  readonly removeStops = ({ issuer, id }: TaskKey): void => this.#stops.change({ kind: 'remove', key: { issuer, id } });
  readonly liftStops = (query: Omit<StopQuery, 'subject'>): void => this.#stops.change({ kind: 'lift', query });

  readonly orders = (): readonly Order[] => this.#orders.all();
  readonly isGivenOrder = (id: string): boolean => this.#orders.isGiven(id);
  readonly addOrder = (order: Order): void => this.#orders.set(order.id, order);
  readonly removeOrder = (id: string): void => this.#orders.set(id, null);

  readonly limitUsed = (counter: LimitCounter): number => this.limits.used(counter);
  readonly setLimitUsed = (counter: LimitCounter, used: number, max: number): void =>
    this.limits.setUsed(counter, used, max);
  readonly hasLimitValue = (counter: LimitCounter, digest: string): boolean => this.limits.has(counter, digest);
  readonly addLimitValue = (counter: LimitCounter, digest: string): void => this.limits.add(counter, digest);
  /**
   * A task that another write of the same transaction ended still counts: a new task may be refused, and succeeds when retried.
   */
  readonly openTasks: StateRows['openTasks'] = (of) => this.limits.open(of);
  readonly restoredAtMs = (): number | null => this.limits.restoredAtMs;

  /** `Store.rememberOnce`. */
  remember({ kind, key, untilMs }: Omit<Remembered, 'isNew'>): 'new' | 'seen' | StoreFailure {
    const text = `${kind}\0${key}`;
    const known = this.#remembered.get(text);
    if (known !== undefined && known.untilMs > this.floorMs()) return 'seen';
    const count = this.#rememberedCounts.get(kind) ?? 0;
    if (known === undefined && count >= MAX_REPLAY_ROWS) return replayRowsFull();
    if (known === undefined) this.#undo.set(this.#rememberedCounts, kind, count + 1);
    this.#undo.set(this.#remembered, text, { kind, key, untilMs, isNew: known?.isNew ?? true });
    this.#undo.mark(this.#changed.remembered, text);
    return 'new';
  }

  addRecords(records: readonly EncodedRecord[]): void {
    const before = this.#records;
    this.#undo.add(() => (this.#records = before));
    this.#records = [...before, ...records];
    for (const { task, at, isAllowedUse } of records) if (isAllowedUse && task !== null) this.touch(task, at);
  }

  /** Restarts the idle time of the task and its ancestors: see `touchTask` of the state file for the rules. */
  touch(taskId: string, usedAtMs: number): void {
    const { wallMs, floorMs } = this.#clocks;
    const usedMs = floorMs - Math.max(0, wallMs - usedAtMs);
    const used = [...this.#tasks.values()].find(({ task }) => task.id === taskId)?.task;
    for (let next = used; next !== undefined && next.endedAtMs === null && next.idleMs !== null;) {
      const isIdling = next.lastUsedMs < usedMs && next.lastUsedMs + next.idleMs > floorMs;
      if (next.state === 'active' && isIdling) this.#replace({ ...next, lastUsedMs: usedMs });
      next = next.parentId === null ? undefined : this.task({ issuer: next.issuer, id: next.parentId });
    }
  }

  #rootOf(key: TaskKey): TaskKey {
    return { issuer: key.issuer, id: this.#tasks.get(keyText(key))?.root ?? key.id };
  }

  #replace(task: Task): void {
    const key = keyText(task);
    const revision = this.#tasks.get(key)?.revision ?? 0;
    this.#undo.set(this.#tasks, key, { task, root: this.#rootOf(task).id, revision });
    this.#undo.mark(this.#changed.tasks, key);
  }

  /** A change of the task supersedes a change of the history. */
  #announce(root: string, part: ChangedPart): void {
    if (part === 'task' || !this.#changed.feed.has(root)) this.#undo.set(this.#changed.feed, root, part);
  }
}

const spentText = (key: TaskKey, name: string): string => `${keyText(key)}\0${name}`;

const valuesOf = <V>(map: ReadonlyMap<string, V>, keys: ReadonlySet<string>): readonly V[] =>
  [...keys].flatMap((key) => {
    const value = map.get(key);
    return value === undefined ? [] : [value];
  });
