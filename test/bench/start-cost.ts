import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Bench } from './bench.ts';
import { opaContenders } from './cost-contenders.ts';
import type { Build, CostContender } from './cost-contenders.ts';
import { sizeMiB } from './installation.ts';
import { cpuMicroseconds } from './stage.ts';

/** The measures of a start. The files of the program are in memory, except where they are `cold`. */
export const starts = {
  /** With an empty folder, as in a new pod. */
  cold: 'first start, cold file cache',
  first: 'first start',
  /** With what the first has left. */
  again: 'start',
} as const;

export const INSTALLED = 'installed, without Node.js';
/** The contender of what belongs to no role. */
export const COMMAND = 'remit';
const HELP = '`--help`';
const SETTLED_MS = 2_000;

const exec = promisify(execFile);

/** Start to ready, of each role of each build and of OPA, one process at a time; and what is installed. */
export async function measureStarts(bench: Bench, builds: readonly Build[]): Promise<void> {
  const { effort, results } = bench;
  for (const { name, installation } of builds) {
    const of = { contender: `${COMMAND}${name}`, unit: 'MiB' };
    results.costs.add({ ...of, measure: INSTALLED }, installation.installedMiB);
    results.costs.add({ ...of, measure: 'Node.js' }, installation.nodeMiB);
  }
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const build of round % 2 === 0 ? builds : builds.toReversed()) await measureBuild(bench, build, round);
  }
  const [build] = builds;
  if (build === undefined) return;
  const issuer = await build.embedded.start('issuer');
  if (issuer.remit !== null) {
    for (const opa of opaContenders(bench, issuer.remit)) {
      for (let round = 0; round < effort.rounds; round += 1) await measureContender(bench, opa, round);
      const [binary = ''] = opa.files;
      results.costs.add({ contender: opa.name, measure: INSTALLED, unit: 'MiB' }, await sizeMiB(binary));
    }
  }
  await issuer.end();
}

async function measureBuild(bench: Bench, build: Build, round: number): Promise<void> {
  const began = performance.now();
  await exec(build.installation.node, [join(build.installation.program, 'dist/main.js'), '--help']);
  record(
    bench,
    { contender: `${COMMAND}${build.name}`, measure: HELP, unit: 's' },
    (performance.now() - began) / 1_000,
  );
  await measureContender(bench, build.embedded, round);
  await measureContender(bench, build.exporting, round);
  await measureContender(bench, build.authority, round);
  await measureContender(bench, build.sidecar, round, build.otherAuthority);
}

/** @param beside what must run meanwhile, in the same lives */
async function measureContender(
  bench: Bench,
  contender: CostContender,
  round: number,
  beside?: CostContender,
): Promise<void> {
  const lives = [
    [`cold-${round}`, [starts.cold]],
    [`warm-${round}`, [starts.first, starts.again]],
  ] as const;
  for (const [life, measures] of lives) {
    const other = await beside?.start(life);
    // A server goes on with work of its start after it is ready.
    if (other !== undefined) await delay(SETTLED_MS);
    for (const measure of measures) await measureStart(bench, contender, { life, measure });
    await other?.end();
  }
}

async function measureStart(
  bench: Bench,
  contender: CostContender,
  { life, measure }: { readonly life: string; readonly measure: string },
): Promise<void> {
  const isCold = measure === starts.cold;
  if (isCold) await exec(bench.go.evict, contender.files);
  const process = await contender.start(life);
  const [processorUs, readMiB] = [cpuMicroseconds(process.pid), readFromDiskMiB(process.pid)];
  const of = { contender: contender.name };
  record(bench, { ...of, measure, unit: 's' }, process.readyMs / 1_000);
  record(bench, { ...of, measure: `${measure}: processor time`, unit: 's' }, processorUs / 1_000_000);
  if (isCold) record(bench, { ...of, measure: `${measure}: read from disk`, unit: 'MiB' }, readMiB);
  await process.end();
}

function record(
  { results, say }: Bench,
  of: { readonly contender: string; readonly measure: string; readonly unit: string },
  value: number,
): void {
  results.costs.add(of, value);
  say(`${of.contender.padEnd(24)} ${of.measure.padEnd(48)} ${value.toFixed(2).padStart(8)} ${of.unit}`);
}

/** @see proc_pid_io(5) */
const readFromDiskMiB = (pid: number): number =>
  Number(/^read_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]) / (1024 * 1024);
