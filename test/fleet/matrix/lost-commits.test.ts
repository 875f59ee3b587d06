import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { openPostgresState, type PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing } from '../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { withClosers } from '../../builders/with-closers.ts';
import type { Closers } from '../../builders/with-closers.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { startCluster, type PostgresCluster } from '../../postgres/cluster.ts';
import { failover } from '../../../src/dev/postgres/failover.ts';
import { startPostgres } from '../../postgres/postgres.ts';
import { keyOf, migrate, openReplica } from './replicas.ts';
import { seen, titleOf, type RowName } from './rows.ts';
import { openingOf } from '../../postgres/opening.ts';

const folder = testFolders();
const LOST = { code: 'broken', detail: expect.stringContaining('that an authority has seen') };
/** Whether a database without the changes soon has others under the same numbers. */
const later = [
  { others: 0, has: 'that has fewer changes' },
  { others: 20, has: 'that soon has more changes' },
];

/** Neither a lease is renewed, nor a change given out, ever. */
const stopped = async (row: RowName, { feed }: PostgresState, position: number): Promise<void> => {
  const beats = [await feed.beat(), await feed.beat()];
  const given = await feed.feedAfter(position);
  seen(row, { 'leases renewed': beats.filter((beat) => 'seq' in beat).length });
  expect(beats).toEqual([expect.objectContaining(LOST), expect.objectContaining(LOST)]);
  expect(given === null || 'code' in given).toBe(true);
};

/** Nothing is written either, and a new authority does not serve from that database. */
const refused = async ({ authority }: PostgresState, at: Parameters<typeof openPostgresState>[0]): Promise<void> => {
  expect(await authority.insertTask(taskNumber(9_999), tokenNumber(9_999), [])).toMatchObject(LOST);
  expect(await openPostgresState(at)).toMatchObject({ ...LOST, code: 'lost' });
};

const newcomer = (url: string, durability: 'quorum' | 'single') =>
  openingOf(url, { durability, clocks: agreeing(), address: 'new' });

describeWith(postgresPart(), 'failure matrix: commits that the database has lost', (binaries) => {
  let next = 1;
  const replicas: PostgresState[] = [];
  afterEach(async () => {
    await Promise.all(replicas.splice(0).map((replica) => replica.close()));
  });

  const end = async ({ authority }: PostgresState, count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 1) {
      const n = next++;
      expect(await authority.insertTask(taskNumber(n), tokenNumber(n), [])).toBeNull();
      expect(await authority.applyTaskEvent(keyOf(n), byOperator('complete'), 'operator')).toMatchObject({
        changed: true,
      });
    }
  };
  /** Five ends that the authority has seen, at the head that they gave. */
  const endAndSee = async (replica: PostgresState): Promise<number> => {
    await end(replica, 5);
    return must(await replica.feed.beat()).seq;
  };
  describe(titleOf('D-04'), () => {
    let cluster: PostgresCluster;
    beforeAll(async () => {
      cluster = await startCluster({ binaries, folder: folder() });
      await migrate(cluster);
    });
    afterAll(() => cluster.close());
    const open = async (): Promise<PostgresState> => {
      const replica = await openReplica(cluster);
      replicas.push(replica);
      return replica;
    };

    it('a standby that has all of them does not stop it', async () => {
      const replica = await open();
      const position = await endAndSee(replica);
      const old = cluster.primary;
      await cluster.nodes[old].kill();
      await failover(cluster);
      await end(replica, 3);
      expect(must(await replica.feed.beat()).seq).toBe(position + 3);
      await cluster.rejoin(old);
    });

    it.each(later)('a standby $has stops it', async ({ others }) => {
      const replica = await open();
      await endAndSee(replica);
      const old = cluster.primary;
      const [late, other] = cluster.standbys;
      if (late === undefined || other === undefined) throw new Error('no standbys');
      cluster.link(late, old).set({ kind: 'held' });
      const position = await endAndSee(replica);
      await cluster.nodes[old].kill();
      expect(await failover(cluster, { promote: 'least' })).toMatchObject({ to: late });
      cluster.heal();
      await cluster.rejoin(other);
      await end(await open(), others);
      await stopped('D-04', replica, position);
      await refused(replica, newcomer(cluster.url, 'quorum'));
      await cluster.sql('UPDATE remit.feed_head SET lost = NULL');
      await cluster.rejoin(old);
    });

    // Last, since it leaves the cluster without its newest primary.
    it('refuses an old primary that is alone in reach', async () => {
      const replica = await open();
      const old = cluster.primary;
      await cluster.nodes[old].kill();
      await failover(cluster);
      await end(replica, 1);
      await Promise.all(
        [cluster.primary, ...cluster.standbys.filter((name) => name !== old)].map((name) => cluster.nodes[name].kill()),
      );
      await cluster.nodes[old].start();
      const refusal = await until(
        async () => {
          const head = await replica.feed.head();
          return 'code' in head && head.detail.includes('timeline') ? head : false;
        },
        { what: 'the old primary is found' },
      );
      expect(refusal.detail).toMatch(/has timeline \d+, and this process has seen \d+: it is an old primary/);
    });
  });

  /** A database of one node, with a backup that `putBack` puts in its place. */
  async function withBackup(closers: Closers, before: (replica: PostgresState) => Promise<unknown>) {
    const node = await startPostgres({ binaries, folder: folder() });
    closers.push(() => node.kill());
    const at = { url: `postgres://postgres@/postgres?host=${node.sockets}:${node.port}` };
    await migrate({ ownerUrl: at.url, role: 'postgres' });
    const open = async (): Promise<PostgresState> => {
      const replica = await openReplica(at, { durability: 'single' });
      closers.push(() => replica.close());
      return replica;
    };
    const replica = await open();
    await before(replica);
    await node.stop();
    const backup = `${node.data}-backup`;
    execFileSync('cp', ['-a', node.data, backup]);
    await node.start();
    const putBack = async (): Promise<void> => {
      await node.stop();
      await rm(node.data, { recursive: true });
      execFileSync('mv', [backup, node.data]);
      await node.start();
    };
    return { at, open, replica, putBack };
  }

  // Issue 37, point 12: new tasks are no change of the feed.
  it(
    `${titleOf('D-05')}, and does not report a primary that lacks new tasks alone`,
    withClosers(async (closers) => {
      const { replica, putBack } = await withBackup(closers, endAndSee);
      const n = next++;
      await until(async () => !('code' in (await replica.feed.beat())), { what: 'a beat' });
      expect(await replica.authority.insertTask(taskNumber(n), tokenNumber(n), [])).toBeNull();
      must(await replica.feed.beat());
      await putBack();
      // The first answer after it, ahead of any beat.
      const found = await until(
        async () => {
          const task = await replica.reader.taskOf(keyOf(n).issuer, keyOf(n).id);
          return task !== undefined && 'code' in task && task.code === 'busy' ? false : { task };
        },
        { what: 'an answer' },
      );
      expect(found.task).toMatchObject({ code: 'broken', detail: expect.stringMatching(/lacks beat \d+/) });
    }),
  );

  it.concurrent.each(later)(`${titleOf('D-05')}, where it is one $has`, ({ others }) =>
    withClosers(async (closers) => {
      const { at, open, putBack } = await withBackup(closers, endAndSee);
      const replica = await open();
      const position = await endAndSee(replica);
      await putBack();
      const other = await open();
      await end(other, others);
      // The records of the older copy are others than those that this ledger has under the same numbers.
      const records = must(await other.reader.outbox(0, 999)).length;
      expect(await replica.authority.forget(999_999, { name: 'ledger', copies: 1 })).toMatchObject({
        kind: 'store-failure',
      });
      expect(must(await other.reader.outbox(0, 999))).toHaveLength(records);
      await stopped('D-05', replica, position);
      await refused(replica, newcomer(at.url, 'single'));
    })(),
  );
});
