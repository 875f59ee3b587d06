import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { SUPERUSER } from '../../src/dev/postgres/database-user.ts';
import { startPostgres, type Postgres } from './postgres.ts';

const folder = testFolders();
const WRITERS = 10;
const TRANSACTIONS = 40;
/** Transactions do other work of some milliseconds. */
const WORK = 'SELECT pg_sleep(random() * 0.02)';

describeWith(postgresPart(), 'numbers of a feed under concurrent writers', (binaries) => {
  let postgres: Postgres;
  const clients: Client[] = [];
  beforeAll(async () => {
    postgres = await startPostgres({ binaries, folder: folder() });
    await postgres.sql(`
      CREATE TABLE feed_head (part smallint PRIMARY KEY, seq bigint NOT NULL);
      INSERT INTO feed_head VALUES (0, 0);
      CREATE TABLE by_head (seq bigint PRIMARY KEY);
      CREATE TABLE by_identity (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    `);
  });
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.end()));
    await postgres.stop();
  });

  const connect = async (): Promise<Client> => {
    const client = new Client({ host: postgres.sockets, port: postgres.port, user: SUPERUSER, database: 'postgres' });
    await client.connect();
    clients.push(client);
    return client;
  };

  /** Numbers written, and those that a reader has seen who asks again and again for what follows the last one that it saw. */
  const counted = async (table: string, transaction: readonly string[]): Promise<{ missed: number; gaps: number }> => {
    const reader = await connect();
    const seen = new Set<number>();
    const read = async (): Promise<void> => {
      const after = Math.max(0, ...seen);
      const { rows } = await reader.query<{ seq: string }>(`SELECT seq FROM ${table} WHERE seq > $1 ORDER BY seq`, [
        after,
      ]);
      for (const { seq } of rows) seen.add(Number(seq));
    };
    const written = new AbortController();
    const writing = Promise.all(
      Array.from({ length: WRITERS }, async () => {
        const client = await connect();
        for (let count = 0; count < TRANSACTIONS; count += 1)
          for (const text of ['BEGIN', ...transaction, 'COMMIT']) await client.query(text);
      }),
    ).finally(() => written.abort());
    // The last look comes after the last commit.
    while (!written.signal.aborted) await read();
    await writing;
    await read();
    const { rows } = await reader.query<{ seq: string }>(`SELECT seq FROM ${table} ORDER BY seq`);
    const all = rows.map(({ seq }) => Number(seq));
    expect(all).toHaveLength(WRITERS * TRANSACTIONS);
    return {
      missed: all.filter((seq) => !seen.has(seq)).length,
      gaps: all.filter((seq, at) => seq !== at + 1).length,
    };
  };

  it('from the locked head row, taken last, have no gap, and a reader of what follows its last number misses none', async () => {
    const taken = `WITH head AS (UPDATE feed_head SET seq = seq + 1 WHERE part = 0 RETURNING seq) INSERT INTO by_head SELECT seq FROM head`;
    expect(await counted('by_head', [WORK, taken])).toEqual({ missed: 0, gaps: 0 });
  });

  it('from an identity column are not in the order of commits: such a reader misses some', async () => {
    const { missed } = await counted('by_identity', ['INSERT INTO by_identity DEFAULT VALUES', WORK]);
    expect(missed).toBeGreaterThan(0);
  });
});
