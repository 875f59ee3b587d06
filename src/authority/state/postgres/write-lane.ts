import { laterOf } from '../../../core/runtime/ports.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';
import { commit, flight, ROLLBACK } from './flight.ts';
import type { CommitOutcome } from './flight.ts';
import { lockedRows } from './rows/needed-rows.ts';
import type { NeededRows } from './rows/needed-rows.ts';
import { readerOf } from './rows/row-seal.ts';
import type { RowReader, RowSeal } from './rows/row-seal.ts';
import type { RowSet } from './rows/row-set.ts';
import { settledPlace } from './rows/settled-parts.ts';
import { outcomeOfAttempt } from './unknown-outcome.ts';
import type { CommitAttempt } from './unknown-outcome.ts';
import { statementsOf } from './rows/written-rows.ts';

/** Calls within this time of the first are written in a single transaction, at most so many. */
const GROUP_MS = 2;
const MAX_GROUP = 256;
/** Most calls that wait. */
const MAX_WAITING = 4_096;

/** Options of a lane. */
export interface LaneOptions {
  readonly clocks: () => Clocks;
  readonly newId: () => string;
  /** Authenticates rows. Default: none are. */
  readonly seal?: RowSeal | null;
  /** Names of the receivers of signals in the configuration, for which each transaction queues signals whatever the tables have. Default: none. */
  readonly receivers?: readonly string[];
  /** Why nothing may be written now; `null` if writing is allowed. Default: it is. */
  readonly refusal?: () => StoreFailure | null;
  /**
   * Whether it writes to a database that is known to lack commits, as a restore does. Then it leaves the floor as it is: the last instant that the
   * database knows of, also if the restore is interrupted and run again. Default no.
   */
  readonly writesLost?: boolean;
  /** Called after each transaction with `null` once it is committed, or with its failure. It must not throw. */
  readonly onWrite?: (failure: StoreFailure | null) => void;
  /** Called after each commit that added records to the outbox. It must not throw. */
  readonly onRecords?: () => void;
  /** How long an unknown outcome is asked about before its calls fail as `unknown`. Default 30 s. */
  readonly unknownMs?: number;
}

/** A write: what it reads, and what it does. */
export interface LaneCall<T> {
  /** A function is given `nowMs` of the clock reading by which the call is decided. */
  readonly needs: NeededRows | ((nowMs: number) => NeededRows);
  readonly write: (rows: RowSet) => T;
}

interface PendingWrite {
  readonly needs: NeededRows;
  readonly write: (rows: RowSet) => unknown;
  readonly clocks: Clocks;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A transaction that was tried: its outcome, and what to answer if it was committed. */
interface Tried {
  readonly outcome: CommitOutcome;
  readonly attempt: CommitAttempt;
  readonly answers: readonly (() => void)[];
  readonly hasRecords: boolean;
}

/**
 * Runs writes in the order of their calls, those within 2 ms in a single transaction, one transaction at a time. Each is decided by the clock
 * readings of its call. A write that fails makes no other fail.
 *
 * If the outcome of a transaction is unknown, the database is queried for the id that the transaction wrote about itself, until it is known:
 * then the calls are answered, or run again. No call is answered as written before that.
 */
export class WriteLane {
  readonly #database: Database;
  readonly #options: LaneOptions;
  readonly #rows: RowReader;
  #waiting: PendingWrite[] = [];
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #isClosed = false;

  constructor(database: Database, options: LaneOptions) {
    this.#database = database;
    this.#options = options;
    this.#rows = readerOf(options.seal ?? null);
  }

  /** Runs a write. Fails at once as `full` if too many wait. */
  run<T>({ needs, write }: LaneCall<T>): Promise<T | StoreFailure> {
    if (this.#isClosed) return Promise.resolve(storeFailure('broken', 'the database is closed'));
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.resolve(storeFailure('full', 'too many writes wait for the database'));
    }
    return new Promise((resolve, reject) => {
      const clocks = this.#options.clocks();
      // `#answer` resolves with the result of `write`.
      this.#waiting.push({
        needs: typeof needs === 'function' ? needs(laterOf(clocks)) : needs,
        write,
        clocks,
        resolve: resolve as PendingWrite['resolve'],
        reject,
      });
      if (this.#running === null) this.#timer ??= setTimeout(() => this.#start(), GROUP_MS);
    });
  }

  /** Runs what waits and ends. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#running === null && this.#waiting.length > 0) this.#start();
    await this.#running;
  }

  #start(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#running = this.#drain();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0, MAX_GROUP));
    // INVARIANT: in the same turn in which nothing waits, so that the next call starts again.
    this.#running = null;
  }

  /** Writes a group. If a call fails the whole group, each gets a transaction of its own, so that none makes another fail. */
  async #write(group: readonly PendingWrite[]): Promise<void> {
    const failure = await this.#known(group);
    if (failure === null || !isOfCall(failure)) this.#options.onWrite?.(failure);
    if (failure !== null && isOfCall(failure) && group.length > 1) {
      for (const call of group) await this.#write([call]);
    } else if (failure !== null) {
      for (const { resolve } of group) resolve(failure);
    }
  }

  /** Runs a group until its outcome is known; `null` if it was committed and answered. */
  async #known(group: readonly PendingWrite[]): Promise<StoreFailure | null> {
    const until = performance.now() + (this.#options.unknownMs ?? UNKNOWN_MS);
    for (let tries = 1; ; tries += 1) {
      const tried = await this.#try(group);
      if (isStoreFailure(tried)) {
        // Nothing was committed. The connection may have been lost long ago: another connection is tried once.
        if (tried.code === 'busy' && tries === 1) continue;
        return tried;
      }
      const { attempt, outcome } = tried;
      if (outcome.kind === 'failed') {
        // A row that another replica inserted meanwhile is found by the second try.
        if (outcome.failure.code === 'conflict' && tries === 1) continue;
        return outcome.failure;
      }
      const asking = { until, newId: this.#options.newId };
      const fate = outcome.kind === 'committed' ? 'committed' : await outcomeOfAttempt(this.#database, attempt, asking);
      if (fate === 'unknown' && outcome.kind === 'unknown') return outcome.failure;
      if (fate === 'committed') {
        if (tried.hasRecords) this.#options.onRecords?.();
        for (const answer of tried.answers) answer();
        return null;
      }
    }
  }

  #try(group: readonly PendingWrite[]): Promise<Tried | StoreFailure> {
    const refusal = this.#options.refusal?.() ?? null;
    if (refusal !== null) return Promise.resolve(refusal);
    return this.#database.transaction(async (client): Promise<Tried> => {
      const { rows, lost, databaseMs, receivers } = await lockedRows(
        client,
        group.map(({ needs }) => needs),
        { reader: this.#rows, receivers: this.#options.receivers ?? [] },
      );
      if (lost !== null && this.#options.writesLost !== true) {
        await flight(client, [ROLLBACK]);
        return { ...NOTHING, outcome: { kind: 'failed', failure: storeFailure('broken', lost) } };
      }
      const answers = group.map((call) => answerOf(call, rows));
      const floorMs = this.#options.writesLost === true ? null : this.#options.clocks().floorMs;
      const place = settledPlace(databaseMs);
      const attempt = { id: `tx:${this.#options.newId()}`, place };
      // A transaction names itself, so that its outcome can be asked for. It also makes each answer rest on a commit that standbys have.
      rows.setSettled(attempt.id);
      const outcome = await commit(
        client,
        statementsOf(rows, { place, floorMs, receivers, seal: this.#options.seal ?? null }),
        this.#database,
      );
      return { outcome, attempt, answers, hasRecords: rows.changed().records.length > 0 };
    });
  }
}

const UNKNOWN_MS = 30_000;
const NOTHING = { attempt: { id: '', place: { part: 0, slot: 0 } }, answers: [], hasRecords: false };

/** Whether a failure is of what a call writes, and not of the database. */
const isOfCall = ({ code }: StoreFailure): boolean => code === 'conflict' || code === 'refused';

/** Runs the write of a call. Gives what answers the call once it is committed. */
function answerOf({ clocks, reject, resolve, write }: PendingWrite, rows: RowSet): () => void {
  try {
    const answer = rows.attempt(clocks, write);
    return () => resolve(answer);
  } catch (error) {
    return () => reject(error);
  }
}
