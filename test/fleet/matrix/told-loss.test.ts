import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { withClosers } from '../../builders/with-closers.ts';
import type { Closers } from '../../builders/with-closers.ts';
import { ran } from '../../e2e/process.ts';
import { both, describeWith, envoyPart, postgresPart } from '../../parts.ts';
import { startPostgres } from '../../postgres/postgres.ts';
import { until } from '../../until.ts';
import { migrate } from './replicas.ts';
import { RealFleet } from './real-fleet.ts';
import type { AuthorityParty } from './real-fleet.ts';
import { seen, titleOf } from './rows.ts';

jest.setTimeout(600_000);

const folder = testFolders();

const AUTHORITIES: readonly AuthorityParty[] = ['authority-1', 'authority-2'];

// Issue 37, point 12.
describeWith(both(envoyPart(), postgresPart()), 'failure matrix: a loss is told', ([envoy, binaries]) => {
  /** A fleet on a database with a backup, both authorities of which have seen an end that the backup lacks. */
  async function withBackup(closers: Closers) {
    const node = await startPostgres({ binaries, folder: folder() });
    closers.push(() => node.kill());
    const database = `postgres://postgres@/postgres?host=${node.sockets}:${node.port}`;
    await migrate({ ownerUrl: database, role: 'postgres' });
    const fleet = await RealFleet.start({
      envoy,
      folder: join(folder(), 'fleet'),
      database,
      sidecars: ['sidecar-1'],
      configure: (party) => (party.startsWith('authority') ? { durability: 'single' } : {}),
    });
    closers.push(() => fleet.stop());
    const { token, taskId } = await fleet.declare();
    await until(async () => (await fleet.call('sidecar-1', token)) === '200', { what: 'a use is allowed' });
    await node.stop();
    const backup = `${node.data}-backup`;
    execFileSync('cp', ['-a', node.data, backup]);
    await node.start();
    await fleet.complete(taskId, { wait: 'committed' });
    // The issuer answers 503 with `retry-after` until the authority has found the database again.
    const later = await until(() => fleet.declare({}, 'authority-2').catch(() => undefined), {
      what: 'a task of the second authority after the restart of the database',
    });
    // Both have seen the end.
    await fleet.ready('authority-1');
    await fleet.ready('authority-2');
    const putBack = async (): Promise<void> => {
      await node.stop();
      await rm(node.data, { recursive: true });
      execFileSync('mv', [backup, node.data]);
      await node.start();
    };
    return { fleet, taskId, later, putBack };
  }

  it(
    titleOf('D-20'),
    withClosers(async (closers) => {
      const { fleet, taskId, later, putBack } = await withBackup(closers);
      await putBack();
      const stateAt = async (at: AuthorityParty, id: string): Promise<string> => {
        const reply = await fleet.ask(at, `/tasks/${id}`, { method: 'GET' }).catch(() => null);
        return reply === null ? 'none' : `${reply.status} ${/"state":"(\w+)"/.exec(reply.body)?.[1] ?? ''}`.trim();
      };
      const wrong: string[] = [];
      const isNamed = async (at: AuthorityParty): Promise<boolean> => {
        for (const id of [taskId, later.taskId]) {
          const answer = await stateAt(at, id);
          if (answer !== 'none' && !answer.startsWith('503')) wrong.push(`${at} ${answer}`);
        }
        const readiness = await fleet.readiness(at);
        return readiness.includes('database-lost-commits') && readiness.includes('remit restore --config');
      };
      for (const at of AUTHORITIES)
        await until(() => isNamed(at), { what: `${at} says in /readyz what happened`, withinMs: 60_000 });
      seen('D-20', { 'answers from the older copy': wrong.length });
      expect(wrong).toEqual([]);
      const admins = AUTHORITIES.flatMap((at) => ['--admin', `http://127.0.0.1:${fleet.port(at)}`]);
      const shown = await ran(['fleet', ...admins]);
      expect(shown.out).toMatch(/database-lost-commits: the database lacks .*remit restore --config/);
      const { database: report } = JSON.parse((await ran(['fleet', ...admins, '--json'])).out);
      expect(report).toMatchObject({ cause: 'database-lost-commits' });
      for (const at of AUTHORITIES) {
        const metrics = await (await fetch(`http://127.0.0.1:${fleet.port(at)}/metrics`)).text();
        expect(metrics).toContain('remit_dependency_up{name="database-lost-commits"} 0');
        // The log follows the readiness within the second in which the gates are looked at.
        await until(
          () =>
            /database-lost-commits: the database lacks/.test(`${fleet.process(at).err()}${fleet.process(at).out()}`),
          {
            what: `${at} says in its log what happened`,
          },
        );
        expect(await fleet.readiness(at)).not.toContain('has taken no commit');
      }
      // The sidecar is told too, and denies.
      await until(async () => (await fleet.readiness('sidecar-1')).includes('database lacks'), {
        what: 'the sidecar says why no authority serves it',
      });
      expect(await fleet.call('sidecar-1', later.token)).toMatch(/^503/);
      // So does one that starts now.
      await fleet.kill('authority-2');
      await fleet.serve('authority-2', {
        isReady: false,
        says: /start-waits .*database-lost-commits: the database lacks/,
      });
      expect(await fleet.readiness('authority-2')).toMatch(/^503 database-lost-commits: waiting: the database lacks/);
    }),
  );

  it(
    `${titleOf('D-20')}, also if they start after it, and only their ledgers have what is missing`,
    withClosers(async (closers) => {
      const { fleet, putBack } = await withBackup(closers);
      for (const at of AUTHORITIES) {
        const { child, exit } = fleet.process(at);
        // Its ledger takes what waits.
        child.kill('SIGTERM');
        await exit;
      }
      await putBack();
      const says = /start-waits .*database-lost-commits: the database lacks record \d+.*remit restore --config/;
      for (const at of AUTHORITIES) {
        await fleet.serve(at, { isReady: false, says });
        expect(await fleet.readiness(at)).toMatch(/^503 database-lost-commits: waiting: the database lacks/);
        expect(fleet.process(at).child.exitCode).toBeNull();
      }
    }),
  );
});
