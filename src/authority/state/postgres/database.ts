import { Pool } from 'pg';
import type { PoolClient, QueryResult } from 'pg';
import type { PostgresTarget } from '../../../core/config/postgres-url.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { STATEMENT_MS } from './flight.ts';
import type { CommitOutcome } from './flight.ts';
import { failureOfPostgres, isLost } from './postgres-failure.ts';
import { connectionOf, primaryOf } from './primary.ts';
import type { Primary } from './primary.ts';

/** Options of a database. */
export interface DatabaseOptions {
  readonly target: PostgresTarget;
  /** Most connections. Default 10. */
  readonly maxConnections?: number;
  /** Whether a commit counts only if a standby has it (`durability: quorum`). */
  readonly hasQuorum: boolean;
  /** How long a host may take to answer whether it is the primary. Default: `connect_timeout` of the URL. */
  readonly askMs?: number;
}

const MAX_CONNECTIONS = 10;
/** A connection is closed after this, so that a rotated credential is in use everywhere by then. */
const LIFETIME_S = 3_600;
/** Most calls that wait for a connection. */
const MAX_WAITING = 1_024;
/** After the primary was not found, it is not looked for again at once: clients that give up leave processes of the server behind. */
const RETRY_MS = 250;

/** Guards reads: examines each newly connected server, and knows whether the database may be read. */
export interface DatabaseGuard {
  /** Why nothing may be read now: the database is known to lack commits. `null` if it may. */
  readonly lost: StoreFailure | null;
  /** Examines a server before any other query. Rejects if it cannot. */
  readonly examine: (client: PoolClient) => Promise<void>;
}

/**
 * The primary of a PostgreSQL, over a bounded number of connections. After an error that shows that the server is no longer the primary, or
 * is unreachable, all connections are dropped and the next call looks for the primary again.
 *
 * INVARIANT: a primary of a lower timeline than a primary found before is refused: it is an old primary that still runs, and the only one in
 * reach.
 *
 * Works behind a pool of transactions (PgBouncer): no session state, no named statements, no LISTEN, no advisory lock beyond a transaction.
 *
 * Lifecycle: any call at any time; `close` once.
 */
export class Database {
  readonly hasQuorum: boolean;
  readonly #options: DatabaseOptions;
  #pool: Pool | null = null;
  #timeline: number | null = null;
  /** The highest timeline of a primary that was found. */
  #highest = 0;
  #finding: Promise<Pool | StoreFailure> | null = null;
  #isClosed = false;
  #guard: DatabaseGuard | null = null;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.hasQuorum = options.hasQuorum;
  }

  /** The timeline of the primary that is connected; `null` if none is. */
  get timeline(): number | null {
    return this.#timeline;
  }

  /** From now on nothing is read while the guard reports lost commits. Call it once. */
  guardedBy(guard: DatabaseGuard): void {
    this.#guard = guard;
  }

  /** Why nothing may be read: the database is known to lack commits. `null` if it may. */
  get lost(): StoreFailure | null {
    return this.#guard?.lost ?? null;
  }

  /** Runs a statement outside a transaction. Fails while the database is known to lack commits. */
  async read(text: string, values: readonly unknown[] = []): Promise<QueryResult | StoreFailure> {
    const known = this.lost;
    if (known !== null) return known;
    const result = await this.look(text, values);
    // It may have become known meanwhile.
    return this.lost ?? result;
  }

  /** The same, even if the database is known to lack commits: for reports about it. */
  look(text: string, values: readonly unknown[] = []): Promise<QueryResult | StoreFailure> {
    return this.#use(
      (client) => client.query(text, [...values]),
      () => false,
    );
  }

  /**
   * Runs a transaction that ends with `commit` of `flight.ts`. After an unknown outcome its connection is closed and the primary is looked
   * for again. If `work` rejects, nothing was committed.
   */
  async transaction<T extends { readonly outcome: CommitOutcome }>(
    work: (client: PoolClient) => Promise<T>,
  ): Promise<T | StoreFailure> {
    return this.#use(work, ({ outcome }) => outcome.kind === 'unknown');
  }

  /** Lends a connection to `work`. It goes back to the pool, unless `work` rejects or `isSpoilt`. */
  async #use<T>(work: (client: PoolClient) => Promise<T>, isSpoilt: (result: T) => boolean): Promise<T | StoreFailure> {
    const pool = await this.#primary();
    if (isStoreFailure(pool)) return pool;
    if (pool.waitingCount >= MAX_WAITING) return storeFailure('full', 'too many calls wait for the database');
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      this.#drop(pool);
      return failureOfPostgres(error);
    }
    try {
      const result = await work(client);
      const isSpoiltNow = isSpoilt(result);
      client.release(isSpoiltNow);
      if (isSpoiltNow) this.#drop(pool);
      return result;
    } catch (error) {
      client.release(true);
      if (isLost(error)) this.#drop(pool);
      return failureOfPostgres(error);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const pool = this.#pool;
    this.#pool = null;
    await pool?.end();
  }

  #primary(): Promise<Pool | StoreFailure> {
    if (this.#isClosed) return Promise.resolve(closed());
    if (this.#pool !== null) return Promise.resolve(this.#pool);
    this.#finding ??= this.#find().then((found) => {
      if (isStoreFailure(found)) setTimeout(() => (this.#finding = null), RETRY_MS).unref();
      else this.#finding = null;
      return found;
    });
    return this.#finding;
  }

  async #find(): Promise<Pool | StoreFailure> {
    const { target, askMs, maxConnections = MAX_CONNECTIONS } = this.#options;
    const found = await primaryOf(target, askMs);
    // A promotion raises the timeline, so a lower timeline lacks what was written since.
    const primary = !isStoreFailure(found) && found.timeline < this.#highest ? oldPrimary(found, this.#highest) : found;
    if (isStoreFailure(primary)) return primary;
    if (this.#isClosed) return closed();
    this.#highest = primary.timeline;
    const pool = new Pool({
      ...connectionOf(target, primary.host),
      max: maxConnections,
      maxLifetimeSeconds: LIFETIME_S,
      connectionTimeoutMillis: target.connectMs,
      query_timeout: STATEMENT_MS,
      keepAlive: true,
      pipeline: true,
    });
    pool.on('error', () => this.#drop(pool));
    // For its whole life: the pool listens only while a connection is idle.
    pool.on('connect', (client) => void client.on('error', ignored));
    const unfit = await this.#examined(pool);
    if (unfit !== null) {
      pool.end().catch(() => undefined);
      return unfit;
    }
    this.#pool = pool;
    this.#timeline = primary.timeline;
    return pool;
  }

  async #examined(pool: Pool): Promise<StoreFailure | null> {
    if (this.#guard === null) return null;
    try {
      const client = await pool.connect();
      try {
        await this.#guard.examine(client);
      } finally {
        client.release();
      }
      return null;
    } catch (error) {
      return failureOfPostgres(error);
    }
  }

  /** Forgets the primary. Its idle connections are closed at once, the others when they are released. */
  #drop(pool: Pool): void {
    if (this.#pool !== pool) return;
    this.#pool = null;
    this.#timeline = null;
    pool.end().catch(() => undefined);
  }
}

/** Without a listener the loss of a connection would end the process. The statement in progress reports it. */
const ignored = (): void => undefined;

const oldPrimary = ({ host, timeline }: Primary, highest: number): StoreFailure =>
  storeFailure(
    'busy',
    `the primary \`${host.host}:${host.port}\` has timeline ${timeline}, and this process has seen ${highest}: it is an old primary; ` +
      'name the servers of the new database, or restart this process if a backup was restored',
  );

const closed = (): StoreFailure => storeFailure('broken', 'the database is closed');
