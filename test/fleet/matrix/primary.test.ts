import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import type { TaskKey } from '../../../src/core/state/store.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { startCluster, type NodeName, type PostgresCluster } from '../../postgres/cluster.ts';
import { failover } from '../../../src/dev/postgres/failover.ts';
import { until } from '../../until.ts';
import { keyOf, lostEnds, migrate, openReplica, startEnders, startLimitRace, startRace } from './replicas.ts';
import { failovers, seen, titleOf, type RowName } from './rows.ts';

// Each failover takes seconds, and the table asks for 50.
jest.setTimeout(120_000 + failovers() * 30_000);

const folder = testFolders();
const CALLERS = 5;
/** Numbers of tasks that no other test has. */
const CANCELLED = 800_000_000;
const BUDGET = 900_000_000;
const LIMIT = 400;

describeWith(postgresPart(), 'failure matrix: the database', (binaries) => {
  let cluster: PostgresCluster;
  let replicas: PostgresState[];

  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await migrate(cluster);
  });
  beforeEach(async () => {
    replicas = [await openReplica(cluster), await openReplica(cluster)];
  });
  afterEach(async () => {
    cluster.heal();
    await Promise.all(replicas.map((replica) => replica.close()));
  });
  afterAll(() => cluster.close());

  /**
   * Loses the primary and promotes another one, under load, so often; then looks for each acknowledged end. What `losing` returns is awaited
   * after each failover.
   */
  const lose = async (
    row: RowName,
    count: number,
    losing: (old: NodeName, round: number) => Promise<() => unknown>,
  ): Promise<void> => {
    const enders = startEnders(replicas, CALLERS);
    for (let round = 0; round < count; round += 1) {
      const old = cluster.primary;
      const [late] = cluster.standbys;
      if (late === undefined) throw new Error('no standby');
      // Without a delay of one link the standbys have the same nearly always, and a wrong choice would do no harm.
      cluster.link(late, old).set({ kind: 'delay', ms: 50 }, 'down');
      const before = enders.acknowledged.size;
      await until(() => enders.acknowledged.size > before + 50, { what: 'ends are acknowledged' });
      const finished = await losing(old, round);
      await failover(cluster);
      const then = enders.acknowledged.size;
      await until(() => enders.acknowledged.size > then + 20, { what: 'ends are acknowledged after the failover' });
      await finished();
      cluster.heal();
      await cluster.rejoin(old);
    }
    await enders.stop();
    const lost = await lostEnds(cluster, enders.acknowledged);
    seen(row, {
      failovers: count,
      'ends acknowledged': enders.acknowledged.size,
      'ends lost': lost.length,
      'ms without an acknowledgement': Math.round(enders.longestGapMs()),
    });
    expect(lost).toEqual([]);
  };

  // The same failovers show all three.
  it(`${titleOf('D-01')}; ${titleOf('D-15')}; ${titleOf('D-26')}`, async () => {
    const limited = { allowed: 0, over: 0, uncounted: 0 };
    let allowed = 0;
    let over = 0;
    let uncounted = 0;
    await lose('D-01', failovers(), async (old, round) => {
      const budget = await newBudget(BUDGET + round);
      const race = startRace(replicas, { ...budget, limit: LIMIT });
      const limit = `race-${round}`;
      const limitRace = startLimitRace(replicas, limit, LIMIT);
      await until(() => Math.min(race.allowed(), limitRace.allowed()) > LIMIT / 4, {
        what: 'the first quarter is used',
      });
      await cluster.nodes[old].kill();
      return async () => {
        await until(async () => (await spentOf(budget.key.id)) === LIMIT, { what: 'the budget is used up' });
        await until(async () => (await limitUsed(limit)) === LIMIT, { what: 'the limit is used up' });
        await Promise.all([race.stop(), limitRace.stop()]);
        const used = await limitUsed(limit);
        limited.allowed += limitRace.allowed();
        limited.over += Math.max(0, limitRace.allowed() - LIMIT, used - LIMIT);
        limited.uncounted += Math.max(0, limitRace.allowed() - used);
        const spent = await spentOf(budget.key.id);
        allowed += race.allowed();
        over += Math.max(0, race.allowed() - LIMIT, spent - LIMIT);
        uncounted += Math.max(0, race.allowed() - spent);
      };
    });
    seen('D-15', { failovers: failovers(), 'uses allowed': allowed, 'uses over the budget': over });
    seen('D-26', { failovers: failovers(), 'uses allowed': limited.allowed, 'uses over the limit': limited.over });
    expect({ over, uncounted }).toEqual({ over: 0, uncounted: 0 });
    expect(limited).toMatchObject({ over: 0, uncounted: 0 });
  });

  it(titleOf('D-02'), () =>
    lose('D-02', 1, async (old) => {
      // Its connections stay open, and nothing ever comes.
      cluster.isolate(old);
      cluster.front(old).halfOpen();
      return () => undefined;
    }),
  );

  describe(titleOf('D-03'), () => {
    it.each([
      { durability: 'quorum', synchronousCommit: 'on', acknowledges: false },
      { durability: 'single', synchronousCommit: 'local', acknowledges: true },
    ] as const)('with synchronous_commit=$synchronousCommit it acknowledges: $acknowledges', async (row) => {
      await cluster.sql(`ALTER ROLE app SET synchronous_commit = ${row.synchronousCommit}`);
      const replica = await openReplica(cluster, { durability: row.durability });
      replicas.push(replica);
      cluster.isolate(cluster.primary);
      const enders = startEnders([replica], CALLERS);
      const beats: unknown[] = [];
      const beating = replica.feed.beat().then((head) => beats.push(head));
      if (row.acknowledges) await until(() => enders.acknowledged.size > 10 && beats.length > 0);
      else await new Promise((resolve) => setTimeout(resolve, 3_000));
      const acknowledged = enders.acknowledged.size;
      const renewed = beats.filter((head) => !isStoreFailure(head)).length;
      cluster.heal();
      await enders.stop();
      await beating;
      await cluster.sql('ALTER ROLE app RESET synchronous_commit');
      if (!row.acknowledges) seen('D-03', { 'ends acknowledged': acknowledged, 'leases renewed': renewed });
      expect({ acknowledged: acknowledged > 0, renewed: renewed > 0 }).toEqual({
        acknowledged: row.acknowledges,
        renewed: row.acknowledges,
      });
    });
  });

  /** An end of task number `n` whose commit is to wait for a standby, released by `release`, and shown by the primary that is cut off. */
  const released = async (
    n: number,
    release: (pid: number) => readonly string[],
  ): Promise<{ readonly old: NodeName; readonly replica: PostgresState; readonly ending: Promise<unknown> }> => {
    const old = cluster.primary;
    const [replica] = replicas;
    if (replica === undefined) throw new Error('no replica');
    expect(await replica.authority.insertTask(taskNumber(n), tokenNumber(n), [])).toBeNull();
    cluster.isolate(old);
    const ending = replica.authority.applyTaskEvent(keyOf(n), byOperator('revoke'), 'operator');
    const [waiting] = await until(async () => {
      const found = await cluster.sql(
        `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'app'`,
      );
      return found.length > 0 ? found : undefined;
    });
    for (const text of release(Number(waiting?.['pid']))) await cluster.sql(text);
    const onOld = async (): Promise<unknown> =>
      (await cluster.nodes[old].sql('SELECT state FROM remit.tasks WHERE id = $1', [keyOf(n).id]))[0]?.['state'];
    await until(async () => (await onOld()) === 'revoked', { what: 'the old primary shows the end' });
    return { old, replica, ending };
  };

  describe(titleOf('D-07'), () => {
    it.each([
      { at: 0, how: 'pg_cancel_backend', release: (pid: number) => [`SELECT pg_cancel_backend(${pid})`] },
      { at: 1, how: 'pg_terminate_backend', release: (pid: number) => [`SELECT pg_terminate_backend(${pid})`] },
      {
        at: 2,
        how: 'emptying synchronous_standby_names',
        release: () => [`ALTER SYSTEM SET synchronous_standby_names = ''`, 'SELECT pg_reload_conf()'],
      },
    ])('by $how: the end is acknowledged once the next primary has it', async ({ at, release }) => {
      const n = CANCELLED + at;
      const { old, ending } = await released(n, release);
      let answer: unknown;
      void ending.then((ended) => (answer = ended));
      await new Promise((resolve) => setTimeout(resolve, 500));
      const early = answer;

      await failover(cluster);
      await ending;
      const [kept] = await cluster.sql('SELECT state FROM remit.tasks WHERE id = $1', [keyOf(n).id]);
      cluster.heal();
      await cluster.rejoin(old);
      seen('D-07', {
        'acknowledged too early': early === undefined ? 0 : 1,
        'ends lost': kept?.['state'] === 'revoked' ? 0 : 1,
      });
      expect({ early, answer, kept }).toMatchObject({
        early: undefined,
        answer: { changed: true, task: { state: 'revoked' } },
        kept: { state: 'revoked' },
      });
    });

    // Issue 37, point 13: found by the simulation.
    it('no ledger takes its record before the next primary has it', async () => {
      const ledgers = must(await mustFind(replicas[0]).outbox.end());
      const { old, replica, ending } = await released(CANCELLED + 9, (pid) => [`SELECT pg_cancel_backend(${pid})`]);
      expect(must(await replica.reader.outbox(ledgers, 9))).toHaveLength(1);
      const taking = replica.outbox.after(ledgers, 9);
      await failover(cluster);
      expect(await taking).toMatchObject({ kind: 'store-failure' });
      await ending;
      cluster.heal();
      await cluster.rejoin(old);
      const taken = await until(
        async () => {
          const found = await replica.outbox.after(ledgers, 9);
          return !isStoreFailure(found) && found.length > 0 && found;
        },
        { what: 'the record of the end' },
      );
      expect(taken).toMatchObject([{ kind: 'end', outbox: ledgers + 1 }]);
    });
  });

  const newBudget = async (n: number): Promise<{ readonly key: TaskKey; readonly jtiDigest: string }> => {
    const { jtiDigest } = tokenNumber(n);
    expect(await replicas[0]?.authority.insertTask(taskNumber(n), tokenNumber(n), [])).toBeNull();
    return { key: keyOf(n), jtiDigest };
  };
  const limitUsed = async (limit: string): Promise<number> => {
    const [row] = await cluster.sql('SELECT sum(used) AS used FROM remit.limit_counts WHERE limit_id = $1', [limit]);
    return Number(row?.['used'] ?? 0);
  };
  const spentOf = async (task: string): Promise<number> => {
    const [row] = await cluster.sql(
      "SELECT sum(spent) AS spent FROM remit.budgets WHERE task = $1 AND name NOT LIKE 'lent %'",
      [task],
    );
    return Number(row?.['spent'] ?? 0);
  };
});
