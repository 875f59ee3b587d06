import type { Bucket } from '../../ledger/received/record-objects.ts';
import { isStoreFailure } from '../../sqlite/store-failure.ts';
import type { Database } from './database.ts';
import { written } from './written.ts';

/** Largest object before compression: what the other commits of the database wait for at most. */
export const MAX_OBJECT_BYTES = 1024 ** 2;

/** Names of one page. */
const PAGE = 1_000;
const DAY_MS = 86_400_000;

const PUT = `WITH put AS (
    INSERT INTO remit.received VALUES ($1, $2::integer, $3::integer, $4) ON CONFLICT (name) DO NOTHING RETURNING day, bytes)
  INSERT INTO remit.received_days AS d SELECT day, bytes FROM put
  ON CONFLICT (day) DO UPDATE SET bytes = d.bytes + excluded.bytes`;

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
      return body instanceof Uint8Array ? body : { problem: `\`${name}\` is gone` };
    },
    names: async (next) => {
      const page = 'SELECT name FROM remit.received WHERE name > $1 ORDER BY name LIMIT $2';
      const found = await database.read(page, [next ?? '', PAGE]);
      if (isStoreFailure(found)) return { problem: found.detail };
      const names = found.rows.map((row) => String(row['name']));
      return { names, next: names.length < PAGE ? null : (names.at(-1) ?? null) };
    },
  };
}
