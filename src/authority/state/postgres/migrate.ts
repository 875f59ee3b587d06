import { Client } from 'pg';
import type { PostgresTarget } from '../../../core/config/postgres-url.ts';
import { storedOrder } from '../../../core/order/order.ts';
import type { Order } from '../../../core/order/order.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { failureOfPostgres } from './postgres-failure.ts';
import { connectionOf, primaryOf } from './primary.ts';
import {
  FLEET_SCHEMA,
  GIVEN,
  LOST_SCHEMA,
  RECORDS_SCHEMA,
  RELAYS,
  SCHEMA,
  SCHEMA_NAME,
  SCHEMA_VERSION,
  STOPS,
  TOKEN_USES,
} from './schema.ts';
import { KEYS_SCHEMA } from './keys-schema.ts';
import { LIMITS_SCHEMA } from './limits-schema.ts';
import { ORDERS_SCHEMA } from './orders-schema.ts';
import { LIVES_SCHEMA, RIGHTS_SCHEMA } from './rights-schema.ts';
import { SIGNALS_SCHEMA } from './signals-schema.ts';
import { sealRows } from './rows/seal-rows.ts';
import type { SealedRows } from './rows/seal-rows.ts';
import { PARTS_OF_SETTLED } from './rows/settled-parts.ts';

/** A migration that was done, or that there was none to do. */
export interface MigratedDatabase {
  /** The version before; 0 if there were no tables. */
  readonly from: number;
  readonly to: number;
  readonly granted: string | null;
  /** Rows that got a seal; `null` if none was asked for. */
  readonly sealed: SealedRows | null;
}

/** Steps from each version to the next. INVARIANT: a released step does not change. */
const steps: readonly string[] = [
  SCHEMA,
  FLEET_SCHEMA,
  LOST_SCHEMA,
  RECORDS_SCHEMA,
  TOKEN_USES,
  RELAYS,
  KEYS_SCHEMA,
  STOPS,
  RIGHTS_SCHEMA,
  GIVEN,
  ORDERS_SCHEMA,
  LIMITS_SCHEMA,
  SIGNALS_SCHEMA,
  LIVES_SCHEMA,
];

const VERSION_TABLE = `CREATE SCHEMA IF NOT EXISTS ${SCHEMA_NAME};
  CREATE TABLE IF NOT EXISTS ${SCHEMA_NAME}.version (id smallint PRIMARY KEY CHECK (id = 1), version integer NOT NULL)`;

/**
 * What a process that serves may do: no DDL, no change of the version, the key and the fleet, and nothing of the keys that are revoked and of
 * the ids of orders. What it may not change of the other rows is enforced by triggers (`rights-schema.ts`). It may empty only partitions of `settled`.
 */
const grantsTo = (role: string): string => `
  GRANT USAGE ON SCHEMA ${SCHEMA_NAME} TO ${role};
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${SCHEMA_NAME} TO ${role};
  GRANT TRUNCATE ON ${SETTLED} TO ${role};
  REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ${SCHEMA_NAME}.version, ${SCHEMA_NAME}.digest_key FROM ${role};
  REVOKE UPDATE, DELETE, TRUNCATE ON ${SCHEMA_NAME}.fleet FROM ${role};
  REVOKE INSERT, DELETE, TRUNCATE ON ${SCHEMA_NAME}.feed_head, ${SCHEMA_NAME}.outbox_head, ${SCHEMA_NAME}.orders_head FROM ${role};
  REVOKE UPDATE ON ${SCHEMA_NAME}.received FROM ${role};
  REVOKE ALL ON ${SCHEMA_NAME}.revoked_keys, ${SCHEMA_NAME}.order_ids FROM ${role}`;

/**
 * PostgreSQL lets everybody call a new function, and so name it in a trigger of a temporary table: functions that run with the rights of the
 * owner would run the casts of that table with them. The triggers of the schema itself need no privilege.
 */
const REVOKE_FUNCTIONS = `REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ${SCHEMA_NAME} FROM PUBLIC`;

const SETTLED = Array.from({ length: PARTS_OF_SETTLED }, (_, part) => `${SCHEMA_NAME}.settled_${part}`).join(', ');

/**
 * Brings the tables of a database to the version of this build, in a single transaction, forward only. Concurrent migrations wait for each
 * other.
 *
 * @param options.grant the role of the processes that serve, which gets the privileges they need
 * @param options.randomBytes cryptographically strong, for the key of digests
 */
export async function migratePostgres(
  target: PostgresTarget,
  options: {
    readonly grant: string | null;
    /** Whether to forget which fleet the database belongs to, so that another fleet may claim it. Default no. */
    readonly forgetsFleet?: boolean;
    /** The key that seals the rows which have no seal; `null`, the default, for none. */
    readonly sealKey?: Uint8Array | null;
    readonly randomBytes: (length: number) => Uint8Array;
    readonly askMs?: number;
  },
): Promise<MigratedDatabase | StoreFailure> {
  const primary = await primaryOf(target, options.askMs);
  if (isStoreFailure(primary)) return primary;
  const client = new Client(connectionOf(target, primary.host));
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(`BEGIN; SET LOCAL lock_timeout TO 10000; SET LOCAL search_path TO ${SCHEMA_NAME}`);
    const migrated = await made(client, options);
    if (isStoreFailure(migrated)) return migrated;
    await client.query('COMMIT');
    return migrated;
  } catch (error) {
    return failureOfPostgres(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function made(
  client: Client,
  { grant, forgetsFleet = false, randomBytes, sealKey = null }: Parameters<typeof migratePostgres>[1],
): Promise<MigratedDatabase | StoreFailure> {
  const encoding = await client.query("SELECT current_setting('server_encoding') AS encoding");
  const problem = encodingProblem(String(encoding.rows[0]?.encoding));
  if (problem !== null) return problem;
  if ((await versionIn(client)) === null) await client.query(VERSION_TABLE);
  await client.query(`LOCK TABLE ${SCHEMA_NAME}.version`);
  const from = (await versionIn(client)) ?? 0;
  if (from > SCHEMA_VERSION) return tooNew(from);
  for (const step of steps.slice(from)) await client.query(step);
  await client.query(REVOKE_FUNCTIONS);
  if (from === 0) await client.query('INSERT INTO digest_key VALUES (1, $1)', [Buffer.from(randomBytes(32))]);
  await client.query(`INSERT INTO version VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET version = excluded.version`, [
    SCHEMA_VERSION,
  ]);
  if (forgetsFleet) await client.query('DELETE FROM fleet');
  await deleteForeignOrders(client);
  if (grant !== null) await client.query(grantsTo(client.escapeIdentifier(grant)));
  const sealed = sealKey === null ? null : await sealRows(client, sealKey);
  return { from, to: SCHEMA_VERSION, granted: grant, sealed };
}

/**
 * Deletes rows of orders that have the id of another order. No authority writes or counts such a row, nobody can lift it, and a stop is not
 * deleted before its time is over. A row that is not an order at all stays: an operator may have given it, so it denies everything.
 */
async function deleteForeignOrders(client: Client): Promise<void> {
  const { rows } = await client.query('SELECT id, body FROM orders');
  const ids = rows.filter(({ id, body }) => isForeign(id, storedOrder(String(body)))).map(({ id }) => id);
  if (ids.length === 0) return;
  await client.query('ALTER TABLE orders DISABLE TRIGGER stops_stay');
  await client.query('DELETE FROM orders WHERE id = ANY($1::text[])', [ids]);
  await client.query('ALTER TABLE orders ENABLE TRIGGER stops_stay');
}

const isForeign = (id: unknown, order: Order | Problem): boolean => !isProblem(order) && order.id !== id;

/** The version of the tables; `null` if there are none. */
async function versionIn(client: Client): Promise<number | null> {
  const { rows } = await client.query(`SELECT to_regclass('${SCHEMA_NAME}.version') IS NOT NULL AS found`);
  if (rows[0]?.found !== true) return null;
  const { rows: versions } = await client.query(`SELECT version FROM ${SCHEMA_NAME}.version`);
  return Number(versions[0]?.version ?? 0);
}

const tooNew = (version: number): StoreFailure =>
  storeFailure(
    'later',
    `the tables have version ${version}, which a later release made, and this build knows ${SCHEMA_VERSION}: run that release`,
  );

/** Why a database of that encoding cannot have the tables: another encoding does not store every text. `null` if it can. */
export const encodingProblem = (encoding: string): StoreFailure | null =>
  encoding === 'UTF8'
    ? null
    : storeFailure('unusable', `the database has the encoding \`${encoding}\`: create it with \`ENCODING 'UTF8'\``);

/** Why this build cannot serve with tables of that version; `null` if it can. */
export function versionProblem(version: number): StoreFailure | null {
  if (version > SCHEMA_VERSION) return tooNew(version);
  if (version === SCHEMA_VERSION) return null;
  return storeFailure(
    'unusable',
    `the tables have version ${version}, and this build needs ${SCHEMA_VERSION}: run \`remit migrate\` with the role that owns them`,
  );
}
