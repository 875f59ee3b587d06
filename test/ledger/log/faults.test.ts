import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { recordBytesIn } from '../../../src/ledger/leaf.ts';
import { readLog } from '../../../src/ledger/log/log-reader.ts';
import { isStoreFailure } from '../../../src/sqlite/store-failure.ts';
import { describeWith, stracePart } from '../../parts.ts';
import { scratch } from '../../builders/scratch.ts';
import { verdictIn } from './verified.ts';
import { thoroughly } from '../../thoroughly.ts';

const { folder, remove } = scratch();
afterAll(remove);

const LANES = 2;
/** One in so many system calls fails, since each is a run of its own; of those that write a commit makes many. */
const STRIDES: Readonly<Record<string, number>> = thoroughly({}, { fsync: 2, pwrite64: 3 });
/** More injections than a run makes system calls of one kind. */
const MAX_CALLS = 500;
const script = join(import.meta.dirname, 'killed-ledger.ts');
const cache = join(folder(), 'compiled');
mkdirSync(cache);

interface Run {
  readonly at: string;
  readonly lines: readonly string[];
  readonly isInjected: boolean;
}

/** Two rounds of the writer with one fault; a third process then continues without one. */
async function runWith(strace: string, call: string, fault: string): Promise<Run> {
  const at = folder();
  const log = join(folder(), 'trace');
  const tracing = ['-f', '--seccomp-bpf', '-qq', '-o', log, '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const lines = await linesOf(strace, [...tracing, process.execPath, '--no-warnings', script, at, '1', '2']);
  return { at, lines, isInjected: readFileSync(log, 'utf8').includes('(INJECTED)') };
}

async function linesOf(command: string, words: readonly string[]): Promise<readonly string[]> {
  const child = spawn(command, words, {
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  return Buffer.concat(chunks).toString().split('\n').filter(Boolean);
}

const numbersOf = (lines: readonly string[], what: string): readonly number[] =>
  lines.filter((line) => line.startsWith(`${what} `)).map((line) => Number(line.split(' ')[1]));

/** What is wrong with the output and the files of a faulty process, checked by a process without a fault. */
async function problemOf({ at, lines }: Run): Promise<string | null> {
  const fatal = lines.indexOf('fatal ledger');
  if (fatal !== -1 && lines.slice(fatal).some((line) => line.startsWith('durable')))
    return 'acknowledged after it broke';
  if (!existsSync(join(at, 'ledger'))) return numbersOf(lines, 'durable').length === 0 ? null : 'the ledger is gone';
  const after = await linesOf(process.execPath, ['--no-warnings', script, at, '5', '1']);
  if (after.at(-1) !== 'closed' || numbersOf(after, 'durable').length !== 1)
    return `not gone on with: ${after.join(', ')}`;
  const held = readLog(join(at, 'ledger'), (log) =>
    [...log.leaves()].map(
      ({ bytes }) => JSON.parse(Buffer.from(recordBytesIn(bytes)).toString()) as Record<string, unknown>,
    ),
  );
  if (held === null || isStoreFailure(held)) return 'it cannot be read';
  const uses = new Set(held.map(({ decisionId }) => decisionId));
  const lost = numbersOf(lines, 'durable').find((id) => !uses.has(`use-${id}`));
  if (lost !== undefined) return `durable use ${lost} is lost`;
  for (const n of numbersOf(lines, 'issued')) {
    const times = held.filter(({ kind, task }) => kind === 'end' && Number(String(task).slice(-12)) === n).length;
    if (times !== 1) return `the record of task ${n} is there ${times} times`;
  }
  const key = after[0]?.split(' ')[1] ?? '';
  const verdict = verdictIn(join(at, 'ledger'), { key, anchors: join(at, 'checkpoints.txt') });
  return verdict.kind === 'sound' && verdict.bare === null ? null : JSON.stringify(verdict);
}

/** Injects the fault at the first call, then at the second, and so on until there are no more calls. */
async function everyCall(
  strace: string,
  call: string,
  fault: (n: number) => string,
): Promise<readonly (readonly [number, string | null])[]> {
  const runs: (readonly [number, string | null])[] = [];
  let next = 1;
  let isOver = false;
  const lane = async (): Promise<void> => {
    while (!isOver && next < MAX_CALLS) {
      const n = next;
      next += STRIDES[call] ?? 1;
      const run = await runWith(strace, call, fault(n));
      if (!run.isInjected) isOver = true;
      else runs.push([n, await problemOf(run)]);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return runs;
}

describeWith(stracePart(), 'a ledger whose disk fails', (strace) => {
  it.each<[string, string, (n: number) => string]>([
    ['fsync fails with EIO', 'fsync', (n) => `error=EIO:when=${n}`],
    ['fsync fails with EIO from then on', 'fsync', (n) => `error=EIO:when=${n}+`],
    ['pwrite64 fails with EIO', 'pwrite64', (n) => `error=EIO:when=${n}`],
    ['pwrite64 fails with ENOSPC', 'pwrite64', (n) => `error=ENOSPC:when=${n}`],
    ['ftruncate fails with EIO', 'ftruncate', (n) => `error=EIO:when=${n}`],
  ])(
    'loses nothing acknowledged, acknowledges nothing once broken, and continues after a restart, when in each run %s',
    async (_name, call, fault) => {
      const runs = await everyCall(strace, call, fault);
      expect(runs.filter(([, problem]) => problem !== null)).toEqual([]);
      expect(runs.length).toBeGreaterThan(0);
    },
    300_000,
  );
});

describeWith(stracePart(), 'a ledger whose disk is slow', (strace) => {
  it('shares its syncs among waiting records, and refuses those beyond its queue', async () => {
    const at = folder();
    const log = join(folder(), 'trace');
    const slow = ['-e', 'trace=fsync', '-e', 'inject=fsync:delay_enter=200000'];
    const crowd = join(import.meta.dirname, 'crowded-ledger.ts');
    const words = [
      '-f',
      '--seccomp-bpf',
      '-qq',
      '-o',
      log,
      ...slow,
      process.execPath,
      '--no-warnings',
      crowd,
      at,
      '5000',
    ];
    expect(await linesOf(strace, words)).toEqual(['written 4096 refused 904']);
    // 256 records a commit, plus some syncs for the creation of the file and for checkpoints. One sync for each record would be 4,096.
    expect(readFileSync(log, 'utf8').match(/fsync\(/g)?.length ?? 0).toBeLessThan(60);
  });
});
