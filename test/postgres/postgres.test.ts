import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Client } from 'pg';
import type { ClientConfig } from 'pg';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { startPostgres } from './postgres.ts';
import type { Postgres } from './postgres.ts';

const folder = testFolders();

describeWith(postgresPart(), 'PostgreSQL of the tests', (binaries) => {
  let postgres: Postgres;
  beforeAll(async () => {
    postgres = await startPostgres({ binaries, folder: folder() });
  });
  afterAll(() => postgres.stop());

  it('takes a password over TLS, refuses a wrong password, and refuses TCP without TLS', async () => {
    await postgres.sql("CREATE ROLE app LOGIN PASSWORD 'right'");
    const ssl = { ca: readFileSync(postgres.tls.ca) };
    const at = { host: 'localhost', port: postgres.port, user: 'app', database: 'postgres' };
    const connected = async (options: ClientConfig): Promise<unknown> => {
      const client = new Client({ ...at, ...options });
      await client.connect();
      const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
      await client.end();
      return rows;
    };
    expect(await connected({ ssl, password: 'right' })).toEqual([{ ssl: true }]);
    await expect(connected({ ssl, password: 'wrong' })).rejects.toMatchObject({ code: '28P01' });
    await expect(connected({ password: 'right' })).rejects.toMatchObject({ code: '28000' });
  });

  it('keeps what was committed when it is killed and started again', async () => {
    await postgres.sql('CREATE TABLE kept (n int)');
    await postgres.sql('INSERT INTO kept VALUES ($1)', [7]);
    await postgres.kill();
    await postgres.start();
    expect(await postgres.sql('SELECT n FROM kept')).toEqual([{ n: 7 }]);
  });
});
