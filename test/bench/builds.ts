import { execFile } from 'node:child_process';
import { basename, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { measure, openBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { startFlood } from './issuer-flood.ts';
import { mustBeAllowed } from './load.ts';
import type { Load, Run } from './load.ts';
import { budgeted, cold, highRisk, newDecisions, newTokens, reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import type { Measure } from './results.ts';
import { residentMiB, Stage } from './stage.ts';
import { median } from './statistics.ts';
import { tasks } from './task-load.ts';
import { vegeta } from './vegeta.ts';
import { wrk } from './wrk.ts';

/**
 * Builds of Remit beside each other: `node test/bench/builds.ts CHECKOUT CHECKOUT … [--rounds N] [--seconds N] [--only SCENARIO,…]`.
 * `--sync-ms N` makes each sync of a build take N ms more, as on a slower disk. Each checkout has its own `dist/` (`npm run build` there), its own process and its own Envoy. They take turns within each round,
 * and every other round in reverse. A row gives the medians of a build, and the median of its ratios to the first build.
 */
interface Build {
  readonly name: string;
  readonly remit: RemitUnderTest;
  readonly port: number;
  /** With the default limits of the issuer, for the flood. */
  readonly limited: { readonly remit: RemitUnderTest; readonly port: number };
}

/** More than Remit answers in a second: no call of a pool may be repeated. */
const NEW_TOKENS_A_SECOND = 4_000;
const NEW_DECISIONS_A_SECOND = 8_000;
const WARM_SECONDS = 10;
const RATE = 1_000;
const BUDGETED_RATE = 500;
const FLOOD_WARM_MS = 2_000;

/** Makes what a run needs; what that returns is measured. */
type Scenario = (bench: Bench, build: Build) => Promise<() => Promise<Run>>;

/** Measurements by name. */
const scenarios: Readonly<Record<string, Scenario>> = {
  reuse: async (bench, build) => loop(bench, build, await reuse(bench, build.remit)),
  'high risk': async (bench, build) => loop(bench, build, await highRisk(bench, build.remit)),
  'with a budget': async (bench, build) => loop(bench, build, await budgeted(bench, build.remit)),
  'new token': async (bench, build) =>
    loop(bench, build, await newTokens(bench, build.remit, bench.effort.seconds * NEW_TOKENS_A_SECOND)),
  'new decision': async (bench, build) =>
    loop(bench, build, await newDecisions(bench, build.remit, bench.effort.seconds * NEW_DECISIONS_A_SECOND)),
  cold: async (bench, build) =>
    loop(bench, build, await cold(bench, build.remit, bench.effort.seconds * NEW_TOKENS_A_SECOND)),
  'short tasks': (bench, build) => Promise.resolve(() => wholeTasks(bench, build, 16)),
  'short tasks alone': (bench, build) => Promise.resolve(() => wholeTasks(bench, build, 1)),
  [`reuse at ${RATE}/s`]: async (bench, build) => atRate(bench, build, await reuse(bench, build.remit), RATE),
  [`reuse beside ${BUDGETED_RATE}/s with a budget`]: async (bench, build) => {
    const others = await budgeted(bench, build.remit);
    const load = await reuse(bench, build.remit, bench.domain.reporter);
    const [run, beside] = [atRate(bench, build, load, RATE), atRate(bench, build, others, BUDGETED_RATE)];
    return async () => {
      const [measured, { failed }] = await Promise.all([run(), beside()]);
      if (failed > 0) bench.say(`  ${failed} of the calls with a budget failed`);
      return measured;
    };
  },
  'reuse beside a flood at the issuer': async (bench, { name, limited: { remit, port } }) => {
    const load = await reuse(bench, remit, bench.domain.reporter);
    const end = await startFlood(bench, remit.issuerPort);
    await new Promise((settle) => setTimeout(settle, FLOOD_WARM_MS));
    return async () => {
      const before = { tokens: await remit.metric(ISSUED), ms: performance.now() };
      const run = await wrk(bench.stage, load, { port, seconds: bench.effort.seconds });
      const granted = (await remit.metric(ISSUED)) - before.tokens;
      bench.say(`  ${name}: ${((granted * 1_000) / (performance.now() - before.ms)).toFixed(0)} tokens/s granted`);
      await end();
      return run;
    };
  },
  'tokens issued': (bench, { remit }) =>
    Promise.resolve(async () => {
      const started = performance.now();
      const tokens = bench.effort.seconds * TOKENS_A_SECOND;
      await newTokens(bench, remit, tokens);
      const seconds = (performance.now() - started) / 1_000;
      const none = { failed: 0, cpuUs: null, p50Ms: NaN, p99Ms: NaN, p999Ms: NaN };
      return { ...none, requests: tokens, requestsPerSecond: tokens / seconds };
    }),
};

const ISSUED = 'remit_tokens_issued_total';
const TOKENS_A_SECOND = 400;

const loop =
  ({ stage, effort, say: tell }: Bench, { port }: Build, load: Load): (() => Promise<Run>) =>
  async () => {
    await mustBeAllowed(port, load);
    const run = await wrk(stage, load, { port, seconds: effort.seconds });
    if (load.isOnce === true && run.requests > load.calls.length) tell('  some calls were made a second time');
    return run;
  };

const wholeTasks = (bench: Bench, { name, port, remit }: Build, width: number): Promise<Run> =>
  tasks(bench, { name, port, from: remit, pids: [remit.pid] }, { width, seconds: bench.effort.seconds });

const atRate =
  ({ stage, go, effort }: Bench, { port }: Build, load: Load, rate: number): (() => Promise<Run>) =>
  () =>
    vegeta(stage, load, { binary: go.vegeta, port, rate, seconds: effort.seconds });

/** The environment of a process whose syncs take `ms` longer. Needs a C compiler. */
async function slowDisk({ folder }: Stage, ms: number): Promise<Readonly<Record<string, string>>> {
  if (ms === 0) return {};
  const library = join(folder, 'slow-sync.so');
  await promisify(execFile)('cc', ['-shared', '-fPIC', '-o', library, join(import.meta.dirname, 'slow-sync.c')]);
  return { LD_PRELOAD: library, SLOW_SYNC_US: String(ms * 1_000) };
}

async function startBuild(bench: Bench, checkout: string, index: number): Promise<Build> {
  const { stage, domain, collectorPort } = bench;
  const environment = await slowDisk(stage, syncMs);
  const start = async (kind: string, options: object): Promise<{ remit: RemitUnderTest; port: number }> => {
    const name = `build-${index}-${kind}`;
    const remit = await RemitUnderTest.start(stage, domain, { name, collectorPort, checkout, environment, ...options });
    const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
    const { port } = envoy.address;
    await wrk(stage, await reuse(bench, remit), { port, seconds: WARM_SECONDS });
    return { remit, port };
  };
  return {
    name: basename(checkout),
    ...(await start('open', {})),
    limited: await start('limited', { issuerLimits: {} }),
  };
}

const cell = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(value < 20 ? 2 : 0));

const MEASURES: readonly Measure[] = ['requestsPerSecond', 'p50Ms', 'p99Ms', 'cpuUs'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    'sync-ms': { type: 'string', default: '0' },
    only: { type: 'string', default: Object.keys(scenarios).join(',') },
  },
});
const syncMs = Number(values['sync-ms']);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const effort = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  tasks: 0,
  streams: [],
  roles: [],
  soakSeconds: 0,
  builds: [],
};
const stage = await Stage.open();
try {
  const bench = await openBench(stage, effort, say);
  const builds: Build[] = [];
  for (const [index, checkout] of positionals.entries()) builds.push(await startBuild(bench, resolve(checkout), index));
  const wanted = Object.entries(scenarios).filter(([name]) => values.only.split(',').includes(name));
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const [scenario, run] of wanted) {
      for (const build of round % 2 === 0 ? builds : builds.toReversed()) {
        const pid = scenario.includes('flood') ? build.limited.remit.pid : build.remit.pid;
        await measure(bench, { contender: build.name, scenario, pid }, await run(bench, build));
      }
    }
  }
  const base = builds[0]?.name ?? '';
  console.log(
    '| scenario | build | requests/s | p50 ms | p99 ms | CPU us | requests/s ratio | p99 ratio | CPU ratio |',
  );
  console.log('|---|---|--:|--:|--:|--:|--:|--:|--:|');
  for (const [scenario] of wanted) {
    for (const { name } of builds) {
      const figures = MEASURES.map((of) => cell(median(bench.results.values(name, scenario, of))));
      const ratios = (['requestsPerSecond', 'p99Ms', 'cpuUs'] as const).map((of) =>
        bench.results.ratio(of, [name, scenario], [base, scenario]).toFixed(3),
      );
      console.log(`| ${[scenario, name, ...figures, ...ratios].join(' | ')} |`);
    }
  }
  for (const { name, remit } of builds) console.log(`${name}: ${residentMiB(remit.pid).toFixed(0)} MiB resident`);
} finally {
  await stage.close();
}
