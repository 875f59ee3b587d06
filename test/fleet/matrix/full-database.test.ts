import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from '@jest/globals';
import { scratch } from '../../builders/scratch.ts';
import { fillDisk } from '../../full-disk.ts';
import { both, describeWith, envoyPart, postgresPart } from '../../parts.ts';
import type { Part } from '../../parts.ts';
import { startPostgres } from '../../postgres/postgres.ts';
import { until } from '../../until.ts';
import { LEASE_MS, RealFleet } from './real-fleet.ts';
import { migrate } from './replicas.ts';
import { seen, titleOf } from './rows.ts';

/** How long PostgreSQL takes to notice that its log cannot be written. */
const SWITCH_MS = 2_000;
const { folder, remove } = scratch();
const disk = join(folder(), 'disk');

/** A file system of 96 MiB. */
const mounted = ((): Part<string> => {
  const part = { name: 'root, to mount a tmpfs', enable: 'sudo npm test' };
  try {
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m,mode=0700', 'tmpfs', disk], { stdio: 'ignore' });
    return { ...part, found: disk };
  } catch {
    return { ...part, found: null };
  }
})();

afterAll(() => {
  if (mounted.found !== null) execFileSync('umount', ['-l', mounted.found]);
  remove();
});

describeWith(mounted, 'failure matrix: a full database', (at) => {
  describeWith(both(envoyPart(), postgresPart()), 'with a real Envoy and PostgreSQL', ([envoy, binaries]) => {
    const closers: (() => unknown)[] = [];
    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close();
    });

    it.each([
      // PostgreSQL ends where it cannot write its log.
      { what: 'of its log', part: 'pg_wal', takesLeases: true },
      { what: 'of its tables', part: 'base', takesLeases: false },
    ])(`${titleOf('F-01')}, $what`, async ({ part, takesLeases }) => {
      const node = await startPostgres({ binaries, folder: folder(), settings: { max_wal_size: '48MB' } });
      closers.push(() => node.kill());
      await node.stop();
      execFileSync('mv', [join(node.data, part), join(at, part)]);
      execFileSync('ln', ['-s', join(at, part), join(node.data, part)]);
      await node.start();
      const database = `postgres://postgres@/postgres?host=${node.sockets}:${node.port}`;
      await migrate({ ownerUrl: database, role: 'postgres' });
      const fleet = await RealFleet.start({
        envoy,
        folder: join(folder(), 'fleet'),
        database,
        authorities: ['authority-1'],
        sidecars: ['sidecar-1'],
        configure: (party) => (party === 'authority-1' ? { durability: 'single' } : {}),
      });
      closers.push(
        () => rmSync(join(at, part), { recursive: true, force: true }),
        () => fleet.stop(),
      );
      const used = await fleet.declare();
      const use = await fleet.watch('sidecar-1', used);

      const ballast = join(at, 'ballast');
      fillDisk(ballast);
      const fullMs = performance.now();
      if (takesLeases) await node.sql('SELECT pg_switch_wal()').catch(() => undefined);
      const acknowledged: string[] = [];
      // Until one cannot be stored.
      await until(
        async () => {
          const declared = await fleet.declare().catch(() => null);
          if (declared === null) return true;
          const reply = await fleet.ask('authority-1', `/tasks/${declared.taskId}/complete?wait=committed`);
          if (reply.status === 200) acknowledged.push(declared.taskId);
          return false;
        },
        { what: 'the issuer refuses a task' },
      );
      const refused = await fleet.ask('authority-1', `/tasks/${used.taskId}/complete?wait=committed`).catch(() => null);
      if (takesLeases) {
        expect(refused?.status ?? 503).toBe(503);
        await until(() => !use.isAllowed(), { what: 'the lease ends' });
        seen('F-01', { 'ms of uses while it was full': Math.round(use.lastAllowedMs() - fullMs) });
        expect(use.lastAllowedMs() - fullMs).toBeLessThanOrEqual(LEASE_MS + SWITCH_MS);
      }

      rmSync(ballast);
      await node.sql('SELECT 1').catch(() => node.kill().then(() => node.start()));
      await fleet.complete(used.taskId);
      const endedMs = performance.now();
      await until(() => 'completed' in reasonsOf(use.denied()), { what: 'the sidecar has a lease and knows the end' });
      const rows = await node.sql(`SELECT id FROM remit.tasks WHERE state = 'completed'`);
      const kept = new Set(rows.map(({ id }) => String(id)));
      const lost = acknowledged.filter((id) => !kept.has(id));
      const late = use.lastAllowedMs() > endedMs ? 1 : 0;
      seen('F-01', { 'ends lost': lost.length, 'late uses': late });
      expect({ lost, late }).toEqual({ lost: [], late: 0 });
      await use.stop();
    });
  });
});

/** Answers by the last word of their reason. */
const reasonsOf = (answers: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(answers).map(([answer, count]) => [answer.split('.').at(-1) ?? '', count]));
