import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from 'pg';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { until } from '../until.ts';
import { startCluster, type PostgresCluster } from './cluster.ts';
import { failover } from '../../src/dev/postgres/failover.ts';
import { lostOf, startWriters } from './writers.ts';

/** What PostgreSQL itself does, which the state on it relies on or guards against: SQL alone, on a real cluster. */
const folder = testFolders();

describeWith(postgresPart(), 'commits of PostgreSQL that wait for a standby', (binaries) => {
  let cluster: PostgresCluster;
  let clients: Client[];

  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await cluster.sql('CREATE TABLE written (n int); GRANT ALL ON written TO app');
  });
  beforeEach(() => {
    clients = [];
  });
  afterEach(async () => {
    cluster.heal();
    await Promise.all(clients.map((client) => client.end()));
    await cluster.sql('SET synchronous_commit = local; TRUNCATE written');
  });
  afterAll(() => cluster.close());

  const connect = async (...options: Parameters<PostgresCluster['connect']>): Promise<Client> => {
    const client = await cluster.connect(...options);
    clients.push(client);
    return client;
  };
  /** The process of the connection whose commit waits for a standby. */
  const waiting = (): Promise<number> =>
    until(
      async () => {
        const rows = await cluster.sql(
          `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'app'`,
        );
        return rows.length === 0 ? undefined : Number(rows[0]?.['pid']);
      },
      { what: 'a commit waits for a standby' },
    );
  const written = async (): Promise<readonly number[]> =>
    (await cluster.sql('SELECT n FROM written ORDER BY n')).map((row) => Number(row['n']));

  it.each([
    { synchronousCommit: 'on', acknowledges: 'nothing' },
    { synchronousCommit: 'local', acknowledges: 'writes' },
  ] as const)(
    'a primary without its standbys acknowledges $acknowledges with synchronous_commit=$synchronousCommit, and answers reads',
    async ({ synchronousCommit, acknowledges }) => {
      cluster.isolate(cluster.primary);
      const writers = startWriters(cluster, { count: 5, synchronousCommit });
      if (acknowledges === 'writes') await until(() => writers.acknowledged.size > 20);
      else {
        await waiting();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        expect(writers.acknowledged.size).toBe(0);
      }
      const reader = await connect();
      expect((await reader.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await writers.stop();
    },
  );

  it.each([
    { sent: 'as messages of one flight', pipeline: true, names: '' },
    { sent: 'in one text, which takes no new configuration in between', pipeline: false, names: 'ANY 1 (b, c)' },
  ])(
    'emptying synchronous_standby_names releases a commit without a notice; asked after it, $sent, the setting is `$names`',
    async ({ pipeline, names }) => {
      if (cluster.primary !== 'a') throw new Error('the names are those of a');
      cluster.isolate('a');
      const client = await connect({ pipeline });
      const notices: unknown[] = [];
      client.on('notice', (notice) => notices.push(notice));
      const texts = ['BEGIN', 'INSERT INTO written VALUES (1)', 'COMMIT', SETTING];
      // One text has the results of all of its statements.
      const results: Promise<unknown> = pipeline
        ? Promise.all(texts.map((text) => client.query(text)))
        : client.query(texts.join('; '));
      await waiting();
      await cluster.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
      await cluster.sql('SELECT pg_reload_conf()');
      await expect(results).resolves.toMatchObject([{}, {}, { command: 'COMMIT' }, { rows: [{ names }] }]);
      expect(notices).toEqual([]);
      await cluster.sql('ALTER SYSTEM RESET synchronous_standby_names');
      await cluster.sql('SELECT pg_reload_conf()');
    },
  );

  it('a cancelled wait answers the commit with a warning alone, shows it to others, and a failover loses it', async () => {
    const old = cluster.primary;
    cluster.isolate(old);
    const client = await connect();
    const notices: unknown[] = [];
    client.on('notice', ({ severity, code }) => notices.push({ severity, code }));
    const committed = client.query('INSERT INTO written VALUES (1)');
    await cluster.sql('SELECT pg_cancel_backend($1)', [await waiting()]);
    await expect(committed).resolves.toMatchObject({ command: 'INSERT', rowCount: 1 });
    expect(notices).toEqual([{ severity: 'WARNING', code: '01000' }]);
    expect(await written()).toEqual([1]);

    await failover(cluster);
    expect(await written()).toEqual([]);
    cluster.heal();
    await cluster.rejoin(old);
  });

  describe.each([
    { promote: 'most', of: 'loses no acknowledged commit' },
    { promote: 'least', of: 'loses acknowledged commits' },
  ] as const)('a failover under load to the standby that has the $promote', ({ promote, of }) => {
    it(of, async () => {
      const old = cluster.primary;
      const [late] = cluster.standbys;
      if (late === undefined) throw new Error('no standby');
      const writers = startWriters(cluster, { count: 10 });
      await until(() => writers.acknowledged.size > 200);
      // From here on the late standby receives nothing: what is acknowledged now, the other one alone has.
      cluster.link(late, old).set({ kind: 'held' }, 'down');
      const early = writers.acknowledged.size;
      await until(() => writers.acknowledged.size > early + 200);
      await cluster.nodes[old].kill();
      const { aheadBytes } = await failover(cluster, { promote });
      const before = writers.acknowledged.size;
      if (promote === 'most') await until(() => writers.acknowledged.size > before + 200);
      await writers.stop();
      const lost = (await lostOf(cluster, writers)).length;
      if (promote === 'most') expect({ lost, isAhead: aheadBytes > 0 }).toEqual({ lost: 0, isAhead: true });
      else expect(lost).toBeGreaterThan(0);
      // The other standby may have what was lost, too.
      for (const name of cluster.standbys) await cluster.rejoin(name);
    });
  });
});

const SETTING = `SELECT current_setting('synchronous_standby_names') AS names`;
