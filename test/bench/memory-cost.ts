import { setTimeout as delay } from 'node:timers/promises';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { opaContenders } from './cost-contenders.ts';
import type { Build, CostContender, Process } from './cost-contenders.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowedSoon } from './load.ts';
import { reuse } from './loads.ts';
import { memoryOf, MEMORY_PARTS, threadsOf } from './memory.ts';
import type { RemitUnderTest } from './remit-under-test.ts';
import { cpuMicroseconds } from './stage.ts';
import { vegeta } from './vegeta.ts';

const RATE = 1_000;
const MIN_LOAD_SECONDS = 10;
const SETTLED_MS = 3_000;
const IDLE_MS = 5_000;

/** When the memory of a process is read. */
export type Moment = 'idle' | 'after load';

export const resident = (moment: Moment): string => `resident, ${moment}`;
export const anonymous = (moment: Moment): string => `anonymous, ${moment}`;
const IDLE_TIME = 'processor time, idle';
const THREADS = 'threads';

/** The memory of each role of each build and of OPA: idle, and after a load at a fixed rate; and their processor time while idle. */
export async function measureMemory(bench: Bench, builds: readonly Build[]): Promise<void> {
  for (let round = 0; round < bench.effort.rounds; round += 1) {
    for (const build of round % 2 === 0 ? builds : builds.toReversed()) {
      await measureBuild(bench, build, { life: `memory-${round}`, isFirst: build === builds[0] });
    }
  }
}

interface Running {
  readonly contender: CostContender;
  readonly process: Process;
  /** Issuer of the tokens of its load; `null` where none asks it. */
  readonly issuer: RemitUnderTest | null;
}

async function measureBuild(
  bench: Bench,
  build: Build,
  { life, isFirst }: { readonly life: string; readonly isFirst: boolean },
): Promise<void> {
  const start = async (contender: CostContender, issuer?: RemitUnderTest | null): Promise<Running> => {
    const process = await contender.start(life);
    return { contender, process, issuer: issuer === undefined ? process.remit : issuer };
  };
  const embedded = await start(build.embedded);
  const exporting = await start(build.exporting);
  const authority = await start(build.authority, null);
  const sidecar = await start(build.sidecar, authority.process.remit);
  const { remit } = embedded.process;
  const others: Running[] = [];
  if (isFirst && remit !== null) for (const opa of opaContenders(bench, remit)) others.push(await start(opa, remit));
  // The authority is last, since its load is that of the sidecar.
  const all = [embedded, exporting, sidecar, ...others, authority];
  await measureIdle(bench, all);
  for (const running of all) {
    if (running.issuer !== null) await load(bench, running);
    addMemory(bench, running, 'after load');
  }
  for (const { process } of all) await process.end();
}

async function measureIdle(bench: Bench, all: readonly Running[]): Promise<void> {
  await delay(SETTLED_MS);
  for (const running of all) addMemory(bench, running, 'idle');
  const [before, beganMs] = [all.map(({ process }) => cpuMicroseconds(process.pid)), performance.now()];
  await delay(IDLE_MS);
  const seconds = (performance.now() - beganMs) / 1_000;
  for (const [index, { contender, process }] of all.entries()) {
    const spentMs = (cpuMicroseconds(process.pid) - (before[index] ?? NaN)) / 1_000;
    bench.results.costs.add({ contender: contender.name, measure: IDLE_TIME, unit: 'ms/s' }, spentMs / seconds);
    bench.results.costs.add({ contender: contender.name, measure: THREADS, unit: '' }, threadsOf(process.pid));
  }
}

async function load(bench: Bench, { contender, issuer, process }: Running): Promise<void> {
  const { collectorPort, effort, go, stage } = bench;
  if (issuer === null) return;
  const variant = process.remit === null ? ({ headers: 'text' } as const) : { tellsOutcomes: true };
  const envoy = await startEnvoy(stage, { socket: process.socket, collectorPort, ...variant });
  const calls = await reuse(bench, issuer);
  const { port } = envoy.address;
  await mustBeAllowedSoon(port, calls);
  const options = { binary: go.vegeta, port, rate: RATE, seconds: Math.max(effort.seconds, MIN_LOAD_SECONDS) };
  const of = { contender: contender.name, scenario: `memory: reuse at ${RATE}/s`, pid: process.pid };
  await measure(bench, of, () => vegeta(stage, calls, options));
  await envoy.stop();
}

function addMemory({ results, say }: Bench, { contender, process }: Running, moment: Moment): void {
  const memory = memoryOf(process.pid);
  const add = (measured: string, value: number): void =>
    results.costs.add({ contender: contender.name, measure: measured, unit: 'MiB' }, value);
  add(resident(moment), memory.resident);
  add(anonymous(moment), memory.anonymous);
  for (const part of MEMORY_PARTS) add(`${part}, ${moment}`, memory.parts[part]);
  const [all, own] = [memory.resident.toFixed(0), memory.anonymous.toFixed(0)];
  say(`${contender.name.padEnd(24)} ${moment.padEnd(11)} ${all} MiB resident, ${own} anonymous`);
}
