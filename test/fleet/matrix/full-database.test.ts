import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { scratch } from '../../builders/scratch.ts';
import { withClosers } from '../../builders/with-closers.ts';
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

/** Which part of a database has no room left. */
interface Row {
  readonly part: string;
  /** Where it is. */
  readonly at: string;
  /** Whether no lease is renewed then. */
  readonly takesLeases: boolean;
}

/** Where a file system is mounted for each row. */
const disks = [join(folder(), 'disk'), join(folder(), 'disk')] as const;
const mounts: string[] = [];

/** File systems of 96 MiB. */
const mounted = ((): Part<typeof disks> => {
  const part = { name: 'root, to mount a tmpfs', enable: 'sudo npm test' };
  try {
    for (const disk of disks) {
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m,mode=0700', 'tmpfs', disk], { stdio: 'ignore' });
      mounts.push(disk);
    }
    return { ...part, found: disks };
  } catch {
    return { ...part, found: null };
  }
})();

afterAll(() => {
  for (const disk of mounts) execFileSync('umount', ['-l', disk]);
  remove();
});

describeWith(mounted, 'failure matrix: a full database', ([first, second]) => {
  describeWith(both(envoyPart(), postgresPart()), 'with a real Envoy and PostgreSQL', ([envoy, binaries]) => {
    it.concurrent.each([
      // PostgreSQL ends where it cannot write its log.
      { what: 'of its log', part: 'pg_wal', at: first, takesLeases: true },
      { what: 'of its tables', part: 'base', at: second, takesLeases: false },
    ])(
      `${titleOf('F-01')}, $what`,
      withClosers(async (closers, { part, at, takesLeases }: Row) => {
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
        closers.push(() => fleet.stop());
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
        const refused = await fleet
          .ask('authority-1', `/tasks/${used.taskId}/complete?wait=committed`)
          .catch(() => null);
        let allowedMs = 0;
        if (takesLeases) {
          await until(() => !use.isAllowed(), { what: 'the lease ends' });
          allowedMs = Math.round(use.lastAllowedMs() - fullMs);
          seen('F-01', { 'ms of uses while it was full': allowedMs });
        }
        expect(takesLeases ? (refused?.status ?? 503) : 503).toBe(503);
        expect(allowedMs).toBeLessThanOrEqual(LEASE_MS + SWITCH_MS);

        rmSync(ballast);
        await node.sql('SELECT 1').catch(() => node.kill().then(() => node.start()));
        await fleet.complete(used.taskId);
        const endedMs = performance.now();
        await until(() => 'completed' in reasonsOf(use.denied()), {
          what: 'the sidecar has a lease and knows the end',
        });
        const rows = await node.sql(`SELECT id FROM remit.tasks WHERE state = 'completed'`);
        const kept = new Set(rows.map(({ id }) => String(id)));
        const lost = acknowledged.filter((id) => !kept.has(id));
        const late = use.lastAllowedMs() > endedMs ? 1 : 0;
        seen('F-01', { 'ends lost': lost.length, 'late uses': late });
        expect({ lost, late }).toEqual({ lost: [], late: 0 });
        await use.stop();
      }),
    );
  });
});

/** Answers by the last word of their reason. */
const reasonsOf = (answers: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(answers).map(([answer, count]) => [answer.split('.').at(-1) ?? '', count]));
