import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { describeWith, stracePart } from '../../parts.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { thoroughly } from '../../thoroughly.ts';
import { ledgerProblem, spentIn } from './state-file.ts';
import { seenAfter, seenOf, steps } from './steps.ts';
import { compiledOnce, writerWords } from './writer-process.ts';

const folder = testFolders();

const environment = compiledOnce(folder());

/** More than a life of a pair makes system calls of one kind. */
const EVERY = 600;
/** One in so many of the calls by which pages are written fails, and of the syncs from which on all fail. */
const [PAGE_STRIDE, LASTING_STRIDE] = thoroughly([1, 1], [7, 3]);

/** A life of a pair of tasks on a disk that failed: its state file and what it said. */
interface Life {
  readonly file: string;
  readonly lines: string[];
}

/** Runs a program under strace; what it said, its exit code, and how many faults it met. */
async function traced(strace: string, call: string, fault: string, words: readonly string[]) {
  const log = join(folder(), 'log');
  const tracing = ['-f', '--seccomp-bpf', '-qq', '-o', log, '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const child = spawn(strace, [...tracing, process.execPath, ...words], {
    env: environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [exit] = (await once(child, 'close')) as [number | null];
  const lines = Buffer.concat(chunks).toString().split('\n').filter(Boolean);
  return { lines, exit, faults: readFileSync(log, 'utf8').split('(INJECTED)').length - 1 };
}

/** A fault: what fails, how, and whether it does so from then on. */
interface Fault {
  readonly call: string;
  readonly error: string;
  readonly isLasting?: true;
  /** The first call that fails, and how many later the next one does. Default each. */
  readonly points?: readonly [number, number];
}

/** A life for each call that fails; how many a life makes without one. */
async function lived(strace: string, { call, error, isLasting, points = [1, 1] }: Fault) {
  const at = folder();
  const when = isLasting ? `${EVERY}+` : `${EVERY}+${EVERY}`;
  const script = join(import.meta.dirname, 'failing-writer.ts');
  const words = [
    '--no-warnings',
    script,
    at,
    call,
    ...[EVERY, ...points].map(String),
    ...(isLasting ? ['lasting'] : []),
  ];
  const { lines, exit, faults } = await traced(strace, call, `error=${error}:when=${when}`, words);
  const lives: Life[] = [];
  for (const line of lines.slice(0, -1)) {
    if (line.startsWith('disk ')) lives.push({ file: join(at, `${line.slice(5)}.db`), lines: [] });
    else lives.at(-1)?.lines.push(line);
  }
  return { lives, exit, faults, calls: Number(/^done (\d+)$/.exec(lines.at(-1) ?? '')?.[1]) };
}

const isAcknowledged = (line: string): boolean => /^1 \d+$/.test(line);

/** What is wrong with what was said on a disk that failed, and with what was left behind; opened here without a fault. */
function problemOf({ file, lines }: Life): string | null {
  const threw = lines.find((line) => line.startsWith('threw '));
  if (threw !== undefined) return threw;
  const broken = lines.indexOf('failed broken');
  if (broken !== -1 && lines.slice(broken).some((line) => line !== 'failed broken')) {
    return 'something was done after the store was broken';
  }
  const acknowledged = lines.filter(isAcknowledged).length;
  // The file may not have been made.
  if (!existsSync(file)) return acknowledged === 0 ? null : 'the state file is gone';
  const store = mustOpen(file);
  const seen = seenOf(store, 1, (taskId) => spentIn(file, taskId));
  store.close();
  const fits = [acknowledged, acknowledged + 1].some((count) => equal(seenAfter(count), seen));
  if (!fits) return `after ${acknowledged} acknowledged steps of ${steps.length} there is ${JSON.stringify(seen)}`;
  return ledgerProblem(file);
}

const equal = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Expected effect of a fault, besides that nothing is lost: the message of the store, and how often at least. */
interface Expected {
  readonly said: string | null;
  readonly times: number;
}
const eachStep = steps.length;
/** How often a page fails to be written at least: several in each step. */
const pages = Math.ceil((10 * eachStep) / PAGE_STRIDE);

describeWith(stracePart(), 'a state file whose disk fails', (strace) => {
  it.each<[string, Fault, Expected]>([
    ['fsync fails with EIO', { call: 'fsync', error: 'EIO' }, { said: 'failed broken', times: eachStep }],
    ['fsync fails with ENOSPC', { call: 'fsync', error: 'ENOSPC' }, { said: 'failed broken', times: eachStep }],
    [
      'fsync fails with EIO from some call on',
      { call: 'fsync', error: 'EIO', isLasting: true, points: [1, LASTING_STRIDE] },
      { said: 'failed broken', times: Math.floor(eachStep / LASTING_STRIDE) },
    ],
    [
      'pwrite64 fails with EIO',
      { call: 'pwrite64', error: 'EIO', points: [1, PAGE_STRIDE] },
      { said: 'failed broken', times: pages },
    ],
    [
      'pwrite64 fails with ENOSPC',
      { call: 'pwrite64', error: 'ENOSPC', points: [Math.ceil(PAGE_STRIDE / 2), PAGE_STRIDE] },
      { said: 'failed full', times: pages },
    ],
    ['ftruncate fails with EIO', { call: 'ftruncate', error: 'EIO' }, { said: null, times: 1 }],
    ['ftruncate fails with ENOSPC', { call: 'ftruncate', error: 'ENOSPC' }, { said: null, times: 1 }],
    ['unlink fails with EIO', { call: 'unlink', error: 'EIO' }, { said: null, times: 1 }],
    ['rename, which is not called, fails with EIO', { call: 'rename', error: 'EIO' }, { said: null, times: 0 }],
  ])(
    'loses nothing acknowledged and leaves nothing half done, when in each run %s',
    async (_name, fault, { said, times }) => {
      const { lives, exit, faults, calls } = await lived(strace, fault);
      expect(exit).toBe(0);
      const [first, stride] = fault.points ?? [1, 1];
      expect(lives).toHaveLength(Math.ceil((calls - first + 1) / stride));
      // Each life met its fault, and the calls in vain after it the next one.
      expect(faults).toBeGreaterThanOrEqual(fault.isLasting ? lives.length : 2 * lives.length);
      expect(lives.map(problemOf).filter((problem) => problem !== null)).toEqual([]);
      const failures = lives.flatMap(({ lines }) => [...new Set(lines.filter((line) => line.startsWith('failed')))]);
      expect([...new Set(failures)]).toEqual(said === null ? [] : [said]);
      expect(said === null ? lives.length : failures.length).toBeGreaterThanOrEqual(times);
    },
    600_000,
  );

  it('forgets nothing acknowledged, when write, by which an acknowledgement leaves, fails with EIO and the process ends', async () => {
    // `opened`, the first steps and the last.
    for (const n of [1, 2, 3, steps.length + 1]) {
      const file = join(folder(), 'state.db');
      const run = await traced(strace, 'write', `error=EIO:when=${n}`, writerWords(file, '1', '1'));
      expect(run.faults).toBe(1);
      expect(run.exit).not.toBe(0);
      expect(problemOf({ file, lines: run.lines })).toBeNull();
    }
  });
});
