import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { testFolders } from '../../builders/test-folders.ts';
import { both, describeWith, envoyPart, postgresPart } from '../../parts.ts';
import { startCluster, type PostgresCluster } from '../../postgres/cluster.ts';
import { thoroughly } from '../../thoroughly.ts';
import { RealFleet, type SidecarParty } from './real-fleet.ts';
import { migrate } from './replicas.ts';
import { seen, titleOf } from './rows.ts';

const BUDGET = thoroughly(4_000, 2_000);
const CUT_OFF_MS = 10_000;
/** Uses at each sidecar before one is cut off: many enough that it is lent a share. */
const BEFORE = 400;
const folder = testFolders();

describeWith(both(envoyPart(), postgresPart()), 'failure matrix: a share that is cut off', ([envoy, binaries]) => {
  let cluster: PostgresCluster;
  let fleet: RealFleet;
  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await migrate(cluster);
    fleet = await RealFleet.start({ envoy, folder: join(folder(), 'fleet'), database: cluster.url });
  });
  afterAll(async () => {
    await fleet?.stop();
    await cluster?.close();
  });

  it(titleOf('D-28'), async () => {
    const { token } = await fleet.declare({ max_calls: BUDGET });
    const allowed: Record<SidecarParty, number> = { 'sidecar-1': 0, 'sidecar-2': 0 };
    const use = async (sidecar: SidecarParty): Promise<string> => {
      const answer = await fleet.call(sidecar, token).catch(() => 'no answer');
      if (answer === '200') allowed[sidecar] += 1;
      return answer;
    };
    const useUp = async (sidecar: SidecarParty): Promise<void> => {
      const answers = await fleet.flood(sidecar, { token, until: 'task.exhausted' });
      allowed[sidecar] += answers['200'] ?? 0;
    };
    const sum = (): number => allowed['sidecar-1'] + allowed['sidecar-2'];

    while (Math.min(...Object.values(allowed)) < BEFORE) await Promise.all([use('sidecar-1'), use('sidecar-2')]);
    const cutMs = performance.now();
    for (const link of fleet.links('sidecar-1')) link.set({ kind: 'held' }, 'up', 'down');
    // What it was lent it may use until its lease is over.
    const spending = (async () => {
      while ((await use('sidecar-1')) === '200') await delay(50);
    })();
    await useUp('sidecar-2');
    await spending;
    await delay(Math.max(0, CUT_OFF_MS - (performance.now() - cutMs)));
    const unused = BUDGET - sum();
    for (const link of fleet.links('sidecar-1')) link.heal();
    await fleet.ready('sidecar-1');
    await useUp('sidecar-1');
    // What it gave back before.
    await useUp('sidecar-2');
    seen('D-28', { 'of 4,000 not used while cut off': unused, 'not used afterwards': BUDGET - sum() });
    expect(unused).toBeGreaterThanOrEqual(0);
    expect(sum()).toBe(BUDGET);
  });
});
