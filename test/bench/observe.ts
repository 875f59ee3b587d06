import { cp, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { dayOf } from '../../src/core/runtime/day.ts';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowedSoon } from './load.ts';
import type { Load } from './load.ts';
import { reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import type { Domain } from './remit-under-test.ts';
import { wrk } from './wrk.ts';

const CONTENDER = 'Remit';

/** Contender and scenario of what observing is compared with, and of each kind of observed call. */
export const observing = {
  enforced: [CONTENDER, 'enforced, allowed'],
  allowed: [CONTENDER, 'observed, would be allowed'],
  denied: [CONTENDER, 'observed, would be denied: outside the intent'],
  unknown: [CONTENDER, 'observed, would be denied: not in the catalog'],
} as const;

type Kind = keyof typeof observing;

const WARM_SECONDS = 5;
/** The ratio within a round moves by a few percent on a shared machine: more rounds than those of other sections. */
const ROUNDS_MORE = 2;

/** Where each kind of call goes: to what its token is for, or to something else. */
const PATHS: Readonly<Record<Kind, string | null>> = {
  enforced: null,
  allowed: null,
  denied: '/v1/files',
  unknown: '/v2/files/report',
};

/**
 * What observing costs a call: repeated uses of the tokens of an agent that is enforced, and of one that is observed, in turn, by the same process
 * through the same Envoy. Of the observed agent calls that would be allowed, and that would be denied with and without an action of the catalog.
 */
export async function measureObserving(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, stage } = bench;
  const policies = await observingPolicies(stage.folder, domain);
  const remit = await RemitUnderTest.start(stage, domain, { collectorPort, policies, name: 'observe' });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const { port } = envoy.address;
  const kinds = Object.keys(observing) as readonly Kind[];
  const loads = new Map<Kind, Load>();
  for (const kind of kinds) loads.set(kind, await loadOf(bench, remit, kind));
  for (const load of loads.values()) {
    await mustBeAllowedSoon(port, load);
    await wrk(stage, load, { port, seconds: WARM_SECONDS });
  }
  for (let round = 0; round < effort.rounds * ROUNDS_MORE; round += 1) {
    // Each second round goes the other way.
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const load = loads.get(kind);
      if (load === undefined) continue;
      const [contender, scenario] = observing[kind];
      await measure(bench, { contender, scenario, pid: remit.pid }, () =>
        wrk(stage, load, { port, seconds: effort.seconds }),
      );
    }
  }
  for (const kind of kinds.slice(1)) {
    const rate = bench.results.ratio('requestsPerSecond', observing[kind], observing.enforced);
    const cost = bench.results.ratio('cpuUs', observing[kind], observing.enforced);
    bench.say(`${observing[kind][1]}: ${rate.toFixed(3)} of the throughput, ${cost.toFixed(3)} of the processor time`);
  }
  await remit.end();
}

async function loadOf(bench: Bench, remit: RemitUnderTest, kind: Kind): Promise<Load> {
  const { planner, reporter } = bench.domain;
  const load = await reuse(bench, remit, kind === 'enforced' ? reporter : planner);
  const path = PATHS[kind];
  return path === null ? load : { ...load, calls: load.calls.map(({ token }) => ({ path, token })) };
}

/** The shipped policies, under which one agent is observed at one server. */
async function observingPolicies(folder: string, { planner }: Domain): Promise<string> {
  const policies = join(folder, 'observing');
  await cp(resolve(import.meta.dirname, '../../cedar-policies'), policies, { recursive: true });
  const entry = {
    id: 'bench',
    agents: [planner.svid.id],
    servers: ['files'],
    until: dayOf(Date.now() + 20 * 86_400_000),
    owner: 'bench',
    because: 'a measurement',
  };
  await writeFile(join(policies, 'enforcement.yaml'), JSON.stringify({ observe: [entry] }));
  return policies;
}
