import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';

/**
 * What a commit must survive: `quorum`, the loss of the primary, since a standby has it; `managed`, what the provider of the database
 * promises, which the database does not show; `single`, a crash of the only server.
 */
export type Durability = 'quorum' | 'managed' | 'single';

/** The settings and the state of the server that decide what survives. */
export interface ServerFacts {
  /** As a number: 150004. */
  readonly version: number;
  readonly encoding: string;
  readonly isStandby: boolean;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly synchronousCommit: string;
  readonly standbyNames: string;
  /** Connected standbys that a commit waits for; `null` if the role may not know. */
  readonly synchronousStandbys: number | null;
  /** The clock of the server, milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** Oldest version that is supported. */
const MIN_VERSION = 150_000;
/** How far the clocks of this machine and of the database may be apart. */
const MAX_CLOCK_MS = 5_000;

const FACTS = `SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding,
  pg_is_in_recovery() AS standby, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
  current_setting('synchronous_commit') AS commits, current_setting('synchronous_standby_names') AS names,
  (SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication) AS standbys,
  (SELECT count(*) FILTER (WHERE state IS NULL) FROM pg_stat_replication) AS hidden,
  (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms`;

/** Reads the facts from the primary. */
export async function serverFacts(database: Database): Promise<ServerFacts | StoreFailure> {
  const result = await database.look(FACTS);
  if (isStoreFailure(result)) return result;
  const row = result.rows[0] ?? {};
  return {
    version: Number(row['version']),
    encoding: String(row['encoding']),
    isStandby: row['standby'] === true,
    fsync: String(row['fsync']),
    fullPageWrites: String(row['pages']),
    synchronousCommit: String(row['commits']),
    standbyNames: String(row['names']),
    synchronousStandbys: Number(row['hidden']) > 0 ? null : Number(row['standbys']),
    nowMs: Number(row['now_ms']),
  };
}

/**
 * Why commits do not survive what they must, each with the way out; empty if they do. A pure function.
 * @param nowMs the clock of this machine
 */
export function durabilityProblems(facts: ServerFacts, durability: Durability, nowMs: number): readonly string[] {
  const { encoding, fsync, fullPageWrites, isStandby, standbyNames, synchronousCommit, version } = facts;
  const clockMs = Math.abs(facts.nowMs - nowMs);
  return [
    ...always(version < MIN_VERSION, `PostgreSQL ${Math.floor(version / 10_000)} is too old: 15 or later is required`),
    ...always(encoding !== 'UTF8', `the database has the encoding \`${encoding}\`: create it with \`ENCODING 'UTF8'\``),
    ...always(isStandby, 'the server is a standby: name the primary in `state` too'),
    ...always(fsync !== 'on', `\`fsync\` is \`${fsync}\`: set it to \`on\``),
    ...always(fullPageWrites !== 'on', `\`full_page_writes\` is \`${fullPageWrites}\`: set it to \`on\``),
    ...always(
      synchronousCommit === 'off' || (durability === 'quorum' && synchronousCommit === 'local'),
      `\`synchronous_commit\` is \`${synchronousCommit}\`: set it to \`on\``,
    ),
    ...always(
      durability === 'quorum' && !['on', 'remote_apply', 'off', 'local'].includes(synchronousCommit),
      `\`synchronous_commit\` is \`${synchronousCommit}\`: a standby that crashes may lose a commit; set it to \`on\``,
    ),
    ...always(
      durability === 'quorum' && standbyNames === '',
      '`synchronous_standby_names` is empty: name the standbys (`ANY 1 (b, c)`), or set `durability: managed` or `single`',
    ),
    ...always(
      durability === 'quorum' && standbyNames !== '' && facts.synchronousStandbys === null,
      'the role may not see the standbys: `GRANT pg_monitor` to it',
    ),
    ...always(
      durability === 'quorum' && standbyNames !== '' && facts.synchronousStandbys === 0,
      'no synchronous standby is connected: commits wait until it is',
    ),
    ...always(
      clockMs > MAX_CLOCK_MS,
      `the clocks of this machine and of the database differ by ${Math.round(clockMs / 1_000)} s: set both by NTP`,
    ),
  ];
}

const always = (isProblem: boolean, text: string): readonly string[] => (isProblem ? [text] : []);
