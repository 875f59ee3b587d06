import type { Stop, StopQuery } from '../../../core/task/stop.ts';
import type { Task } from '../../../core/task/task.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import type { FloorMark } from '../../../core/state/clock-floor.ts';
import type { HeldTask } from '../../../core/fleet/card.ts';
import type { Orders } from '../../../core/order/orders.ts';
import { Connection } from './connection.ts';
import { sizeOfFile } from './file-space.ts';
import { fileIdOf, outboxAfter, outboxEnd, waitingRecordsOf } from './tables/outbox-table.ts';
import { restoredAt } from './tables/restored-mark.ts';
import { RefusedTokens } from '../../../core/state/refused-tokens.ts';
import { digestKeyOf, secretDigests, sightings } from './tables/secret-table.ts';
import { changesAfter, endOfFeed } from './tables/feed-table.ts';
import type { FeedChanges } from '../../../core/state/feed.ts';
import type { ReportedUses } from '../../../core/state/reported-uses.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Store, TaskKey } from '../../../core/state/store.ts';
import type {
  OutboxRecord,
  TaskStanding,
  OpenTaskFilter,
  StateSize,
  StoreReader,
  TaskCounts,
  TaskFilter,
  TokenOfTask,
  UseState,
  WaitingRecord,
} from '../../../core/state/store-reader.ts';
import type { LimitPeak, LimitUse, LimitUseFilter } from '../../../core/state/limit-use.ts';
import type { OpenTaskCount } from '../../../core/limit/open-task-uses.ts';
import { listLimitPeaks, listLimitUses, listOpenTaskCounts } from './tables/limit-table.ts';
import { listLoans } from './tables/budget-table.ts';
import type { TaskLoan } from '../../../core/state/task-loan.ts';
import type { SignalQueue } from '../../../core/state/signal-queue.ts';
import { signalQueueOf } from './tables/signal-table.ts';
import type { SecretSighting } from '../../../core/state/secret-sighting.ts';
import { countTasks, idlingTasks, listOpenTasks, listTasks, taskAt } from './tables/task-table.ts';
import { stopAt } from './tables/stop-table.ts';
import { UnreadableOrder } from './tables/order-table.ts';
import { tokenAt, useStateAt } from './tables/token-table.ts';
import { reportedUsesAt } from './tables/token-uses-table.ts';
import { UseStates } from './use-states.ts';

/** A reader in a process that serves. Beside the file it knows the clock, and the tokens refused by this process. */
export interface StateReader extends StoreReader, Pick<Store, 'refuseToken' | 'digestOf' | 'reportedUses'> {
  /** The clock mark for the next commit. */
  mark(): FloorMark;
  /** The task with its root, its history and those tokens of it that are asked for; `undefined` if it does not exist. */
  heldTask(key: TaskKey, jtiDigests: readonly string[]): HeldTask | undefined | StoreFailure;
  /** The key of the digests of static secrets, 32 bytes. */
  digestKey(): Uint8Array | StoreFailure;
  /** Whether `refuseToken` was called for the token. */
  isRefused(jtiDigest: string): boolean;
  /** The tasks among these that have an idle limit. */
  idlingAmong(used: ReadonlyMap<string, number>): readonly (readonly [task: string, atMs: number])[] | StoreFailure;
}

/** Most tokens whose state a reader beside the writer caches: each use is decided by such a state. */
const MAX_STATES = 16_384;

/** A reader over a connection. Every call is synchronous. A call of several statements may see commits between them. */
export class SqliteReader implements StateReader {
  protected readonly connection: Connection;
  protected readonly useStates: UseStates;
  protected readonly refused = new RefusedTokens();
  readonly digestOf: Store['digestOf'];

  constructor(connection: Connection, maxStates = MAX_STATES) {
    this.connection = connection;
    this.useStates = new UseStates(connection, maxStates);
    this.digestOf = secretDigests(connection);
  }

  clocks(): Clocks {
    return this.connection.clocks();
  }

  nowMs(): number {
    return this.connection.nowMs();
  }

  floorMs(): number {
    return this.connection.floorMs();
  }

  taskOf(issuer: string, id: string): Task | undefined | StoreFailure {
    return this.connection.read([issuer, id], () => taskAt(this.connection, { issuer, id }));
  }

  useStateOf(issuer: string, id: string, jtiDigest: string): UseState | undefined | StoreFailure {
    const key = { issuer, id };
    return this.#inUse(
      this.connection.read([], () => this.useStates.held(key, jtiDigest)) ?? this.#read(key, jtiDigest),
      jtiDigest,
    );
  }

  standingOf(issuer: string, id: string, jtiDigest: string): TaskStanding | undefined | StoreFailure {
    const key = { issuer, id };
    return this.#inUse(
      this.connection.read([], () => this.useStates.standing(key, jtiDigest)) ?? this.#read(key, jtiDigest),
      jtiDigest,
    );
  }

  turn(): void {
    // If it fails, each look fails too and gives the reason.
    this.connection.read([], () => this.useStates.turn());
  }

  turnOver(): void {
    this.useStates.turnOver();
  }

  tokenOf(jtiDigest: string): TokenOfTask | undefined | StoreFailure {
    const token = this.connection.read([jtiDigest], () => tokenAt(this.connection, jtiDigest));
    return token === undefined || isStoreFailure(token) ? token : this.refused.of(token, jtiDigest);
  }

  tasks(filter: TaskFilter): readonly Task[] | StoreFailure {
    const { id = null, agent = null, state = null, parent } = filter;
    return this.connection.read([id, agent, state, parent?.id ?? null], () => listTasks(this.connection, filter));
  }

  openTasks(filter: OpenTaskFilter, limit: number): readonly Task[] | StoreFailure {
    const { agent = null, subject = null, id = null, jtiDigest = null } = filter;
    return this.connection.read([agent, subject, id, jtiDigest], () => listOpenTasks(this.connection, filter, limit));
  }

  taskCounts(): TaskCounts | StoreFailure {
    return this.connection.read([], () => countTasks(this.connection));
  }

  size(): StateSize | StoreFailure {
    return this.connection.read([], () => sizeOfFile(this.connection));
  }

  staticSecrets(limit: number): readonly SecretSighting[] | StoreFailure {
    return this.connection.read([], () => sightings(this.connection, limit));
  }

  fileId(): string | StoreFailure {
    return this.connection.read([], () => fileIdOf(this.connection));
  }

  outboxEnd(): number | StoreFailure {
    return this.connection.read([], () => outboxEnd(this.connection));
  }

  restoredAtMs(): number | null | StoreFailure {
    return this.connection.read([], () => restoredAt(this.connection));
  }

  ordersInForce(): Orders | StoreFailure {
    return this.connection.read([], () => {
      try {
        return this.useStates.orders();
      } catch (error) {
        if (!(error instanceof UnreadableOrder)) throw error;
        return storeFailure('unusable', `an order in the state file cannot be read: ${error.message}`);
      }
    });
  }

  stopOf(query: StopQuery): Stop | null | StoreFailure {
    const { issuer, agent, subject, actions } = query;
    return this.connection.read([issuer, agent, subject, ...actions], () => stopAt(this.connection, query));
  }

  limitUses(filter: LimitUseFilter): readonly LimitUse[] | StoreFailure {
    const { limit = null, who = null } = filter;
    return this.connection.read([limit, who], () => listLimitUses(this.connection, filter));
  }

  limitPeaks(): readonly LimitPeak[] | StoreFailure {
    return this.connection.read([], () => listLimitPeaks(this.connection));
  }

  openTaskCounts(): readonly OpenTaskCount[] | StoreFailure {
    return this.connection.read([], () => listOpenTaskCounts(this.connection));
  }

  loansOf(key: TaskKey): readonly TaskLoan[] | StoreFailure {
    return this.connection.read([key.issuer, key.id], () => listLoans(this.connection, key));
  }

  signalQueue(receiver: string, later: readonly number[] = []): SignalQueue | StoreFailure {
    return this.connection.read([receiver], () => signalQueueOf(this.connection, receiver, later));
  }

  outbox(after: number, limit: number): readonly OutboxRecord[] | StoreFailure {
    return this.connection.read([], () => outboxAfter(this.connection, after, limit));
  }

  recordsOf(taskId: string, limit: number): readonly WaitingRecord[] | StoreFailure {
    return this.connection.read([taskId], () => waitingRecordsOf(this.connection, taskId, limit));
  }

  mark(): FloorMark {
    return this.connection.mark();
  }

  heldTask(key: TaskKey, jtiDigests: readonly string[]): HeldTask | undefined | StoreFailure {
    const digests = jtiDigests.length === 0 ? [''] : jtiDigests;
    return this.connection.read([key.issuer, key.id, ...digests], () => {
      const read = digests.flatMap((digest) => useStateAt(this.connection, key, digest) ?? []);
      const [first] = read;
      if (first === undefined) return undefined;
      const { task, history } = first.state;
      const tokens = read
        .flatMap(({ state }) => this.refused.inUse(state, state.issued?.jtiDigest ?? '').issued ?? [])
        .map((token) => [token.jtiDigest, { ...token, elsewhere: null }] as const);
      return { task, history, root: first.root, tokens: new Map(tokens) };
    });
  }

  reportedUses(jtiDigest: string): readonly ReportedUses[] | StoreFailure {
    return this.connection.read([jtiDigest], () => reportedUsesAt(this.connection, jtiDigest));
  }

  digestKey(): Uint8Array | StoreFailure {
    return this.connection.read([], () => digestKeyOf(this.connection));
  }

  isRefused(jtiDigest: string): boolean {
    return this.refused.has(jtiDigest);
  }

  idlingAmong(used: ReadonlyMap<string, number>): readonly (readonly [task: string, atMs: number])[] | StoreFailure {
    return this.connection.read([...used.keys()], () => idlingTasks(this.connection, used));
  }

  refuseToken(jtiDigest: string): void {
    this.refused.add(jtiDigest, this.nowMs());
  }

  feedEnd(): number | StoreFailure {
    return this.connection.read([], () => endOfFeed(this.connection));
  }

  feedAfter(position: number): FeedChanges | null | StoreFailure {
    return this.connection.read([], () => changesAfter(this.connection, position));
  }

  close(): void {
    this.connection.close();
  }

  #read(key: TaskKey, jtiDigest: string): UseState | undefined | StoreFailure {
    return this.connection.read([key.issuer, key.id, jtiDigest], () => this.useStates.read(key, jtiDigest));
  }

  #inUse<T extends TaskStanding>(state: T | undefined | StoreFailure, jtiDigest: string): T | undefined | StoreFailure {
    return state === undefined || isStoreFailure(state) ? state : this.refused.inUse(state, jtiDigest);
  }
}
