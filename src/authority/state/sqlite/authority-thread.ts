import { Worker } from 'node:worker_threads';
import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { programBeside } from '../../../core/runtime/system/program-beside.ts';
import type { Authority, Upkeep } from '../../../core/state/authority.ts';
import type { ClockSources } from '../../../core/state/clock-floor.ts';
import type { Feed } from '../../../core/state/feed.ts';
import { knownOrders } from '../../../core/order/known-orders.ts';
import { refusedPremise } from '../../../core/state/writes/premises.ts';
import type { Settlement, Settling } from '../../../core/state/settling.ts';
import type { Store } from '../../../core/state/store.ts';
import type { TaskStates } from '../../../core/state/task-states.ts';
import type {
  AuthorityMessage,
  AuthorityRequest,
  AuthorityThreadInput,
  WriteAnswer,
  WriteCall,
  WriteName,
} from './authority-messages.ts';
import type { StateAccess } from './state-access.ts';
import { openStoreForReading } from './open-store.ts';
import type { StateReader } from './state-reader.ts';

/** Options of the thread. */
export interface AuthorityThreadOptions extends ClockSources, Omit<AuthorityThreadInput, 'path'> {
  /** Called once when the state breaks, by an I/O error or the end of the thread. The process must stop serving and exit. */
  readonly onFatal: (failure: StoreFailure) => void;
  /** Called after each commit that added records to the outbox. It must not throw. */
  readonly onRecords?: () => void;
  /** Called after a write of this process that may have ended tasks. It must not throw. */
  readonly onEnded?: () => void;
  /** Called after each transaction with `null` once it is on disk, or with the failure of the disk or of a lock. It must not throw. */
  readonly onWrite?: (failure: StoreFailure | null) => void;
  /** Most calls that wait for the thread, and their bytes. Default 4,096 and 16 MiB. */
  readonly maxWaiting?: number;
  readonly maxWaitingBytes?: number;
}

/** Calls and answers are small and short-lived, so a small young generation is enough. */
const LIMITS = { maxYoungGenerationSizeMb: 6 };

/** A call without its answer yet. */
interface PendingCall {
  readonly name: WriteName;
  readonly bytes: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A state file that a separate thread writes and this thread reads, so that the event loop never waits for a disk. Calls of a turn go to the
 * thread together, and it commits everything that waits in a single transaction. Calls run in order. Once the promise of a call has resolved,
 * every later look sees what it wrote. A call beyond the bounds on waiting calls fails at once as `full`.
 *
 * If the thread ends, or after an I/O error, all waiting and all later calls fail as `broken`. Whether the waiting calls were written is
 * unknown.
 *
 * Lifecycle: `open` once; `close` once, which completes all waiting calls, marks the file as closed cleanly, and ends the thread.
 */
export class AuthorityThread implements StateAccess {
  readonly states: TaskStates;
  readonly settling: Settling;
  readonly authority: Authority & Upkeep;
  readonly feed: Feed;
  /** Reads the file in this thread. Its connection cannot write. */
  readonly reader: StateReader;
  readonly #worker: Worker;
  readonly #options: AuthorityThreadOptions;
  readonly #waiting: PendingCall[] = [];
  #waitingBytes = 0;
  /** Calls made in this turn. */
  #calls: WriteCall[] = [];
  #broken: StoreFailure | null = null;
  #closed: (() => void) | null = null;

  private constructor(worker: Worker, reader: StateReader, options: AuthorityThreadOptions) {
    this.#worker = worker;
    this.#options = options;
    this.reader = reader;
    this.feed = {
      feedEnd: async () => this.#broken ?? reader.feedEnd(),
      feedAfter: async (position) => this.#broken ?? reader.feedAfter(position),
    };
    this.states = this.#statesOf(reader);
    this.settling = {
      settle: (use) => this.#settle(use),
      giveBack: ({ key, ...use }) => this.#write('giveBack', { ...use, key: key === null ? null : keyOf(key) }),
    };
    this.authority = this.#authorityOf(reader);
    worker.on('message', (message: AuthorityMessage) => this.#hear(message));
    worker.on('error', (error) => this.#end(`the thread of the state file failed: ${String(error)}`));
    worker.on('exit', (code) => this.#end(`the thread of the state file exited with code ${code}`));
  }

  /** Opens the file to serve with it, and creates it if it does not exist. Refuses what `openStore` refuses. */
  static async open(path: string, options: AuthorityThreadOptions): Promise<AuthorityThread | StoreFailure> {
    const { maxBytes } = options;
    const input: AuthorityThreadInput = { path, ...(maxBytes === undefined ? {} : { maxBytes }) };
    const worker = await started(input);
    if (isStoreFailure(worker)) return worker;
    let thread: AuthorityThread | null = null;
    const onFatal = (failure: StoreFailure): void => thread?.break(failure);
    const reader = openStoreForReading(path, { ...options, onFatal });
    if (isStoreFailure(reader)) {
      await worker.terminate();
      return reader;
    }
    thread = new AuthorityThread(worker, reader, options);
    try {
      // A failure is retried by the upkeep.
      await thread.authority.markServing();
    } catch (error) {
      await thread.close();
      throw error;
    }
    return thread;
  }

  /** Makes every later call fail. */
  break(failure: StoreFailure): void {
    if (this.#broken !== null) return;
    this.#broken = failure;
    this.#failAll(failure);
    this.#options.onFatal(failure);
  }

  async close(): Promise<void> {
    if (this.#broken === null) {
      await new Promise<void>((resolve) => {
        this.#closed = resolve;
        this.#flush();
        const close = { kind: 'close', clocks: this.reader.clocks(), mark: this.reader.mark() } as const;
        this.#broken = storeFailure('broken', 'the state file is closed');
        // INVARIANT: close the reader before the thread closes its connection. The last connection empties and deletes SQLite's log, which a
        // read-only connection cannot do, and a log left behind makes a restore refuse the path.
        this.reader.close();
        this.#post(close);
      });
    } else this.reader.close();
    await this.#worker.terminate();
  }

  #statesOf(reader: StateReader): TaskStates {
    return {
      clocks: () => reader.clocks(),
      of: (key, jtiDigest) => this.#broken ?? reader.useStateOf(key.issuer, key.id, jtiDigest),
      standing: (key, jtiDigest) => this.#broken ?? reader.standingOf(key.issuer, key.id, jtiDigest),
      orders: knownOrders(() => this.#broken ?? reader.ordersInForce()),
      refuse: (jtiDigest) => reader.refuseToken(jtiDigest),
      open: () => null,
      turn: () => reader.turn(),
      turnOver: () => reader.turnOver(),
    };
  }

  #authorityOf(reader: StateReader): Authority & Upkeep {
    const read = async <T>(look: () => T): Promise<T | StoreFailure> => this.#broken ?? look();
    return {
      clocks: () => reader.clocks(),
      nowMs: () => reader.nowMs(),
      floorMs: () => reader.floorMs(),
      taskOf: (...input) => read(() => reader.taskOf(...input)),
      useStateOf: (...input) => read(() => reader.useStateOf(...input)),
      tokenOf: (...input) => read(() => reader.tokenOf(...input)),
      openTasks: (...input) => read(() => reader.openTasks(...input)),
      restoredAtMs: () => read(() => reader.restoredAtMs()),
      stopOf: (query) => read(() => reader.stopOf(query)),
      limitUses: (filter) => read(() => reader.limitUses(filter)),
      limitPeaks: () => read(() => reader.limitPeaks()),
      openTaskCounts: () => read(() => reader.openTaskCounts()),
      ordersInForce: () => read(() => reader.ordersInForce()),
      insertTask: (task, token, records, ...decidedBy) =>
        this.#write('insertTask', task, token, records.map(handedOver), ...decidedBy),
      insertPart: async (part, token, records, handed, ...decidedBy) =>
        reader.isRefused(handed.jtiDigest)
          ? 'ended'
          : this.#write('insertPart', part, token, records.map(handedOver), handed, ...decidedBy),
      insertToken: async (key, token, records, decidedBy) =>
        refusedPremise(decidedBy, (digest) => reader.isRefused(digest)) ??
        this.#write('insertToken', keyOf(key), token, records.map(handedOver), decidedBy),
      applyTaskEvent: (key, ...input) => this.#write('applyTaskEvent', keyOf(key), ...input),
      setContext: (key, ...input) => this.#write('setContext', keyOf(key), ...input),
      liftStops: (key, ...input) => this.#write('liftStops', keyOf(key), ...input),
      putOrder: (order, records) => this.#write('putOrder', order, records.map(handedOver)),
      liftOrder: (id, records) => this.#write('liftOrder', id, records.map(handedOver)),
      setRisk: (key, ...input) => this.#write('setRisk', keyOf(key), ...input),
      revokeToken: (...input) => this.#write('revokeToken', ...input),
      rememberOnce: (...input) => this.#write('rememberOnce', ...input),
      appendRecords: (batch) => this.#write('appendRecords', batch.map(handedOver)),
      keepRecord: (decisionId, record) => this.#write('keepRecord', decisionId, handedOver(record)),
      writeSecrets: (...input) => this.#write('writeSecrets', ...input),
      // Usually no task has an idle limit, and every batch of records of uses comes here.
      touchTasks: async (used) => {
        const idling = this.#broken ?? reader.idlingAmong(used);
        if (isStoreFailure(idling)) return idling;
        return idling.length === 0 ? null : this.#write('touchTasks', new Map(idling));
      },
      writeUses: (...input) => this.#write('writeUses', ...input),
      endExpired: () => this.#write('endExpired'),
      prune: (...input) => this.#write('prune', ...input),
      shrink: () => this.#write('shrink'),
      markServing: () => this.#write('markServing'),
      forget: (...input) => this.#write('forget', ...input),
      signalQueue: (...input) => read(() => reader.signalQueue(...input)),
      claimSignals: (receiver) => this.#write('claimSignals', receiver),
      dropSignals: (...input) => this.#write('dropSignals', ...input),
    };
  }

  async #settle({ decisionId, key, record, ...use }: Parameters<Settling['settle']>[0]): Promise<Settlement> {
    const { agent, jtiDigest, spends, entry, ahead, by } = use;
    if (this.reader.isRefused(jtiDigest)) return 'ended';
    const recorded = record === undefined ? undefined : handedOver(record);
    const taking = { agent, jtiDigest, spends, entry, record: recorded, ahead, by };
    return this.#write('settle', decisionId, key === null ? null : keyOf(key), taking);
  }

  #write<N extends WriteName>(name: N, ...input: Parameters<Store[N]>): Promise<ReturnType<Store[N]> | StoreFailure> {
    if (this.#broken !== null) return Promise.resolve(this.#broken);
    const { maxWaiting = MAX_WAITING, maxWaitingBytes = MAX_WAITING_BYTES } = this.#options;
    const bytes = CALL_BYTES + bytesIn(input);
    if (this.#waiting.length >= maxWaiting || this.#waitingBytes + bytes > maxWaitingBytes)
      return Promise.resolve(storeFailure('full', 'too many writes wait for the state file'));
    this.#waitingBytes += bytes;
    if (this.#calls.length === 0) queueMicrotask(() => this.#flush());
    this.#calls.push({ name, input, clocks: this.reader.clocks() });
    return new Promise((resolve, reject) => {
      // The thread answers with the return value of the method of that name.
      this.#waiting.push({ name, bytes, resolve: resolve as PendingCall['resolve'], reject });
    });
  }

  #flush(): void {
    const calls = this.#calls;
    if (calls.length === 0 || this.#broken !== null) return;
    this.#calls = [];
    this.#post({ kind: 'writes', calls, mark: this.reader.mark() });
  }

  #post(request: AuthorityRequest): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    this.#worker.postMessage(request);
  }

  #hear(message: AuthorityMessage): void {
    switch (message.kind) {
      case 'answers':
        for (const failure of message.writes) this.#options.onWrite?.(failure);
        if (message.hasRecords) this.#options.onRecords?.();
        for (const answer of message.answers) this.#answer(answer);
        return;
      case 'fatal':
        this.break(message.failure);
        return;
      case 'closed':
        this.#closed?.();
        this.#closed = null;
        return;
      case 'opened':
      case 'unopened':
    }
  }

  #answer(answer: WriteAnswer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    this.#waitingBytes -= waiting.bytes;
    if ('error' in answer) waiting.reject(new Error(`a write of the state file failed: ${answer.error}`));
    else {
      waiting.resolve(answer.value);
      if (ENDING.has(waiting.name) && answer.value !== 0) this.#options.onEnded?.();
    }
  }

  #end(detail: string): void {
    if (this.#closed === null) this.break(storeFailure('broken', detail));
    else this.#failAll(storeFailure('broken', detail));
    this.#closed?.();
    this.#closed = null;
  }

  #failAll(failure: StoreFailure): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve(failure);
    this.#waitingBytes = 0;
    this.#calls = [];
  }
}

/** The writes that may end tasks. `endExpired` answers with 0 if it ended none. */
const ENDING: ReadonlySet<WriteName> = new Set(['applyTaskEvent', 'setContext', 'endExpired']);
const MAX_WAITING = 4_096;
const MAX_WAITING_BYTES = 16 * 1_024 * 1_024;
/** Bytes of a call without its input. */
const CALL_BYTES = 256;

function started(input: AuthorityThreadInput): Promise<Worker | StoreFailure> {
  return new Promise((resolve) => {
    const worker = new Worker(programBeside(import.meta.url, 'authority-worker'), {
      workerData: input,
      execArgv: [],
      resourceLimits: LIMITS,
    });
    const settle = (outcome: Worker | StoreFailure): void => {
      worker.off('error', failed).off('exit', ended);
      resolve(outcome);
    };
    const failed = (error: unknown): void =>
      settle(storeFailure('unusable', `the thread of the state file failed: ${String(error)}`));
    const ended = (code: number): void =>
      settle(storeFailure('unusable', `the thread of the state file exited with code ${code}`));
    worker.on('error', failed).on('exit', ended);
    worker.once('message', (first: AuthorityMessage) => {
      if (first.kind === 'unopened') settle(first.failure);
      else if (first.kind === 'opened') settle(worker);
    });
  });
}

/** The key of a task, if a caller gives the whole task. */
const keyOf = ({ issuer, id }: { readonly issuer: string; readonly id: string }) => ({ issuer, id });

/** A record with a buffer of its own. That of a `Buffer` is part of a pool, all of which would be copied to the thread. */
const handedOver = (record: EncodedRecord): EncodedRecord => ({ ...record, bytes: new Uint8Array(record.bytes) });

/** Approximate bytes of a value: its texts, its byte arrays, and a constant for each member. */
function bytesIn(value: unknown): number {
  if (typeof value === 'string') return 2 * value.length;
  if (value instanceof Uint8Array) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 8;
  const members = value instanceof Map ? [...value].flat() : Object.values(value);
  return members.reduce((sum: number, member) => sum + bytesIn(member), 16);
}
