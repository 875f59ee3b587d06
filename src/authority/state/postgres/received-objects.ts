import type { Bucket } from '../../records/record-objects.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';
import { written } from './rows/written.ts';

/** Largest object before compression: what the other commits of the database wait for at most. */
export const MAX_OBJECT_BYTES = 1024 ** 2;

/** Objects of a page. */
const PAGE = 1_000;
const DAY_MS = 86_400_000;

const PUT = `WITH put AS (
    INSERT INTO remit.received VALUES ($1, $2::integer, $3::integer, $4) ON CONFLICT (name) DO NOTHING RETURNING day, bytes)
  INSERT INTO remit.received_days AS d SELECT day, bytes FROM put
  ON CONFLICT (day) DO UPDATE SET bytes = d.bytes + excluded.bytes`;

const REMOVE = `WITH gone AS (DELETE FROM remit.received WHERE name = ANY($1::text[]) RETURNING day, bytes),
    days AS (SELECT day, sum(bytes) AS bytes FROM gone GROUP BY day ORDER BY day)
  UPDATE remit.received_days d SET bytes = d.bytes - days.bytes FROM days WHERE d.day = days.day`;

/** The bytes of all objects of received records. */
export async function receivedBytes(database: Database): Promise<number | Problem> {
  const found = await database.read('SELECT coalesce(sum(bytes), 0) AS bytes FROM remit.received_days');
  return isStoreFailure(found) ? { problem: found.detail } : Number(found.rows[0]?.['bytes']);
}

/** The objects of received records in the database of the state. Several authorities may write it at once. */
export function receivedObjects(database: Database, nowMs: () => number): Bucket {
  return {
    put: async (name, body) => {
      const values = [name, Math.floor(nowMs() / DAY_MS), body.length, Buffer.from(body)];
      return (await written(database, [{ text: PUT, values }]))?.detail ?? null;
    },
    get: async (name) => {
      const found = await database.read('SELECT body FROM remit.received WHERE name = $1', [name]);
      if (isStoreFailure(found)) return { problem: found.detail };
      const body: unknown = found.rows[0]?.['body'];
      return body instanceof Uint8Array ? body : null;
    },
    list: async (next) => {
      const page = 'SELECT name, bytes FROM remit.received WHERE name > $1 ORDER BY name LIMIT $2';
      const found = await database.read(page, [next ?? '', PAGE]);
      if (isStoreFailure(found)) return { problem: found.detail };
      const objects = found.rows.map((row) => ({ name: String(row['name']), bytes: Number(row['bytes']) }));
      return { objects, next: objects.length < PAGE ? null : (objects.at(-1)?.name ?? null) };
    },
    remove: async (names) => (await written(database, [{ text: REMOVE, values: [names] }]))?.detail ?? null,
  };
}
