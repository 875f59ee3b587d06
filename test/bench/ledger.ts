import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { LogReader } from '../../src/store/ledger/log-reader.ts';
import type { LogThread } from '../../src/store/ledger/log-thread.ts';
import { isStoreFailure } from '../../src/store/store-failure.ts';
import { settingsIn } from '../store/ledger/logs.ts';
import { scratch } from '../store/samples.ts';
import { LedgerLoad, nobody, type Found } from './ledger-load.ts';
import { median, pairedRatio } from './statistics.ts';

/**
 * What a record costs the thread of the ledger, and what it costs to find it again:
 *
 * ```
 * node test/bench/ledger.ts                    # this checkout
 * node test/bench/ledger.ts ../before .        # two of them, in turns; the ratios are of the last to the first
 * ```
 *
 * Processor time is that of the thread alone, from `/proc`; bytes and calls of writing are those of the process, which does
 * nothing else meanwhile. Each figure is the median of the rounds.
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '9' },
    large: { type: 'string', default: '250000' },
  },
});
const rounds = Number(values.rounds);
/** Records of one measurement. */
const TURN = 10_000;
const SMALL_BYTES = 4 * 1024 ** 2;
const LARGE_BYTES = 256 * 1024 ** 2;
const checkouts = positionals.length === 0 ? ['.'] : positionals;

const { folder, remove } = scratch();

interface Contender {
  readonly name: string;
  readonly thread: LogThread;
  readonly ledger: string;
  readonly taskFile: string;
  readonly open: (folder: string) => LogReader;
}

const tasksOfProcess = (): ReadonlySet<string> => new Set(readdirSync('/proc/self/task'));

async function contender(checkout: string, segmentBytes: number): Promise<Contender> {
  const room = pathToFileURL(join(resolve(checkout), 'src/store/ledger/')).href;
  const { LogThread: Thread } = (await import(
    `${room}log-thread.ts`
  )) as typeof import('../../src/store/ledger/log-thread.ts');
  const { LogReader: Reader } = (await import(
    `${room}log-reader.ts`
  )) as typeof import('../../src/store/ledger/log-reader.ts');
  const settings = settingsIn(folder(), {
    segment: { maxBytes: segmentBytes, maxAgeMs: 86_400_000 },
    retain: { maxBytes: 1024 ** 4, maxAgeMs: 86_400_000 },
  });
  const before = tasksOfProcess();
  const thread = await Thread.open(
    { settings, fileId: 'f'.repeat(32) },
    { onFatal: ({ detail }) => process.stderr.write(`${detail}\n`), onCheckpoint: () => undefined },
  );
  if (isStoreFailure(thread)) throw new Error(thread.detail);
  const own = [...tasksOfProcess()].find(
    (id) => !before.has(id) && readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('Worker'),
  );
  return {
    name: checkout,
    thread,
    ledger: settings.folder,
    taskFile: `/proc/self/task/${own ?? ''}/schedstat`,
    open: (at) => {
      const reader = Reader.open(at);
      if (reader === null || isStoreFailure(reader)) throw new Error('unread');
      return reader;
    },
  };
}

const cpuNs = (taskFile: string): number => Number(readFileSync(taskFile, 'utf8').split(' ')[0]);
const written = (): { readonly calls: number; readonly bytes: number } => {
  const lines = new Map(
    readFileSync('/proc/self/io', 'utf8')
      .split('\n')
      .map((line) => line.split(': ') as [string, string]),
  );
  return { calls: Number(lines.get('syscw')), bytes: Number(lines.get('wchar')) };
};

interface Cost {
  readonly cpuUs: number;
  readonly calls: number;
  readonly bytes: number;
  readonly wallMs: number;
}

type Batches = readonly ReturnType<LedgerLoad['next']>[];

async function costOf({ thread, taskFile }: Contender, batches: Batches): Promise<Cost> {
  const [cpu, before, beganMs] = [cpuNs(taskFile), written(), performance.now()];
  for (const { records } of batches) {
    const failure = await thread.appendRecords(records);
    if (failure !== null) throw new Error(failure.detail);
  }
  const [spent, after] = [cpuNs(taskFile) - cpu, written()];
  const count = batches.reduce((sum, { records }) => sum + records.length, 0);
  return {
    cpuUs: spent / 1_000 / count,
    calls: (after.calls - before.calls) / count,
    bytes: (after.bytes - before.bytes) / count,
    wallMs: (performance.now() - beganMs) / batches.length,
  };
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function report(what: string, names: readonly string[], costs: ReadonlyMap<string, readonly Cost[]>): void {
  for (const name of names) {
    const of = costs.get(name) ?? [];
    const figure = (member: keyof Cost): number => median(of.map((cost) => cost[member]));
    const ratio = pairedRatio(
      of.map(({ cpuUs }) => cpuUs),
      (costs.get(names[0] ?? '') ?? []).map(({ cpuUs }) => cpuUs),
    );
    say(
      `${what.padEnd(34)} ${name.padEnd(20)} ${figure('cpuUs').toFixed(1).padStart(6)} us  ${figure('calls').toFixed(2).padStart(6)} writes  ` +
        `${figure('bytes').toFixed(0).padStart(6)} bytes  ${figure('wallMs').toFixed(1).padStart(6)} ms a batch  x${ratio.toFixed(2)}`,
    );
  }
}

async function inTurns(
  what: string,
  of: readonly Contender[],
  batch: number,
  load: LedgerLoad,
): Promise<readonly Found[]> {
  const costs = new Map<string, Cost[]>(of.map(({ name }) => [name, []]));
  const found: Found[] = [];
  for (let round = 0; round < rounds; round++) {
    const batches = Array.from({ length: TURN / batch }, () => load.next(batch));
    found.push(...batches.flatMap((each) => each.found));
    for (const one of round % 2 === 0 ? of : of.toReversed()) costs.get(one.name)?.push(await costOf(one, batches));
  }
  report(
    what,
    of.map(({ name }) => name),
    costs,
  );
  return found;
}

const timedUs = (count: number, call: () => unknown): number => {
  const beganMs = performance.now();
  for (let n = 0; n < count; n++) call();
  return ((performance.now() - beganMs) * 1_000) / count;
};

function queries(what: string, of: readonly Contender[], found: readonly Found[]): void {
  const drawn = (): Found =>
    found[Math.floor(Math.random() * found.length)] ?? { task: '', decisionId: '', traceId: '' };
  const last = { isNewestFirst: true };
  const asked: readonly (readonly [string, number, (reader: LogReader) => unknown])[] = [
    ['the use of a decision', 50, (reader) => reader.useOf(drawn().decisionId)],
    ['all of a decision', 50, (reader) => [...reader.found({ decisionId: drawn().decisionId }, last)]],
    ['all of a trace', 50, (reader) => [...reader.found({ traceId: drawn().traceId }, last)]],
    ['the first 100 of a task', 20, (reader) => reader.recordsOf(drawn().task, 100)],
    ['the last 100 of a task', 20, (reader) => [...reader.found({ task: drawn().task }, last).take(100)]],
    ['of a task that is none', 20, (reader) => [...reader.found({ task: 'none' }, last)]],
    ['of an agent that has none', 2, (reader) => [...reader.found({ agent: nobody }, last)]],
    ['denials since an instant', 2, (reader) => [...reader.found({ decision: 'deny', sinceMs: 1 }, last)]],
  ];
  for (const [query, count, ask] of asked) {
    for (const { name, ledger, open } of of) {
      const reader = open(ledger);
      const times = Array.from({ length: 5 }, () => timedUs(count, () => ask(reader)));
      say(`${`${what}: ${query}`.padEnd(44)} ${name.padEnd(20)} ${median(times).toFixed(0).padStart(9)} us`);
      reader.close();
    }
  }
  for (const { name, ledger, open } of of)
    say(
      `${`${what}: open`.padEnd(44)} ${name.padEnd(20)} ${timedUs(5, () => open(ledger).close())
        .toFixed(0)
        .padStart(9)} us`,
    );
}

async function section(name: string, segmentBytes: number, filled: number): Promise<void> {
  const of = [];
  for (const checkout of checkouts) of.push(await contender(checkout, segmentBytes));
  const load = new LedgerLoad();
  const found: Found[] = [];
  for (let count = 0; count < filled; count += TURN) {
    const batches = Array.from({ length: TURN / 250 }, () => load.next(250));
    found.push(...batches.flatMap((each) => each.found));
    for (const one of of) await costOf(one, batches);
  }
  for (const batch of [50, 250]) found.push(...(await inTurns(`${name}, batches of ${batch}`, of, batch, load)));
  queries(name, of, found);
  for (const { thread } of of) await thread.close();
}

try {
  await section('small segments', SMALL_BYTES, 2 * TURN);
  await section('large segments', LARGE_BYTES, Number(values.large));
} finally {
  remove();
}
