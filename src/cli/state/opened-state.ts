import { systemPorts } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Authority } from '../../core/state/authority.ts';
import { openPostgresState } from '../../authority/state/postgres/postgres-state.ts';
import type { PostgresState } from '../../authority/state/postgres/postgres-state.ts';
import { openStore, openStoreForReading } from '../../authority/state/sqlite/open-store.ts';
import type { Store } from '../../core/state/store.ts';
import type { StoreReader } from '../../core/state/store-reader.ts';
import type { Task } from '../../core/task/task.ts';
import { stateKeyFrom } from '../../serve/state/state-key.ts';
import type { StateSource } from './state-source.ts';
import { type CommandRefusal, noSuchTask, taskRefusal } from '../task/task-source.ts';

type Waited<F extends (...args: never[]) => unknown> = (...args: Parameters<F>) => Promise<ReturnType<F>>;

/** The reads of a state that commands need. */
export interface OpenedState {
  /** `Store.nowMs`. */
  nowMs(): number;
  readonly tasks: Waited<StoreReader['tasks']>;
  readonly staticSecrets: Waited<StoreReader['staticSecrets']>;
  readonly ordersInForce: Authority['ordersInForce'];
  readonly limitUses: Authority['limitUses'];
  readonly openTaskCounts: Authority['openTaskCounts'];
  readonly loansOf: Waited<StoreReader['loansOf']>;
  /** The records of a task that wait for a ledger, and the id of the state by which ledgers say what they have taken. */
  readonly waitingOf: (
    taskId: string,
    limit: number,
  ) => Promise<Pick<StoreReader, 'fileId' | 'recordsOf'> | StoreFailure>;
}

/** A state that a command may change. */
export type WritableState = OpenedState &
  Pick<Authority, 'applyTaskEvent' | 'appendRecords' | 'liftStops' | 'putOrder' | 'liftOrder'> & {
    /** `Store.floorMs`. */
    floorMs(): number;
  };

/** Opens the state for reading, passes it to `use` and closes it. */
export async function reading<T>(
  source: StateSource,
  use: (state: OpenedState) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> {
  if (source.kind === 'postgres') return writing(source, use);
  const store = openStoreForReading(source.path, systemPorts);
  if (isStoreFailure(store)) return taskRefusal(store.detail);
  try {
    return await use(readsOf(store));
  } finally {
    store.close();
  }
}

/** Opens the state for a change, passes it to `use` and closes it. */
export async function writing<T>(
  source: StateSource,
  use: (state: WritableState) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> {
  if (source.kind === 'postgres') return withDatabase(source, use);
  const store = openStore(source.path, { ...systemPorts, access: 'write' });
  if (isStoreFailure(store)) return taskRefusal(store.detail);
  try {
    return await use(writesOf(store));
  } finally {
    store.close();
  }
}

/** The task with this id, of any issuer. */
export async function taskWith(state: OpenedState, id: string): Promise<Task | CommandRefusal> {
  const found = await state.tasks({ id, limit: 1 });
  if (isStoreFailure(found)) return taskRefusal(found.detail);
  return found[0] ?? noSuchTask(id);
}

const readsOf = (store: StoreReader): OpenedState => ({
  nowMs: () => store.nowMs(),
  tasks: async (filter) => store.tasks(filter),
  staticSecrets: async (limit) => store.staticSecrets(limit),
  ordersInForce: async () => store.ordersInForce(),
  limitUses: async (filter) => store.limitUses(filter),
  openTaskCounts: async () => store.openTaskCounts(),
  loansOf: async (key) => store.loansOf(key),
  waitingOf: async () => store,
});

const writesOf = (store: Store): WritableState => ({
  ...readsOf(store),
  applyTaskEvent: async (...args) => store.applyTaskEvent(...args),
  liftStops: async (...args) => store.liftStops(...args),
  appendRecords: async (records) => store.appendRecords(records),
  floorMs: () => store.floorMs(),
  putOrder: async (...args) => store.putOrder(...args),
  liftOrder: async (...args) => store.liftOrder(...args),
});

const withDatabase = <T>(
  source: StateSource & { readonly kind: 'postgres' },
  use: (state: WritableState) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> =>
  usingPostgres(source, ({ authority, feed, reader }) =>
    use({
      nowMs: () => authority.nowMs(),
      tasks: (filter) => reader.tasks(filter),
      staticSecrets: (limit) => reader.staticSecrets(limit),
      waitingOf: async (taskId, limit) => {
        const head = await feed.head();
        if (isStoreFailure(head)) return head;
        const waiting = await reader.recordsOf(taskId, limit);
        return isStoreFailure(waiting) ? waiting : { fileId: () => head.epoch, recordsOf: () => waiting };
      },
      ordersInForce: () => authority.ordersInForce(),
      limitUses: (filter) => authority.limitUses(filter),
      openTaskCounts: () => authority.openTaskCounts(),
      loansOf: (key) => reader.loansOf(key),
      floorMs: () => authority.floorMs(),
      putOrder: (...args) => authority.putOrder(...args),
      liftOrder: (...args) => authority.liftOrder(...args),
      applyTaskEvent: (...args) => authority.applyTaskEvent(...args),
      liftStops: (...args) => authority.liftStops(...args),
      appendRecords: (records) => authority.appendRecords(records),
    }),
  );

/** Opens a PostgreSQL, passes it to `use` and closes it. Rows are sealed with `stateKey`: authorities trust no row without it. */
export async function usingPostgres<T>(
  { target, durability, receivers, stateKey: keyFile }: StateSource & { readonly kind: 'postgres' },
  use: (state: PostgresState) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> {
  const stateKey = keyFile === null ? null : stateKeyFrom(keyFile);
  if (isProblem(stateKey)) return taskRefusal(stateKey.problem);
  const { randomBytes } = systemPorts;
  const state = await openPostgresState({
    target,
    durability,
    clocks: systemPorts,
    randomBytes,
    address: '',
    stateKey,
    receivers,
  });
  if (isStoreFailure(state)) return taskRefusal(state.detail);
  try {
    return await use(state);
  } finally {
    await state.close();
  }
}
