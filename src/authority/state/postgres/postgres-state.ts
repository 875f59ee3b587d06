import { createHmac } from 'node:crypto';
import type { PostgresTarget } from '../../../core/config/postgres-url.ts';
import type { DatabaseReport } from '../../../core/fleet/fleet-report.ts';
import { laterOf } from '../../../core/runtime/ports.ts';
import type { Clocks, Ports } from '../../../core/runtime/ports.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Authority, Upkeep } from '../../../core/state/authority.ts';
import { ClockFloor } from '../../../core/state/clock-floor.ts';
import type { ClockSources } from '../../../core/state/clock-floor.ts';
import type { Settling } from '../../../core/state/settling.ts';
import { databaseReport } from './database-report.ts';
import { Database } from './database.ts';
import type { DatabaseGuard } from './database.ts';
import { claimDatabase, fleetProblem } from './database-fleet.ts';
import type { Fleet } from './database-fleet.ts';
import { durabilityProblems, serverFacts } from './durability.ts';
import type { Durability } from './durability.ts';
import { encodingProblem, versionProblem } from './migrate.ts';
import { postgresAuthority, postgresSettling } from './postgres-authority.ts';
import { PostgresFeed } from './postgres-feed.ts';
import { PostgresKeys } from './postgres-keys.ts';
import { PostgresOrders } from './postgres-orders.ts';
import { PostgresReads } from './rows/postgres-reads.ts';
import { readerOf, RowSeal } from './rows/row-seal.ts';
import { PositionSeal } from './rows/position-seal.ts';
import { postgresSignals } from './postgres-signals.ts';
import { postgresUpkeep } from './postgres-upkeep.ts';
import { uuidFrom } from './rows/uuid.ts';
import { SyncedOutbox } from './synced-outbox.ts';
import { WriteLane } from './write-lane.ts';
import type { LaneOptions } from './write-lane.ts';

/** Options of the state in a PostgreSQL. */
export interface PostgresStateOptions extends Pick<LaneOptions, 'onRecords' | 'onWrite' | 'receivers' | 'unknownMs'> {
  readonly target: PostgresTarget;
  readonly durability: Durability;
  readonly clocks: ClockSources;
  readonly randomBytes: Ports['randomBytes'];
  /** Address at which sidecars and other authorities reach this authority, for people. */
  readonly address: string;
  /** Called once the database was restored: this process must start again. Default: nothing. */
  readonly onRestored?: () => void;
  /** The key of `RowSeal`: at least 32 bytes that are not in the database. Default: none, and all rows count. */
  readonly stateKey?: Uint8Array | null;
  /** Called with a description of each row without a valid seal or that cannot be read, which gives no right. Default: nothing. */
  readonly onForged?: (what: string) => void;
  readonly maxConnections?: number;
  /** How long a host may take to answer whether it is the primary. Default: `connect_timeout` of the URL. */
  readonly askMs?: number;
}

/** The state in a PostgreSQL, with everything that an authority needs of it. Lifecycle: `openPostgresState`, then `close` once. */
export interface PostgresState {
  readonly authority: Authority & Upkeep;
  readonly settling: Settling;
  readonly feed: PostgresFeed;
  /** Guards further connections to the same database. */
  readonly guard: DatabaseGuard;
  /** The public keys of all authorities. */
  readonly keys: PostgresKeys;
  /** The orders of operators. */
  readonly orders: PostgresOrders;
  /** Lists, and the outbox as it is shown now. */
  readonly reader: PostgresReads;
  /** The outbox for a ledger. */
  readonly outbox: SyncedOutbox;
  /** Id of this authority among its replicas. */
  readonly replica: string;
  /** Digest of a secret under the key of this database, as `Store.digestOf`; and that key, for sidecars. */
  readonly digestOf: (secret: string) => string;
  readonly digestKey: Uint8Array;
  /** Why commits do not survive what they must, now. Ask each minute: an authority is not ready while there is any. */
  readonly problems: () => Promise<readonly string[] | StoreFailure>;
  /** Claims the database for a fleet, unless it is claimed. Gives why the database is not for it; `null` if it is. */
  readonly claim: (fleet: Fleet) => Promise<StoreFailure | null>;
  /** The same without a claim. */
  readonly fleetProblem: (fleet: Fleet) => Promise<StoreFailure | null>;
  /** What `remit fleet` shows of the database, without its problems. */
  readonly report: () => Promise<Omit<DatabaseReport, 'problem' | 'cause'>>;
  /** The timeline of the connected primary; `null` if none is. */
  readonly timeline: () => number | null;
  readonly close: () => Promise<void>;
}

/** Facts of a database. */
interface DatabaseFacts {
  readonly floorMs: number;
  /** The clock of the server now. */
  readonly latestMs: number;
  readonly digestKey: Uint8Array;
  readonly positionKey: Uint8Array;
  /** Why the database is known to lack commits; `null` if it is not. */
  readonly lost: string | null;
}

/**
 * Opens the state. Refuses a database of another encoding, whose tables are of another version, or that cannot be reached, or
 * that lacks commits. Weak durability is reported by `problems` and refuses nothing here.
 */
export async function openPostgresState(options: PostgresStateOptions): Promise<PostgresState | StoreFailure> {
  const { target } = options;
  const database = new Database({ ...options, target, hasQuorum: options.durability === 'quorum' });
  const facts = await databaseFacts(database);
  const opened = isStoreFailure(facts) || facts.lost === null ? facts : storeFailure('lost', facts.lost);
  if (isStoreFailure(opened)) {
    await database.close();
    return opened;
  }
  const floor = new ClockFloor(options.clocks, { floorMs: opened.floorMs, boot: null }, opened);
  const clocks = (): Clocks => floor.read();
  const nowMs = (): number => laterOf(floor.read());
  const newId = (): string => uuidFrom(options.randomBytes(16));
  const replica = newId();
  const { address, onForged = () => undefined, onRestored, stateKey = null } = options;
  const seal = stateKey === null ? null : new RowSeal(stateKey, onForged);
  const rows = readerOf(seal, onForged);
  const feed = new PostgresFeed(database, {
    id: replica,
    address,
    seal: new PositionSeal(opened.positionKey),
    rows,
    ...(onRestored && { onRestored }),
  });
  const guard: DatabaseGuard = {
    get lost() {
      return feed.lost;
    },
    examine: (client) => feed.examine(client),
  };
  database.guardedBy(guard);
  const lane = new WriteLane(database, { ...options, seal, clocks, newId, refusal: () => feed.lost });
  const reads = new PostgresReads(database, { nowMs, rows });
  const orders = new PostgresOrders(database, { feed, rows });
  const signals = postgresSignals({ beats: feed, database, rows });
  const parts = { clocks, database, lane, nowMs, orders, reads, signals };
  const digestOf = (secret: string): string =>
    `hmac-sha-256:${createHmac('sha256', opened.digestKey).update(secret, 'utf8').digest('base64url')}`;
  return {
    authority: { ...postgresAuthority(parts), ...postgresUpkeep(parts) },
    settling: postgresSettling(lane, digestOf),
    feed,
    guard,
    keys: new PostgresKeys(database, feed),
    orders,
    reader: reads,
    outbox: new SyncedOutbox({ beats: feed, database, reads }),
    replica,
    digestOf,
    digestKey: opened.digestKey,
    problems: () => problemsOf(database, options),
    claim: (fleet) => claimDatabase(database, fleet),
    fleetProblem: (fleet) => fleetProblem(database, fleet),
    report: () => databaseReport(database, { target, askMs: options.askMs }),
    timeline: () => database.timeline,
    close: () => lane.close().then(() => database.close()),
  };
}

async function problemsOf(
  database: Database,
  { clocks, durability }: Pick<PostgresStateOptions, 'clocks' | 'durability'>,
): Promise<readonly string[] | StoreFailure> {
  const facts = await serverFacts(database);
  return isStoreFailure(facts) ? facts : durabilityProblems(facts, durability, clocks.nowMs());
}

/** What a process needs to know of a database before it uses it. Refuses another encoding, and tables of another version. */
export async function databaseFacts(database: Database): Promise<DatabaseFacts | StoreFailure> {
  const found = await database.read(
    `SELECT version, current_setting('server_encoding') AS encoding FROM remit.version`,
  );
  if (isStoreFailure(found)) return found;
  const { version, encoding } = found.rows[0] ?? {};
  const problem = encodingProblem(String(encoding)) ?? versionProblem(Number(version ?? 0));
  if (problem !== null) return problem;
  const facts = await database.read(
    `SELECT h.floor_ms, h.lost, k.key, k.position_key, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
      FROM remit.feed_head h, remit.digest_key k WHERE h.part = 0`,
  );
  if (isStoreFailure(facts)) return facts;
  const { floor_ms: floorMs, now_ms: latestMs, key, position_key: positionKey, lost } = facts.rows[0] ?? {};
  return key instanceof Uint8Array && positionKey instanceof Uint8Array
    ? {
        floorMs: Number(floorMs),
        latestMs: Number(latestMs),
        digestKey: key,
        positionKey,
        lost: typeof lost === 'string' ? lost : null,
      }
    : storeFailure('unusable', 'the database lacks rows that `remit migrate` wrote: restore it from a backup');
}
