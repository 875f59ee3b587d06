import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { failover } from '../../../../src/dev/postgres/failover.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { migrate, openReplica } from '../../../fleet/matrix/replicas.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { startCluster, type NodeName, type PostgresCluster } from '../../../postgres/cluster.ts';

const folder = testFolders();

describeWith(postgresPart(), 'what `remit fleet` shows of a PostgreSQL', (binaries) => {
  let cluster: PostgresCluster;
  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await migrate(cluster);
  });
  afterAll(() => cluster.close());

  const hostOf = (name: NodeName): string => `127.0.0.1:${cluster.front(name).port}`;
  const reported = async () => {
    const replica = await openReplica(cluster);
    const report = await replica.report();
    await replica.close();
    return report;
  };

  it('names the role and timeline of each server, and the standbys that stream', async () => {
    const { hosts, standbys } = await reported();
    expect(hosts).toEqual([
      { host: hostOf('a'), role: 'primary', timeline: 1, problem: '' },
      { host: hostOf('b'), role: 'standby', timeline: 1, problem: '' },
      { host: hostOf('c'), role: 'standby', timeline: 1, problem: '' },
    ]);
    expect(standbys?.map(({ name, state, sync }) => [name, state, sync]).toSorted()).toEqual([
      ['b', 'streaming', 'quorum'],
      ['c', 'streaming', 'quorum'],
    ]);
    expect(standbys?.every(({ behind_bytes: bytes }) => bytes !== null && bytes >= 0)).toBe(true);
  });

  it('does not guess if the role may not see the standbys', async () => {
    await cluster.sql('REVOKE pg_monitor FROM app');
    try {
      expect((await reported()).standbys).toBeNull();
    } finally {
      await cluster.sql('GRANT pg_monitor TO app');
    }
  });

  it('says that a killed primary does not answer, and which timeline the new primary has', async () => {
    await cluster.nodes.a.kill();
    const { to } = await failover(cluster);
    const { hosts } = await reported();
    const byHost = new Map(hosts.map((host) => [host.host, host]));
    expect(byHost.get(hostOf('a'))).toMatchObject({
      role: 'unknown',
      timeline: null,
      problem: expect.stringMatching(/./),
    });
    expect(byHost.get(hostOf(to))).toMatchObject({ role: 'primary', timeline: 2 });
  });
});
