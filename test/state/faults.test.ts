import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { describeWith, stracePart } from '../parts.ts';
import { scratch } from '../builders/scratch.ts';
import { mustOpen } from '../builders/state-file.ts';
import { ledgerProblem, spentIn } from './state-file.ts';
import { seenAfter, seenOf, steps } from './steps.ts';
import { compiledOnce, writerWords } from './writer-process.ts';

const { folder, remove } = scratch();
afterAll(remove);

const environment = compiledOnce(folder());

/** How many processes run at a time: the machine has two cores, and they wait for the disk. */
const LANES = 3;
/** More injections than any run makes system calls of one kind. */
const MAX_CALLS = 1_000;

interface Run {
  readonly file: string;
  readonly lines: readonly string[];
  readonly exit: number | null;
  readonly isInjected: boolean;
}

/** One life of a pair of tasks, with one fault. */
async function runWith(strace: string, call: string, fault: string): Promise<Run> {
  const at = folder();
  const [file, log] = [join(at, 'state.db'), join(at, 'log')];
  const tracing = ['-f', '--seccomp-bpf', '-qq', '-o', log, '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const child = spawn(strace, [...tracing, process.execPath, ...writerWords(file, '1', '1')], {
    env: environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [exit] = (await once(child, 'close')) as [number | null];
  const lines = Buffer.concat(chunks).toString().split('\n').filter(Boolean);
  return { file, lines, exit, isInjected: readFileSync(log, 'utf8').includes('(INJECTED)') };
}

const isAcknowledged = (line: string): boolean => /^1 \d+$/.test(line);

/** What is wrong with what a faulty process said and left behind; opened here without a fault. */
function problemOf({ file, lines }: Run): string | null {
  const broken = lines.indexOf('failed broken');
  if (broken !== -1 && lines.slice(broken).some((line) => line !== 'failed broken')) {
    return 'something was done after the store was broken';
  }
  const acknowledged = lines.filter(isAcknowledged).length;
  // The process may have ended before the file was made.
  if (!existsSync(file)) return acknowledged === 0 ? null : 'the state file is gone';
  const store = mustOpen(file);
  const seen = seenOf(store, 1, (taskId) => spentIn(file, taskId));
  store.close();
  const fits = [acknowledged, acknowledged + 1].some((count) => equal(seenAfter(count), seen));
  if (!fits) return `after ${acknowledged} acknowledged steps of ${steps.length} there is ${JSON.stringify(seen)}`;
  return ledgerProblem(file);
}

const equal = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Runs with the fault at the first call, the second, and so on until there are no more. */
async function everyCall(strace: string, call: string, fault: (n: number) => string): Promise<readonly Run[]> {
  const runs: Run[] = [];
  let next = 1;
  let isOver = false;
  const lane = async (): Promise<void> => {
    while (!isOver && next < MAX_CALLS) {
      const run = await runWith(strace, call, fault(next++));
      if (!run.isInjected) isOver = true;
      else runs.push(run);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return runs;
}

/** What a fault must have led to, besides that nothing is lost: what the store said, how often at least, and not otherwise. */
interface Expected {
  readonly said: string | null;
  readonly times: number;
}
const eachStep = steps.length;

describeWith(stracePart(), 'a state file whose disk fails', (strace) => {
  it.each<[string, string, (n: number) => string, Expected]>([
    ['fsync fails with EIO', 'fsync', (n) => `error=EIO:when=${n}`, { said: 'failed broken', times: eachStep }],
    ['fsync fails with ENOSPC', 'fsync', (n) => `error=ENOSPC:when=${n}`, { said: 'failed broken', times: eachStep }],
    [
      'fsync fails with EIO from then on',
      'fsync',
      (n) => `error=EIO:when=${n}+`,
      { said: 'failed broken', times: eachStep },
    ],
    [
      'pwrite64 fails with EIO',
      'pwrite64',
      (n) => `error=EIO:when=${n}`,
      { said: 'failed broken', times: 5 * eachStep },
    ],
    [
      'pwrite64 fails with ENOSPC',
      'pwrite64',
      (n) => `error=ENOSPC:when=${n}`,
      { said: 'failed full', times: 5 * eachStep },
    ],
    ['ftruncate fails with EIO', 'ftruncate', (n) => `error=EIO:when=${n}`, { said: null, times: 1 }],
    ['ftruncate fails with ENOSPC', 'ftruncate', (n) => `error=ENOSPC:when=${n}`, { said: null, times: 1 }],
    ['unlink fails with EIO', 'unlink', (n) => `error=EIO:when=${n}`, { said: null, times: 1 }],
    [
      'write, by which acknowledgements leave, fails with EIO',
      'write',
      (n) => `error=EIO:when=${n}`,
      { said: null, times: eachStep },
    ],
    ['rename, which is not called, fails with EIO', 'rename', (n) => `error=EIO:when=${n}`, { said: null, times: 0 }],
  ])(
    'forgets nothing acknowledged and does nothing by halves, when each time %s',
    async (_name, call, fault, { said, times }) => {
      const runs = await everyCall(strace, call, fault);
      const problems = runs.map(problemOf).filter((problem) => problem !== null);
      expect(problems).toEqual([]);
      const failures = runs.flatMap(({ lines }) => [...new Set(lines.filter((line) => line.startsWith('failed')))]);
      expect([...new Set(failures)]).toEqual(said === null ? [] : [said]);
      expect(said === null ? runs.length : failures.length).toBeGreaterThanOrEqual(times);
      // A store says what it could not do; only where its words cannot leave does the process end by itself.
      if (call !== 'write') expect(runs.filter(({ exit }) => exit !== 0)).toEqual([]);
    },
    600_000,
  );
});
