import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import type { SourceMapPayload } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { SERVING_ALLOCATOR, SERVING_FLAGS } from '../../src/core/runtime/system/v8-flags.ts';
import { openBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import type { Load, Run } from './load.ts';
import { mustBeAllowedSoon } from './load.ts';
import { budgeted, cold, highRisk, messages, newDecisions, newTokens, reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { policiesWithoutHistory, startSidecar } from './sidecar-under-test.ts';
import { Stage } from './stage.ts';
import { tasks } from './task-load.ts';
import { wrk } from './wrk.ts';

/**
 * Where the time of a check goes: `node test/bench/profile.ts [--load NAME] [--seconds N] [--top N]
 * [--sidecar] [--without-history]` takes a CPU profile of
 * `remit serve` under a closed loop through Envoy and prints the functions and modules with the most self time, as shares of
 * the time that its main thread was busy; with `--sidecar` that of a sidecar, whose policies do not read the history, and with
 * `--without-history` that of an embedded process with the same policies. `npm run build` first; the README keeps what it printed before and after changes.
 */
const loads: Readonly<Record<string, (bench: Bench, remit: RemitUnderTest) => Promise<Load>>> = {
  reuse,
  decisions: (bench, remit) => newDecisions(bench, remit, 100_000),
  cold: (bench, remit) => cold(bench, remit, 40_000),
  'high-risk': highRisk,
  mcp: (bench, remit) => messages(bench, remit, 1_024),
  budget: budgeted,
  tokens: (bench, remit) => newTokens(bench, remit, 40_000),
};

/** Whole tasks, of which a request is one. */
const WHOLE_TASKS = 'short-tasks';

/** V8's profile format. Times are microseconds of the monotonic clock. */
interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
}

/** Of the built files, by their URLs; `null` where there is none. */
const maps = new Map<string, SourceMap | null>();

const { values } = parseArgs({
  options: {
    load: { type: 'string', default: 'reuse' },
    seconds: { type: 'string', default: '8' },
    top: { type: 'string', default: '30' },
    sidecar: { type: 'boolean', default: false },
    'without-history': { type: 'boolean', default: false },
  },
});
const makeLoad = loads[values.load];
if (makeLoad === undefined && values.load !== WHOLE_TASKS)
  throw new Error(`no load \`${values.load}\`: ${[...Object.keys(loads), WHOLE_TASKS].join(', ')}`);
const [seconds, top] = [Number(values.seconds), Number(values.top)];

const monotonicMicroseconds = (): number => Number(process.hrtime.bigint() / 1_000n);

const stage = await Stage.open();
try {
  const effort = { rounds: 1, seconds, tasks: 1, streams: [], roles: [], soakSeconds: 1, builds: [] };
  const bench = await openBench(stage, effort, (line) => void process.stderr.write(`${line}\n`));
  const folder = join(stage.folder, 'profiles');
  Object.assign(process.env, SERVING_ALLOCATOR);
  const flags = [...SERVING_FLAGS, '--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=500'];
  const { collectorPort } = bench;
  const { remit, issuer } = await profiled(bench, flags);
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const asked = { issuer, remit, port: envoy.address.port };
  await (
    await prepared(bench, asked)
  )();
  const measured = await prepared(bench, asked);
  const fromUs = monotonicMicroseconds();
  const run = await measured();
  const untilUs = monotonicMicroseconds();
  await remit.end();
  const profile = await mainProfile(folder);
  const selves = selfTimes(profile, { fromUs, untilUs });
  const busyUs = selves.reduce((sum, { us }) => sum + us, 0);
  process.stdout.write(
    `${values.load}: ${run.requestsPerSecond.toFixed(0)} checks/s, the main thread busy for ` +
      `${((busyUs * 100) / (untilUs - fromUs)).toFixed(0)} % of the time: ${(busyUs / run.requests).toFixed(0)} us a check\n`,
  );
  print('module', grouped(selves, moduleOf), { busyUs, requests: run.requests });
  print('function', grouped(selves, functionOf), { busyUs, requests: run.requests });
} finally {
  await stage.close();
}

/** A run of the load: of checks, or of whole tasks. */
async function prepared(
  bench: Bench,
  { issuer, remit, port }: { readonly issuer: RemitUnderTest; readonly remit: RemitUnderTest; readonly port: number },
): Promise<() => Promise<Run>> {
  if (makeLoad === undefined)
    return () => tasks(bench, { name: values.load, port, from: issuer, pids: [remit.pid] }, { seconds, width: 16 });
  const load = await makeLoad(bench, issuer);
  await mustBeAllowedSoon(port, load);
  return () => wrk(bench.stage, load, { port, seconds });
}

/** The process that is profiled, and that which issues its tokens. */
async function profiled(
  bench: Bench,
  flags: readonly string[],
): Promise<{ readonly remit: RemitUnderTest; readonly issuer: RemitUnderTest }> {
  if (values.sidecar) {
    const policies = await policiesWithoutHistory(bench, 'policies');
    const { authority, sidecar } = await startSidecar(bench, { policies, flags });
    return { remit: sidecar, issuer: authority };
  }
  const remit = await RemitUnderTest.start(bench.stage, bench.domain, {
    name: 'profiled',
    collectorPort: bench.collectorPort,
    flags,
    ...(values['without-history']
      ? { policies: await policiesWithoutHistory(bench, 'policies'), collectorPort: null }
      : {}),
  });
  return { remit, issuer: remit };
}

/** The profile of the main thread, which is the one with the longest life. */
async function mainProfile(folder: string): Promise<CpuProfile> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile'));
  const profiles = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile),
  );
  const [longest] = profiles.toSorted((a, b) => b.samples.length - a.samples.length);
  if (longest === undefined) throw new Error('no profile was written');
  return longest;
}

interface SelfTime {
  readonly frame: ProfileNode['callFrame'];
  readonly us: number;
}

/** Self time of every node between two instants, without idle time. */
function selfTimes(
  { nodes, samples, startTime, timeDeltas }: CpuProfile,
  { fromUs, untilUs }: { readonly fromUs: number; readonly untilUs: number },
): readonly SelfTime[] {
  const byNode = new Map<number, number>();
  let atUs = startTime;
  for (const [index, node] of samples.entries()) {
    atUs += timeDeltas[index] ?? 0;
    // A sample lasts until the next one.
    const us = timeDeltas[index + 1] ?? 0;
    if (atUs >= fromUs && atUs <= untilUs) byNode.set(node, (byNode.get(node) ?? 0) + us);
  }
  return nodes
    .filter(({ callFrame }) => callFrame.functionName !== '(idle)')
    .map(({ id, callFrame }) => ({ frame: callFrame, us: byNode.get(id) ?? 0 }));
}

/** The source of a frame of the bundled product, by the source map beside it; other URLs as they are. */
function sourceOf({ url, lineNumber, columnNumber }: ProfileNode['callFrame']): string {
  let map = maps.get(url);
  if (map === undefined) {
    const file = url.startsWith('file:') ? `${fileURLToPath(url)}.map` : '';
    map = existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload) : null;
    maps.set(url, map);
  }
  const entry = map?.findEntry(lineNumber, columnNumber);
  return entry !== undefined && 'originalSource' in entry ? new URL(entry.originalSource, url).href : url;
}

/** The room of our own code, the package of a dependency, or V8's own name. */
function moduleOf(frame: ProfileNode['callFrame']): string {
  const url = sourceOf(frame);
  const src = pathToFileURL(join(import.meta.dirname, '../../src/')).href;
  if (url.startsWith(src)) return `remit ${url.slice(src.length).split('/')[0] ?? ''}`;
  const [, inPackages] = url.split('/node_modules/');
  if (inPackages !== undefined) {
    return inPackages
      .split('/')
      .slice(0, inPackages.startsWith('@') ? 2 : 1)
      .join('/');
  }
  if (url.startsWith('node:')) return url;
  return url.startsWith('wasm:') ? 'wasm (Cedar)' : `native ${frame.functionName}`;
}

function functionOf(frame: ProfileNode['callFrame']): string {
  const file = frame.url.split('/').slice(-2).join('/');
  return `${frame.functionName === '' ? '(anonymous)' : frame.functionName} ${file === '' ? '' : `${file}:${frame.lineNumber + 1}`}`;
}

function grouped(
  selves: readonly SelfTime[],
  nameOf: (frame: ProfileNode['callFrame']) => string,
): readonly (readonly [string, number])[] {
  const sums = new Map<string, number>();
  for (const { frame, us } of selves) sums.set(nameOf(frame), (sums.get(nameOf(frame)) ?? 0) + us);
  return [...sums].toSorted(([, a], [, b]) => b - a).slice(0, top);
}

function print(
  what: string,
  rows: readonly (readonly [string, number])[],
  { busyUs, requests }: { readonly busyUs: number; readonly requests: number },
): void {
  process.stdout.write(`\n  share  us/check  ${what}\n`);
  for (const [name, us] of rows) {
    const share = ((us * 100) / busyUs).toFixed(1).padStart(5);
    process.stdout.write(`${share} %  ${(us / requests).toFixed(1).padStart(8)}  ${name}\n`);
  }
}
