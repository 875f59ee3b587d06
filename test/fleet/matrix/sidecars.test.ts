import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { ran, remit } from '../../e2e/process.ts';
import { itThoroughly } from '../../it-thoroughly.ts';
import { both, describeWith, envoyPart, faketimePart, postgresPart } from '../../parts.ts';
import { startCluster, type PostgresCluster } from '../../postgres/cluster.ts';
import { failover } from '../../../src/dev/postgres/failover.ts';
import { signalNode } from '../../postgres/signal-node.ts';
import { thoroughly } from '../../thoroughly.ts';
import { until } from '../../until.ts';
import { clockOff, removeLeftClocks } from './clock-off.ts';
import { LEASE_MS, RealFleet } from './real-fleet.ts';
import type { AuthorityParty, Declared, Party, Receipt } from './real-fleet.ts';
import { migrate } from './replicas.ts';
import { seen, titleOf } from './rows.ts';
import type { WatchedUse } from './watched-use.ts';

/** How much longer than the lease of a sidecar an authority waits for it. */
const MARGIN_MS = 250;
/** What an answer takes on a loaded machine, with the end of the lease or without. */
const ANSWER_MS = 5_000;
/** Far less than an authority that queues without a bound would take in these tests, and more than a garbage collection leaves. */
const MAX_GROWN_MIB = 64;
/** The answer to a use of a task that was completed. */
const ENDED = '403 task.completed';
const sidecars = ['sidecar-1', 'sidecar-2'] as const;
const folder = testFolders();

/** How long after an instant the last use was sent that was allowed, once uses are denied. */
const allowedFor = async (watch: WatchedUse, sinceMs: number): Promise<number> => {
  await until(() => !watch.isAllowed(), { what: 'uses are denied' });
  return Math.round(watch.lastAllowedMs() - sinceMs);
};

/** Waits until all leases are over that were given before an instant. */
const leasesOver = (beforeMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, beforeMs + LEASE_MS + MARGIN_MS - performance.now())));

describeWith(both(envoyPart(), postgresPart()), 'failure matrix: processes of a fleet', ([envoy, binaries]) => {
  let cluster: PostgresCluster;
  let fleet: RealFleet;
  const uses: WatchedUse[] = [];

  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await migrate(cluster);
    fleet = await RealFleet.start({ envoy, folder: join(folder(), 'fleet'), database: cluster.url });
  });
  // The start of an authority takes 10 s, so nothing is restored after the last test.
  beforeEach(() => fleet.restore());
  afterEach(async () => {
    await Promise.all(uses.splice(0).map((use) => use.stop()));
  });
  afterAll(async () => {
    await fleet?.stop();
    await cluster?.close();
  });

  /** A task that is used at both sidecars all the time. */
  const used = async (
    declared?: Declared,
  ): Promise<{ readonly task: Declared; readonly watches: readonly [WatchedUse, WatchedUse] }> => {
    const task = declared ?? (await fleet.declare());
    const watches = [await fleet.watch('sidecar-1', task), await fleet.watch('sidecar-2', task)] as const;
    uses.push(...watches);
    return { task, watches };
  };
  /** Ends a task. Gives the receipt, how long it took, and how many of the watches saw a use allowed that was sent after it, once each has sent one. */
  const ended = async (
    { taskId }: Declared,
    { watches, at = 'authority-1' }: { readonly watches: readonly WatchedUse[]; readonly at?: AuthorityParty },
  ): Promise<{ readonly receipt: Receipt; readonly ms: number; readonly late: () => Promise<number> }> => {
    const askedMs = performance.now();
    const receipt = await fleet.complete(taskId, { at });
    const endedMs = performance.now();
    return {
      receipt,
      ms: Math.round(endedMs - askedMs),
      late: async () => {
        await Promise.all(watches.map((watch) => watch.again()));
        return watches.filter((watch) => watch.lastAllowedMs() > endedMs).length;
      },
    };
  };
  /** How long after an instant a sidecar has a lease. */
  const leaseOver = async (party: Party, sinceMs: number): Promise<number> => {
    let lastMs = sinceMs;
    for (;;) {
      const atMs = performance.now();
      if ((await fleet.metric(party, 'remit_sidecar_lease_seconds')) <= 0) return Math.round(lastMs - sinceMs);
      lastMs = atMs;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  /**
   * Looks at a sidecar for as long as a lease, until it has had one at each look: a loaded machine may renew one late. Gives what was left
   * of the lease at each look, in seconds.
   */
  const leasedThroughout = (party: Party, look: () => Promise<void>): Promise<readonly number[]> =>
    until(
      async () => {
        const leases: number[] = [];
        const untilMs = performance.now() + LEASE_MS + MARGIN_MS;
        while (performance.now() < untilMs) {
          leases.push(await fleet.metric(party, 'remit_sidecar_lease_seconds'));
          await look();
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return Math.min(...leases) > 0 && leases;
      },
      { what: `${party} has a lease throughout` },
    );
  const rssKiB = (party: Party): number =>
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${fleet.process(party).child.pid}/status`, 'utf8'))?.[1]);

  it(titleOf('D-09'), async () => {
    const { watches } = await used();
    const goneMs = performance.now();
    await Promise.all([fleet.kill('authority-1'), fleet.kill('authority-2')]);
    const allowedMs = Math.max(...(await Promise.all(watches.map((watch) => allowedFor(watch, goneMs)))));
    await Promise.all([fleet.serve('authority-1'), fleet.serve('authority-2')]);
    await until(() => watches.every((watch) => watch.isAllowed()), { what: 'uses are allowed again' });
    seen('D-09', { 'ms of uses without an authority': allowedMs, 'lease, ms': LEASE_MS });
    expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);
  });

  const halfCut = { how: 'on the way to it alone', directions: ['down'] } as const;
  // A cut of one half is noticed last; the simulation cuts in both directions too.
  it.each(thoroughly([{ how: 'in both directions', directions: [] } as const, halfCut], [halfCut]))(
    `${titleOf('D-10')}, $how`,
    async ({ directions }) => {
      const { task, watches } = await used();
      const cutMs = performance.now();
      for (const link of fleet.links('sidecar-1')) link.set({ kind: 'held' }, ...directions);
      const { receipt, ms, late } = await ended(task, { watches });
      const allowedMs = await allowedFor(watches[0], cutMs);
      const lateUses = await late();
      seen('D-10', {
        'ms until an end was enforced': ms,
        'ms of uses while cut off': allowedMs,
        'late uses': lateUses,
      });
      expect(receipt).toMatchObject({ enforced: true, holders: 2, acknowledged: 1, fenced: 1 });
      expect(lateUses).toBe(0);
      expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);
      expect(ms).toBeLessThanOrEqual(LEASE_MS + MARGIN_MS + ANSWER_MS);
    },
  );

  it(titleOf('D-11'), async () => {
    const { task, watches } = await used();
    fleet.process('sidecar-1').child.kill('SIGSTOP');
    const { receipt, ms, late } = await ended(task, { watches });
    // Asked while it stands still: the answers are the first thing that it does afterwards.
    const waiting = Array.from({ length: 3 }, () => fleet.call('sidecar-1', task.token));
    fleet.process('sidecar-1').child.kill('SIGCONT');
    const answers = await Promise.all(waiting);
    await until(() => !watches[0].isAllowed(), { what: 'uses are denied' });
    const lateUses = await late();
    seen('D-11', {
      'ms until an end was enforced': ms,
      'late uses': lateUses + answers.filter((one) => one === '200').length,
    });
    expect(receipt).toMatchObject({ enforced: true, holders: 2, acknowledged: 1, fenced: 1 });
    expect(lateUses).toBe(0);
    expect(answers).not.toContain('200');
  });

  it(titleOf('D-13'), async () => {
    const { task, watches } = await used();
    const others = await Promise.all(Array.from({ length: 50 }, () => fleet.declare()));
    await Promise.all(others.map(({ token }) => fleet.call('sidecar-1', token)));
    const before = rssKiB('authority-1') + rssKiB('authority-2');
    for (const link of fleet.links('sidecar-1')) link.set({ kind: 'slow', bytesPerSecond: 100 }, 'down');
    // Much for it to read.
    await Promise.all(others.map(({ taskId }) => fleet.complete(taskId, { wait: 'committed' })));
    const { receipt, ms, late } = await ended(task, { watches });
    const lateUses = await late();
    const grownMiB = (rssKiB('authority-1') + rssKiB('authority-2') - before) / 1_024;
    seen('D-13', {
      'ms until an end was enforced': ms,
      'late uses': lateUses,
      'MiB more at the authorities': Math.round(grownMiB),
    });
    // The slow one has been disconnected, or is waited for until its lease is over.
    expect(receipt).toMatchObject({ enforced: true });
    expect(lateUses).toBe(0);
    expect(await fleet.readiness('sidecar-2')).toContain('200');
    expect(grownMiB).toBeLessThan(MAX_GROWN_MIB);
  });

  it(titleOf('S-01'), async () => {
    const { task, watches } = await used();
    fleet.process('authority-1').child.kill('SIGSTOP');
    const { receipt, ms, late } = await ended(task, { watches, at: 'authority-2' });
    fleet.process('authority-1').child.kill('SIGCONT');
    const { task: next, watches: more } = await used(await fleet.declare({}, 'authority-2'));
    const after = await ended(next, { watches: more });
    const lateUses = [await late(), await after.late()] as const;
    seen('S-01', {
      'ms until an end was enforced': Math.max(ms, after.ms),
      'late uses': lateUses[0] + lateUses[1],
    });
    expect(receipt).toMatchObject({ enforced: true });
    expect(lateUses).toEqual([0, 0]);
  });

  it(titleOf('S-02'), async () => {
    const { task, watches } = await used();
    const old = cluster.primary;
    const stoppedMs = performance.now();
    signalNode(cluster.nodes[old], 'SIGSTOP');
    const allowedMs = Math.max(...(await Promise.all(watches.map((watch) => allowedFor(watch, stoppedMs)))));
    const ending = ended(task, { watches });
    await failover(cluster);
    // It goes on as if nothing had happened, and must renew no lease.
    signalNode(cluster.nodes[old], 'SIGCONT');
    const { late, ms } = await ending;
    const lateUses = await late();
    await cluster.rejoin(old);
    seen('S-02', {
      'ms of uses without a primary': allowedMs,
      'ms until an end was enforced': ms,
      'late uses': lateUses,
    });
    expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);
    expect(lateUses).toBe(0);
  });

  it(titleOf('S-03'), async () => {
    const { task, watches } = await used();
    const [stopped] = cluster.standbys;
    const standby = cluster.nodes[stopped ?? 'b'];
    signalNode(standby, 'SIGSTOP');
    await leasesOver(performance.now());
    const { receipt, ms, late } = await ended(task, { watches });
    const lateUses = await late();
    signalNode(standby, 'SIGCONT');
    const denied = watches.flatMap((watch) => Object.keys(watch.denied())).filter((answer) => answer !== ENDED);
    seen('S-03', { 'ms until an end was enforced': ms, 'late uses': lateUses, 'uses that were denied': denied.length });
    expect(receipt).toMatchObject({ enforced: true, holders: 2 });
    expect(lateUses).toBe(0);
    expect(denied).toEqual([]);
  });

  it(titleOf('D-18'), async () => {
    const { task, watches } = await used();
    for (const link of fleet.links('sidecar-1')) link.set({ kind: 'held' });
    const cutMs = performance.now();
    const { kid } = JSON.parse(Buffer.from(task.token.split('.')[0] ?? '', 'base64url').toString());
    const asked = ['key', 'revoke', kid, '--cause', 'leaked', '--config', fleet.config('authority-2'), '--json'];
    const revoked = await ran(asked);
    const revokedMs = performance.now();
    const allowedMs = await allowedFor(watches[0], cutMs);
    await until(() => !watches[1].isAllowed(), { what: 'the other sidecar knows the revocation' });
    await Promise.all(watches.map((watch) => watch.again()));
    const late = watches.filter((watch) => watch.lastAllowedMs() > revokedMs).length;
    seen('D-18', { 'ms of uses while cut off': allowedMs, 'late uses': late });
    expect([revoked.code, JSON.parse(revoked.out)]).toEqual([
      0,
      { kid, enforcement: expect.objectContaining({ enforced: true }) },
    ]);
    expect(late).toBe(0);
    expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);
    // With a lease again it knows too.
    for (const link of fleet.links('sidecar-1')) link.heal();
    await fleet.ready('sidecar-1');
    expect(await fleet.call('sidecar-1', task.token)).not.toBe('200');
  });

  it('says why an authority waits that starts without a standby', async () => {
    const { standbys } = cluster;
    await Promise.all(standbys.map((name) => cluster.nodes[name].kill()));
    try {
      await fleet.kill('authority-2');
      const missing = 'no synchronous standby is connected: commits wait until it is';
      const checked = await ran(['serve', '--check', '--config', fleet.config('authority-2')]);
      expect([checked.code, `${checked.out}${checked.err}`]).toEqual([0, expect.stringContaining(missing)]);
      // It waits, alive and not ready: a standby that comes back must not need somebody who starts the authority.
      const served = remit(['serve', '--config', fleet.config('authority-2')]);
      await served.said(missing);
      served.child.kill('SIGTERM');
      expect([await served.exit, served.err()]).toEqual([0, expect.stringContaining('start-waits')]);
    } finally {
      await Promise.all(standbys.map((name) => cluster.startStandby(name)));
    }
  });

  describeWith(faketimePart(), 'with another wall clock', (faketime) => {
    /** The other direction found nothing of its own since the first release. */
    const clocks = thoroughly(['+1h', '-1h'], ['-1h']);
    afterAll(removeLeftClocks);

    // That it judges tokens by its own clock is tried without a fleet too.
    for (const by of ['+1h', '-1h'])
      itThoroughly(`${titleOf('D-12')}, of a sidecar by ${by}`, async () => {
        await fleet.kill('sidecar-2');
        await fleet.serve('sidecar-2', { environment: clockOff(faketime, by) });
        const task = await fleet.declare();
        const use = await fleet.watch('sidecar-1', task);
        uses.push(use);
        const answers: string[] = [];
        const leases = await leasedThroughout('sidecar-2', async () => {
          answers.push(await fleet.call('sidecar-2', task.token));
        });
        const { late } = await ended(task, { watches: [use] });
        const lateUses = await late();
        answers.push(await fleet.call('sidecar-2', task.token));
        await fleet.kill('sidecar-2');
        await fleet.serve('sidecar-2');
        seen('D-12', { 'late uses': lateUses });
        expect(Math.max(...leases)).toBeLessThanOrEqual(LEASE_MS / 1_000);
        // It judges the times of tokens by its own clock, and denies.
        expect([...new Set(answers)]).toEqual([by === '+1h' ? '401 token.expired' : '401 token.not-yet-valid']);
        expect(lateUses).toBe(0);
      });

    it.each(clocks)(`${titleOf('D-12')}, of the database by %s`, async (by) => {
      const { task, watches } = await used();
      const primary = cluster.nodes[cluster.primary];
      await primary.kill();
      await primary.start(clockOff(faketime, by));
      try {
        await leasesOver(performance.now());
        await until(() => watches.every((watch) => watch.isAllowed()), { what: 'uses are allowed by its clock' });
        const { receipt, ms, late } = await ended(task, { watches });
        const lateUses = await late();
        seen('D-12', { 'ms until an end was enforced': ms, 'late uses': lateUses });
        expect(receipt).toMatchObject({ enforced: true });
        expect(lateUses).toBe(0);
      } finally {
        await primary.kill();
        await primary.start();
        await until(() => fleet.declare().catch(() => false), { what: 'the database is back' });
      }
    });

    // A clock that is off by an hour is tried at the database each time.
    itThoroughly(`${titleOf('D-12')}, of the first authority by -1h and of the second by +1h`, async () => {
      // They settle nothing of tasks that are over by their clock, so these uses settle nothing.
      const rounds = [
        { at: 'authority-1', other: 'authority-2', by: '-1h', ...(await used()) },
        { at: 'authority-2', other: 'authority-1', by: '+1h', ...(await used()) },
      ] as const;
      await Promise.all(rounds.map(({ at }) => fleet.kill(at)));
      await Promise.all(
        rounds.map(({ at, by }) => fleet.serve(at, { environment: clockOff(faketime, by), isReady: false })),
      );
      for (const { at, other, task, watches } of rounds) {
        // On a loaded machine it may not reach its database at once.
        const differs = /clocks of this machine and of the database differ by 3[56]\d\d s/;
        await until(async () => differs.test(await fleet.readiness(at)), { what: `${at} says that clocks differ` });
        // All sidecars follow it, and no lease of the other one is left.
        const cutMs = performance.now();
        for (const sidecar of sidecars) {
          fleet.link(sidecar, at).heal();
          fleet.link(sidecar, other).cut();
        }
        await leasesOver(cutMs);
        await until(() => watches.every((watch) => watch.isAllowed()), { what: 'uses are allowed by its leases' });
        const { receipt, ms, late } = await ended(task, { watches, at });
        const lateUses = await late();
        const goneMs = performance.now();
        for (const sidecar of sidecars) fleet.link(sidecar, at).cut();
        const leaseMs = await leaseOver('sidecar-1', goneMs);
        seen('D-12', {
          'ms until an end was enforced': ms,
          'ms of a lease without an authority': leaseMs,
          'late uses': lateUses,
        });
        expect(receipt).toMatchObject({ enforced: true, holders: 2 });
        expect(lateUses).toBe(0);
        expect(leaseMs).toBeLessThanOrEqual(LEASE_MS);
      }
    });
  });
});
