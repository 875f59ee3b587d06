import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kept } from './bench.ts';
import type { Bench } from './bench.ts';
import { names, opaCommand } from './contenders.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { policiesWithoutHistory, startSidecar } from './sidecar-under-test.ts';
import { median } from './statistics.ts';
import { taskIntent, tasks } from './task-load.ts';
import type { AskedOfTasks } from './task-load.ts';

/** Tasks at a time: alone, which shows what one waits, and as many as fill both cores. */
const WIDTHS = [1, 16] as const;
const WARM_SECONDS = 8;
/** What those that issue nothing are called with, from the first again after the last: none of them remembers a token. */
const TOKENS = 2_048;
const SIDECAR = 'Remit, sidecar';

/** The scenario of so many tasks at a time. */
const tasksAtATime = (width: number): string => `short tasks, ${width} at a time`;
/** The figure: what Remit adds to a task, beside the same calls at an Envoy that asks nobody. */
const addedOf = (contender: string, width: number): string => `added to a short task, ${width} at a time: ${contender}`;

/** Contender and scenario of the throughput of short tasks. */
export const shortTasks = {
  embedded: [names.remit, tasksAtATime(16)],
  sidecar: [SIDECAR, tasksAtATime(16)],
} as const;

/** Names of the figures of what Remit adds to a short task, by where its calls are decided. */
export const addedToShortTasks = { embedded: addedOf(names.remit, 1), sidecar: addedOf(SIDECAR, 1) } as const;

/**
 * Whole tasks of an ordinary service: declared over mutual TLS, three calls through Envoy, completed. One process with everything recorded, and a
 * sidecar with its authority, in turn with OPA's decisions of the same calls and with an Envoy that asks nobody.
 */
export async function measureShortTasks(bench: Bench): Promise<void> {
  const { effort, say } = bench;
  const all = await contenders(bench);
  for (const asked of all) await tasks(bench, asked, { width: 16, seconds: Math.max(WARM_SECONDS, effort.seconds) });
  const added = new Map<string, number[]>();
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const width of WIDTHS) {
      const alone = new Map<string, number>();
      for (const asked of all) {
        const run = await tasks(bench, asked, { width, seconds: effort.seconds });
        kept(bench, { contender: asked.name, scenario: tasksAtATime(width) }, run);
        say(
          `  of which ${Object.entries(run.stages)
            .map(([stage, ms]) => `${stage} ${ms.toFixed(2)} ms`)
            .join(', ')}`,
        );
        alone.set(asked.name, run.p50Ms);
      }
      for (const { name } of all.filter(({ name }) => name !== names.envoy)) {
        const figure = addedOf(name, width);
        added.set(figure, [...(added.get(figure) ?? []), (alone.get(name) ?? NaN) - (alone.get(names.envoy) ?? NaN)]);
      }
    }
  }
  for (const [figure, values] of added) bench.results.note(figure, median(values), 'ms');
  for (const { from } of all) if (from instanceof RemitUnderTest) await from.end();
}

async function contenders(bench: Bench): Promise<readonly AskedOfTasks[]> {
  const { collectorPort, domain, go, stage } = bench;
  const policies = await policiesWithoutHistory(bench, 'policies-of-short-tasks');
  const remit = await RemitUnderTest.start(stage, domain, { name: 'short-tasks', collectorPort });
  const { authority, sidecar } = await startSidecar(bench, { policies, collectorPort });
  const [jwks, socket] = [join(stage.folder, 'short-tasks-jwks.json'), join(stage.folder, 'short-tasks-opa.sock')];
  await writeFile(jwks, await remit.keys());
  const opa = await stage.start(opaCommand(go, { socket, jwks }), { ready: 'ready' });
  const from = await remit.tokens(TOKENS, taskIntent(domain));
  const behind = async (socket: string | null, how: { readonly tellsOutcomes?: boolean; readonly headers?: 'text' }) =>
    (await startEnvoy(stage, { socket, collectorPort, ...how })).address.port;
  return [
    { name: names.envoy, port: await behind(null, {}), from, pids: [] },
    { name: names.opa, port: await behind(socket, { headers: 'text' }), from, pids: [opa.pid] },
    { name: names.remit, port: await behind(remit.socket, { tellsOutcomes: true }), from: remit, pids: [remit.pid] },
    {
      name: SIDECAR,
      port: await behind(sidecar.socket, { tellsOutcomes: true }),
      from: authority,
      pids: [sidecar.pid, authority.pid],
    },
  ];
}
