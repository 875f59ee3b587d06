import { setTimeout } from 'node:timers/promises';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { answerTo } from './load.ts';
import type { Load } from './load.ts';
import { cold, reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { residentMiB } from './stage.ts';
import { wrk } from './wrk.ts';

/** The scenario of a number of live tasks. */
export const withTasks = (count: number): string => `reuse, ${count} live tasks`;

/** The figure: memory of a Remit with so many live tasks, each token of which was used for its own decision. */
export const residentWith = (count: number): string => `resident, ${count} live tasks and decisions`;

/** The figure: the same after two minutes without calls, in which V8 has given back what the load had left. */
export const restingWith = (count: number): string => `${residentWith(count)}, at rest`;

const REST_MS = 120_000;
const STEPS = [1, 1_000, 10_000, 100_000];
const TOKEN_SECONDS = 900;
const AT_A_TIME = 10_000;
const CONNECTIONS = 4;
/** Envoy's answer where a check was not answered in time. */
const TOO_LATE = 503;
const MOST_TRIES = 20;

/** The cost of live tasks: one Remit with more and more of them, each used once for its own decision. */
export async function measureTasks(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, say, stage } = bench;
  const options = { name: 'tasks', collectorPort, tokenSeconds: TOKEN_SECONDS };
  const remit = await RemitUnderTest.start(stage, domain, options);
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const { port } = envoy.address;
  await wrk(stage, await reuse(bench, remit), { port, seconds: effort.seconds });
  let live = 0;
  for (const step of STEPS.filter((count) => count <= effort.tasks)) {
    while (live < step) {
      const count = Math.min(AT_A_TIME, step - live);
      await useEach(await cold(bench, remit, count), port);
      live += count;
      if (step > AT_A_TIME) say(`  ${live} live tasks, ${residentMiB(remit.pid).toFixed(0)} MiB resident`);
    }
    const repeated = await reuse(bench, remit);
    for (let round = 0; round < effort.rounds; round += 1) {
      await measure(bench, { contender: 'Remit', scenario: withTasks(step), pid: remit.pid }, () =>
        wrk(stage, repeated, { port, seconds: effort.seconds }),
      );
    }
    bench.results.note(residentWith(step), residentMiB(remit.pid), 'MiB');
  }
  if (live > AT_A_TIME) {
    say('  two minutes of rest');
    await setTimeout(REST_MS);
    bench.results.note(restingWith(live), residentMiB(remit.pid), 'MiB');
  }
  await remit.end();
}

/** Makes every call of a load once, and repeats only late ones. Throws where one is not allowed. */
async function useEach(load: Load, port: number): Promise<void> {
  const calls = load.calls.values();
  const worker = async (): Promise<void> => {
    for (const call of calls) {
      let answer = await answerTo(port, load, call);
      for (let again = 0; answer.status === TOO_LATE && again < MOST_TRIES; again += 1) {
        answer = await answerTo(port, load, call);
      }
      if (answer.status !== 200) throw new Error(`\`${call.path}\` is not allowed: ${answer.status} ${answer.text}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}
