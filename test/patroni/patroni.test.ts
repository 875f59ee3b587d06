import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { testFolders } from '../builders/test-folders.ts';
import { RealFleet } from '../fleet/matrix/real-fleet.ts';
import { migrate } from '../fleet/matrix/replicas.ts';
import { seen, titleOf } from '../fleet/matrix/rows.ts';
import { describeWith, envoyPart, patroniPart, postgresPart } from '../parts.ts';
import { until } from '../until.ts';
import { startPatroni } from './patroni-cluster.ts';
import type { PatroniCluster } from './patroni-cluster.ts';

jest.setTimeout(900_000);

const folder = testFolders();
const CALLERS = 4;

describeWith(patroniPart(), 'a fleet on PostgreSQL under Patroni', (parts) => {
  describeWith(postgresPart(), 'with a real PostgreSQL', (binaries) => {
    describeWith(envoyPart(), 'and a real Envoy', (envoy) => {
      let cluster: PatroniCluster;
      let fleet: RealFleet;

      beforeAll(async () => {
        cluster = await startPatroni({ binaries, parts, folder: folder() });
        await migrate({ ownerUrl: await cluster.ownerUrl() });
        fleet = await RealFleet.start({
          envoy,
          folder: join(folder(), 'fleet'),
          database: cluster.url,
          sidecars: ['sidecar-1'],
        });
      });
      afterAll(async () => {
        await fleet?.stop();
        await cluster?.close();
      });

      /** Callers that declare one task after another and end it; each acknowledged end by its task. */
      const startEnding = () => {
        const stopping = new AbortController();
        const acknowledged = new Set<string>();
        let [lastMs, longestMs] = [performance.now(), 0];
        const end = async (at: 'authority-1' | 'authority-2'): Promise<void> => {
          const { taskId } = await fleet.declare({}, at);
          const reply = await fleet.ask(at, `/tasks/${taskId}/complete?wait=committed`);
          if (reply.status !== 200) return;
          acknowledged.add(taskId);
          const nowMs = performance.now();
          longestMs = Math.max(longestMs, nowMs - lastMs);
          lastMs = nowMs;
        };
        const calling = Array.from({ length: CALLERS }, async (_, n) => {
          while (!stopping.signal.aborted) {
            await end(n % 2 === 0 ? 'authority-1' : 'authority-2').catch(() => undefined);
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        });
        return {
          acknowledged,
          longestMs: () => longestMs,
          stop: async () => {
            stopping.abort();
            await Promise.all(calling);
          },
        };
      };

      it.each([
        { row: 'P-01' as const, title: titleOf('P-01'), lose: () => cluster.switchover() },
        {
          row: 'P-02' as const,
          title: titleOf('P-02'),
          lose: async () => cluster.killPostgres(await cluster.leader()),
        },
        {
          row: 'P-03' as const,
          title: titleOf('P-03'),
          lose: async () => {
            const old = await cluster.leader();
            await cluster.kill(old);
            await until(async () => (await cluster.leader()) !== old, { what: 'another leader' });
            cluster.run(old);
          },
        },
      ])('$title', async ({ row, title, lose }) => {
        const used = await fleet.declare();
        const other = await fleet.declare();
        const use = await fleet.watch('sidecar-1', used);
        const ending = startEnding();
        await until(() => ending.acknowledged.size > 20, { what: 'ends are acknowledged' });
        const [before, ended] = [await cluster.leader(), await fleet.watch('sidecar-1', other)];
        await lose();
        const then = ending.acknowledged.size;
        await until(() => ending.acknowledged.size > then + 20, { what: 'ends are acknowledged again' });
        await cluster.whole();
        await until(() => use.isAllowed(), { what: 'uses are allowed' });
        await fleet.complete(other.taskId);
        const endedMs = performance.now();
        await ending.stop();
        const rows = await cluster.sql(`SELECT id FROM remit.tasks WHERE state = 'completed'`);
        const kept = new Set(rows.map(({ id }) => String(id)));
        const lost = [...ending.acknowledged].filter((id) => !kept.has(id));
        const late = ended.lastAllowedMs() > endedMs ? 1 : 0;
        await Promise.all([use.stop(), ended.stop()]);
        const figures = {
          'ends acknowledged': ending.acknowledged.size,
          'ends lost': lost.length,
          'late uses': late,
          's without an acknowledgement': Math.round(ending.longestMs() / 100) / 10,
          's of denied uses': Math.round(use.longestDeniedMs() / 100) / 10,
        };
        seen(row, figures);
        process.stdout.write(`${title}: ${JSON.stringify({ ...figures, from: before, to: await cluster.leader() })}\n`);
        expect({ lost, late }).toEqual({ lost: [], late: 0 });
      });
    });
  });
});
