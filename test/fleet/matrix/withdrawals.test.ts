import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { IDP, idpJwks, RECEIVER, withdrawals, type Withdrawing } from '../../builders/withdrawals.ts';
import { both, describeWith, envoyPart, faketimePart, postgresPart } from '../../parts.ts';
import { startCluster, type PostgresCluster } from '../../postgres/cluster.ts';
import { thoroughly } from '../../thoroughly.ts';
import { until } from '../../until.ts';
import { clockOff, removeLeftClocks } from './clock-off.ts';
import { RealFleet } from './real-fleet.ts';
import { migrate } from './replicas.ts';
import { seen, titleOf } from './rows.ts';

const folder = testFolders();

/** Issue 37, point 4: one authority declares, another one with a wrong clock is asked to take that away. */
describeWith(
  both(both(envoyPart(), postgresPart()), faketimePart()),
  titleOf('V-01'),
  ([[envoy, binaries], faketime]) => {
    let cluster: PostgresCluster;
    let fleet: RealFleet;
    let at: Withdrawing;

    beforeAll(async () => {
      cluster = await startCluster({ binaries, folder: folder() });
      await migrate(cluster);
      const place = join(folder(), 'fleet');
      await mkdir(place, { recursive: true, mode: 0o700 });
      await writeFile(join(place, 'idp.json'), JSON.stringify(idpJwks));
      fleet = await RealFleet.start({
        envoy,
        folder: place,
        database: cluster.url,
        sidecars: ['sidecar-1'],
        issuer: {
          // Each test stops tasks of the same agent.
          stoppedTaskWaitSeconds: 'off',
          operators: ['spiffe://acme.test/ns/ops/sa/desk'],
          signals: { transmitters: [{ issuer: IDP, audience: RECEIVER, jwks: 'idp.json' }] },
        },
      });
      const port = fleet.port('authority-2 issuer');
      at = { agent: fleet.agent, operator: fleet.operator, port, host: `localhost:${port}` };
    });
    afterAll(async () => {
      await fleet?.stop();
      await cluster?.close();
      removeLeftClocks();
    });

    // The clocks of the authority that declares and of the one that is asked differ by so much; `faketime` counts in seconds. At
    // 3 s and 1 h they once found 21 withdrawals without effect: the sample has both, one ahead and one behind.
    describe.each(thoroughly(['+3', '-3', '+1h', '-1h'], ['-3', '+1h']))('by %s', (by) => {
      beforeAll(async () => {
        await fleet.kill('authority-2');
        await fleet.serve('authority-2', { environment: clockOff(faketime, by), isReady: false });
      });

      it.each(withdrawals)('$name: has its effect on every later use', async ({ ask, says, reason }) => {
        const task = await fleet.declare();
        await until(async () => (await fleet.call('sidecar-1', task.token)) === '200', { what: 'a use is allowed' });
        const answer = await until(
          async () => {
            // Until it has caught up with the database after its start, it says that it cannot tell.
            const tried = await ask(at, task).catch(() => null);
            return tried !== null && tried.status !== 503 && tried;
          },
          { what: 'an answer' },
        );
        expect([answer.status, answer.body === '' ? {} : JSON.parse(answer.body)]).toEqual([
          answer.body === '' ? 202 : 200,
          expect.objectContaining(says),
        ]);
        const use = await until(
          async () => {
            const answered = await fleet.call('sidecar-1', task.token);
            // On a loaded machine Envoy may give up on a check, and a lease may be late.
            return !answered.startsWith('503') && answered;
          },
          { what: 'an answer that says what is true of the task' },
        );
        seen('V-01', { 'late uses': use === '200' ? 1 : 0 });
        expect(use).toMatch(new RegExp(`^40[13] ${reason}$`));
      });
    });
  },
);
