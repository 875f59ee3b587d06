import type { Client } from 'pg';
import { storedOrder } from '../../../../core/order/order.ts';
import { isProblem } from '../../../../core/runtime/problem.ts';
import { liftDigestOf, readerOf, RowSeal } from './row-seal.ts';

/** How many rows were sealed. */
export interface SealedRows {
  readonly tasks: number;
  readonly tokens: number;
  readonly stops: number;
}

/** Rows in a statement. */
const BATCH = 1_000;

/**
 * Seals the rows of tasks, tokens and stops that have no seal, as an authority with the key would have written them: they are trusted from then on.
 * In the transaction of `client`, which owns the tables. Other rows stay: rows sealed with another key are ignored.
 */
export async function sealRows(client: Client, key: Uint8Array): Promise<SealedRows> {
  const seal = new RowSeal(key, () => undefined);
  const plain = readerOf(null);
  // An ended task does not change either, but for its seal.
  await client.query('LOCK TABLE tasks, tokens; ALTER TABLE tasks DISABLE TRIGGER tasks_end_for_good');
  const tasks = await sealed(client, 'tasks', (row) => {
    const task = plain.taskIn(row);
    return task === null ? null : seal.ofTask(task);
  });
  const tokens = await sealed(client, 'tokens', (row) => {
    const token = plain.tokenIn(row);
    return token === null ? null : seal.ofToken(token);
  });
  await client.query('ALTER TABLE tasks ENABLE TRIGGER tasks_end_for_good');
  await deleteLifted(client, seal);
  const stops = await sealStops(client, seal);
  return { tasks, tokens, stops };
}

/** Deletes stops that were lifted: by an authority with the key, or those that were made and lifted when there was none. */
async function deleteLifted(client: Client, seal: RowSeal): Promise<void> {
  const { rows } = await client.query('SELECT id, seal, lifted FROM orders WHERE lifted IS NOT NULL');
  const ids = rows
    .filter((row) => row.lifted === seal.ofLifted(String(row.id)) || (row.seal === null && row.lifted === ''))
    .map(({ id }) => id);
  if (ids.length === 0) return;
  await client.query('ALTER TABLE orders DISABLE TRIGGER stops_stay');
  await client.query('DELETE FROM orders WHERE id = ANY($1::text[])', [ids]);
  await client.query('ALTER TABLE orders ENABLE TRIGGER stops_stay');
  await client.query('UPDATE orders_head SET version = version + 1');
}

/** Seals stops: from now on only an authority with the key can lift them. Gives how many stops got a seal. */
async function sealStops(client: Client, seal: RowSeal): Promise<number> {
  const { rows } = await client.query("SELECT id, body, seal FROM orders WHERE of = 'stop'");
  const stops = rows.map(({ id, body }) => {
    const order = storedOrder(String(body));
    const isOwn = !isProblem(order) && order.id === id;
    return {
      id: String(id),
      digest: liftDigestOf(seal.ofLifted(String(id))),
      seal: isOwn ? seal.ofOrder(order) : null,
    };
  });
  if (stops.length === 0) return 0;
  await client.query('ALTER TABLE orders DISABLE TRIGGER orders_stay_as_made');
  await client.query(
    `UPDATE orders o SET lift_digest = d.digest, seal = coalesce(o.seal, d.seal)
       FROM json_to_recordset($1::json) AS d (id text, digest text, seal text) WHERE o.id = d.id`,
    [JSON.stringify(stops)],
  );
  await client.query('ALTER TABLE orders ENABLE TRIGGER orders_stay_as_made');
  return rows.filter((row, at) => row.seal === null && stops[at]?.seal !== null).length;
}

/** The columns that name a row, and what else is written with its seal. */
const TABLES = {
  tasks: { name: 'id', also: ', revision = coalesce(t.revision, 0)' },
  tokens: { name: 'jti_digest', also: '' },
} as const;

type Row = Readonly<Record<string, unknown>>;

async function sealed(
  client: Client,
  table: keyof typeof TABLES,
  sealOf: (row: Row) => string | null,
): Promise<number> {
  const { also, name } = TABLES[table];
  for (let count = 0; ;) {
    const { rows } = await client.query(`SELECT * FROM ${table} WHERE seal IS NULL LIMIT ${BATCH}`);
    if (rows.length === 0) return count;
    const columns = [rows.map(({ issuer }) => issuer), rows.map((row) => row[name]), rows.map(sealOf)];
    const done = await client.query(
      `UPDATE ${table} t SET seal = s.seal${also} FROM unnest($1::text[], $2::text[], $3::text[]) AS s (issuer, name, seal)
         WHERE t.issuer = s.issuer AND t.${name} = s.name`,
      columns,
    );
    if (done.rowCount === 0) throw new Error(`rows of ${table} could not be sealed`);
    count += rows.length;
  }
}
