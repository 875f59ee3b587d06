import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { startCluster, type PostgresCluster } from './cluster.ts';
import { failover } from '../../src/dev/postgres/failover.ts';

const folder = testFolders();

describeWith(postgresPart(), 'PostgresCluster', (binaries) => {
  let cluster: PostgresCluster;
  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await cluster.sql('CREATE TABLE kept (n int)');
  });
  afterAll(() => cluster.close());

  it('replicates over TLS to two standbys, of which a commit waits for any', async () => {
    const standbys = await cluster.sql(
      'SELECT application_name AS name, sync_state, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) ORDER BY 1',
    );
    expect(standbys).toEqual([
      { name: 'b', sync_state: 'quorum', ssl: true },
      { name: 'c', sync_state: 'quorum', ssl: true },
    ]);
  });

  it('goes on after its primary was killed, and takes it back as a standby', async () => {
    await cluster.sql('INSERT INTO kept VALUES (1)');
    await cluster.nodes.a.kill();
    const { from, to } = await failover(cluster);
    expect([from, to]).toEqual(['a', cluster.primary]);
    await cluster.sql('INSERT INTO kept VALUES (2)');
    await cluster.rejoin('a');
    await Promise.all(cluster.standbys.map((name) => cluster.streaming(name)));
    expect(await cluster.sql('SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
  });
});
