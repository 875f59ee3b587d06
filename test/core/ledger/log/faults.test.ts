import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { recordBytesIn } from '../../../../src/core/ledger/proof/leaf.ts';
import { readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import { segmentPath } from '../../../../src/core/ledger/log/segment/segment-files.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { describeWith, stracePart } from '../../../parts.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { verdictIn } from './verified.ts';
import { thoroughly } from '../../../thoroughly.ts';

const folder = testFolders();

const LANES = 2;
/** More injections than a run makes system calls of one kind. */
const MAX_CALLS = 500;
const ROUNDS = 3;
/** Number of records before each of a run's two segments. The second starts after seven records per round and a checkpoint. */
const CARRIED = [0, ROUNDS * 7 + 1];
const script = join(import.meta.dirname, 'killed-ledger.ts');
const cache = join(folder(), 'compiled');
mkdirSync(cache);

/** A failing system call of the ledger. */
interface Fault {
  readonly call: 'fsync' | 'pwrite64' | 'ftruncate';
  readonly error: 'EIO' | 'ENOSPC';
  /** Whether all later calls of this kind fail too. */
  readonly lasts: boolean;
  /** Distance between the calls that are tried; each takes a run of its own. */
  readonly stride: number;
}

interface Run {
  readonly at: string;
  readonly lines: readonly string[];
  /** The writes, syncs and truncations of the ledger's files, as strace prints them. */
  readonly trace: readonly string[];
}

/** Runs the writer for some rounds; the n-th such call on the files of its ledger fails. */
async function runWith(strace: string, { call, error, lasts }: Fault, n: number): Promise<Run> {
  const at = folder();
  const log = join(folder(), 'trace');
  const injected = `inject=${call}:error=${error}:when=${n}${lasts ? '+' : ''}`;
  const tracing = ['-f', '--seccomp-bpf', '-qq', '-y', '-o', log, '-e', 'trace=fsync,pwrite64,ftruncate'];
  // strace counts and fails only calls on these paths: faults of the state file would hide those of the ledger.
  const paths = ledgerPaths(join(at, 'ledger')).flatMap((path) => ['-P', path]);
  const writer = [process.execPath, '--no-warnings', script, at, '1', String(ROUNDS)];
  return {
    at,
    lines: await linesOf(strace, [...tracing, ...paths, '-e', injected, ...writer]),
    trace: readFileSync(log, 'utf8').split('\n'),
  };
}

const ledgerPaths = (ledger: string): readonly string[] => [
  ledger,
  ...CARRIED.flatMap((size) => ['', '-journal', '-wal'].map((end) => `${segmentPath(ledger, size)}${end}`)),
];

const INJECTED = '(INJECTED)';
const isInjected = ({ trace }: Run): boolean => trace.some((line) => line.endsWith(INJECTED));

/** Whether a WAL is written again after its write or sync failed. SQLite would acknowledge that write and may lose it. */
function isRetried({ trace }: Run): boolean {
  const failed = trace.findIndex((line) => line.endsWith(INJECTED));
  const wal = /<([^>]*-wal)>/.exec(trace[failed] ?? '')?.[0];
  return wal !== undefined && trace.slice(failed + 1).some((line) => line.includes(' pwrite64(') && line.includes(wal));
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
async function problemOf(run: Run, { error }: Fault): Promise<string | null> {
  const { at, lines } = run;
  // A full disk is retried; an I/O error never is.
  if (error === 'EIO' && isRetried(run)) return 'wrote again after it broke';
  if (lines.filter((line) => line === 'fatal ledger').length > 1) return 'reported twice that it broke';
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

/** The result of a run whose n-th call failed. */
interface Finding {
  readonly n: number;
  readonly problem: string | null;
  /** Whether a caller that waited for its record was refused. */
  readonly isRefused: boolean;
}

/** Injects the fault at the first call, then at later ones, a stride apart, until there are no more calls. */
async function everyFinding(strace: string, fault: Fault): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  let next = 1;
  let isOver = false;
  const lane = async (): Promise<void> => {
    while (!isOver && next < MAX_CALLS) {
      const n = next;
      next += fault.stride;
      const run = await runWith(strace, fault, n);
      if (!isInjected(run)) isOver = true;
      else {
        const isRefused = numbersOf(run.lines, 'failed durable').length > 0;
        findings.push({ n, problem: await problemOf(run, fault), isRefused });
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return findings;
}

describeWith(stracePart(), 'a ledger whose disk fails', (strace) => {
  it.each<[string, Fault, boolean]>([
    ['fsync fails with EIO', { call: 'fsync', error: 'EIO', lasts: false, stride: thoroughly(1, 5) }, true],
    [
      'fsync fails with EIO from then on',
      { call: 'fsync', error: 'EIO', lasts: true, stride: thoroughly(1, 10) },
      true,
    ],
    ['pwrite64 fails with EIO', { call: 'pwrite64', error: 'EIO', lasts: false, stride: thoroughly(1, 19) }, true],
    [
      'pwrite64 fails with ENOSPC',
      { call: 'pwrite64', error: 'ENOSPC', lasts: false, stride: thoroughly(1, 31) },
      true,
    ],
    ['ftruncate fails with EIO', { call: 'ftruncate', error: 'EIO', lasts: false, stride: 1 }, false],
  ])(
    'loses nothing acknowledged, writes and acknowledges nothing once broken, and continues after a restart, when in each run %s',
    async (_name, fault, meetsRecords) => {
      const findings = await everyFinding(strace, fault);
      expect(findings.filter(({ problem }) => problem !== null)).toEqual([]);
      expect(findings.length).toBeGreaterThan(0);
      expect(findings.some(({ isRefused }) => isRefused)).toBe(meetsRecords);
    },
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

describeWith(stracePart(), 'a ledger whose disk has no room for a new segment', (strace) => {
  it('goes on in the old segment, and begins the next at a later checkpoint', async () => {
    const at = folder();
    // The first segment is full with one record, to which the checkpoint adds another.
    const next = segmentPath(join(at, 'ledger'), 2);
    const paths = ['', '-journal', '-wal'].flatMap((end) => ['-P', `${next}${end}`]);
    const inject = 'inject=pwrite64:error=ENOSPC:when=1';
    const tracing = ['-f', '--seccomp-bpf', '-qq', '-o', join(folder(), 'trace'), '-e', 'trace=pwrite64', ...paths];
    const writer = [process.execPath, '--no-warnings', join(import.meta.dirname, 'full-ledger.ts'), at];
    expect(await linesOf(strace, [...tracing, '-e', inject, ...writer])).toEqual([
      'checkpoint 2 old segment',
      'checkpoint 4 new segment',
      'closed',
    ]);
  });
});
