import { join } from 'node:path';
import { cachedEnvoy, ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { DevFleet, SIDECARS } from '../../src/dev/fleet/dev-fleet.ts';
import type { SidecarNumber } from '../../src/dev/fleet/dev-fleet.ts';
import { declareTask, useToken } from '../../src/dev/fleet/fleet-agent.ts';
import type { FleetTask } from '../../src/dev/fleet/fleet-agent.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { until } from '../until.ts';
import { cacheFolder, postgresBinaries } from '../parts/cache.ts';
import type { Bench } from './bench.ts';
import { policiesWithoutHistory } from './sidecar-under-test.ts';

/** Time before each fault, and after it. */
const BEFORE_MS = 3_000;
const AFTER_MS = 6_000;
const EACH_MS = 10;

/**
 * How long uses are denied while the database or an authority fails over: three nodes of PostgreSQL, two authorities and three sidecars with
 * their Envoys, all real processes; uses that settle nothing and uses that take from a budget, all the time, at each sidecar.
 */
export async function measureFailovers(bench: Bench): Promise<void> {
  const { results, say, stage } = bench;
  const folder = join(stage.folder, 'fleet');
  const policies = await policiesWithoutHistory(bench, 'policies-of-fleet');
  const fleet = await DevFleet.start({
    folder,
    policies,
    envoy: cachedEnvoy(cacheFolder, ENVOY_VERSION),
    postgres: postgresBinaries,
    remit: [process.execPath, join(import.meta.dirname, '../../dist/main.js')],
    ports: systemPorts,
    signal: stage.signal,
    progress: say,
  });
  stage.onClose(() => fleet.stop());
  const { nodes } = fleet;
  const back = async (name: (typeof nodes)['primary']): Promise<void> => nodes.rejoin(name);
  const faults = [
    {
      name: 'switch-over of the database',
      fail: async () => {
        const { from } = await fleet.failOver('stop');
        return () => back(from);
      },
    },
    {
      name: 'kill of the primary',
      fail: async () => {
        const { from } = await fleet.failOver('kill');
        return () => back(from);
      },
    },
    {
      name: 'kill of an authority',
      fail: async () => {
        await fleet.killAuthority(1);
        return async () => undefined;
      },
    },
  ];
  const plain = await declareTask(fleet, 2);
  const budgeted = await declareTask(fleet, 2, { max_calls: 1_000_000 });
  for (const { name, fail } of faults) {
    const uses = [startUses(fleet, plain), startUses(fleet, budgeted)] as const;
    await until(() => uses.every((use) => use.areAllAllowed()), { what: 'uses at all sidecars' });
    await new Promise((resolve) => setTimeout(resolve, BEFORE_MS));
    for (const use of uses) use.forget();
    const heal = await fail();
    await new Promise((resolve) => setTimeout(resolve, AFTER_MS));
    await until(() => uses.every((use) => use.areAllAllowed()), { what: 'uses at all sidecars' });
    const [plainMs, budgetMs] = await Promise.all([uses[0].stop(), uses[1].stop()]);
    results.note(`${name}: longest without a plain use`, plainMs, 'ms');
    results.note(`${name}: longest without a settled use`, budgetMs, 'ms');
    say(`${name}: ${plainMs.toFixed(0)} ms without a plain use, ${budgetMs.toFixed(0)} ms without a settled one`);
    await heal();
  }
  await fleet.stop();
}

interface Uses {
  /** Whether each sidecar has allowed one in the last 200 ms. */
  readonly areAllAllowed: () => boolean;
  /** Forgets gaps so far. */
  readonly forget: () => void;
  /** Ends them; gives the longest time in which a sidecar allowed none, in milliseconds. */
  readonly stop: () => Promise<number>;
}

/** Uses a task at each sidecar, one after another, all the time. */
function startUses(fleet: DevFleet, task: FleetTask): Uses {
  const stopping = new AbortController();
  const lastMs = new Map<SidecarNumber, number>();
  let longestMs = 0;
  const use = async (at: SidecarNumber): Promise<void> => {
    while (!stopping.signal.aborted) {
      const { status } = await useToken(fleet, at, task).catch(() => ({ status: 0 }));
      const nowMs = performance.now();
      if (status === 200) {
        longestMs = Math.max(longestMs, nowMs - (lastMs.get(at) ?? nowMs));
        lastMs.set(at, nowMs);
      }
      await new Promise((resolve) => setTimeout(resolve, EACH_MS));
    }
  };
  const using = SIDECARS.map(use);
  return {
    areAllAllowed: () => SIDECARS.every((at) => performance.now() - (lastMs.get(at) ?? -Infinity) < 200),
    forget: () => (longestMs = 0),
    stop: async () => {
      stopping.abort();
      await Promise.all(using);
      return longestMs;
    },
  };
}
