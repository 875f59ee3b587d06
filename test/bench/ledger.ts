import { parseArgs } from 'node:util';
import type { LogReader } from '../../src/core/ledger/log/log-reader.ts';
import { settingsIn } from '../core/ledger/log/logs.ts';
import { scratch } from '../builders/scratch.ts';
import { ledgerContender } from './ledger-contender.ts';
import type { LedgerContender, RecordCost } from './ledger-contender.ts';
import { LedgerLoad, nobody } from './ledger-load.ts';
import type { Found } from './ledger-load.ts';
import { median, pairedRatio } from './statistics.ts';

/**
 * What a record costs the thread of the ledger, and what it costs to find it again. Each figure is the median of the rounds;
 * `x` is the ratio of processor times to the first checkout, within a round.
 *
 * ```
 * node test/bench/ledger.ts                    # this checkout
 * node test/bench/ledger.ts ../before .        # two of them, in turns
 * node test/bench/ledger.ts --large 600000     # records of the large ledger before it is measured: 250,000 by default
 * ```
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '9' }, large: { type: 'string', default: '250000' } },
});
const rounds = Number(values.rounds);
const checkouts = positionals.length === 0 ? ['.'] : positionals;

/** Records of one measurement, and of one with pauses that last as long as a writer waits for more. */
const TURN = 10_000;
const PAUSED_TURN = 2_000;
const PAUSE_MS = 45;

const { folder, remove } = scratch();
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const batchesOf = (load: LedgerLoad, records: number, batch: number) =>
  Array.from({ length: records / batch }, () => load.next(batch));

interface Load {
  readonly load: LedgerLoad;
  readonly records: number;
  readonly batch: number;
  readonly pauseMs: number;
}

/**
 * All contenders write the same records, in turn.
 * @returns what they can be found by
 */
async function measured(
  what: string,
  contenders: readonly LedgerContender[],
  { load, records, batch, pauseMs }: Load,
): Promise<readonly Found[]> {
  const costs = contenders.map((): RecordCost[] => []);
  const found: Found[] = [];
  for (let round = 0; round < rounds; round++) {
    const batches = batchesOf(load, records, batch);
    found.push(...batches.flatMap((each) => each.found));
    const turns = [...contenders.entries()];
    for (const [index, one] of round % 2 === 0 ? turns : turns.toReversed()) {
      costs[index]?.push(await one.write(batches, pauseMs));
    }
  }
  const cpuOf = (index: number): readonly number[] => (costs[index] ?? []).map(({ cpuUs }) => cpuUs);
  for (const [index, { name }] of contenders.entries()) {
    const figure = (member: keyof RecordCost, digits: number): string =>
      median((costs[index] ?? []).map((cost) => cost[member]))
        .toFixed(digits)
        .padStart(7);
    const ratio = pairedRatio(cpuOf(index), cpuOf(0)).toFixed(2);
    say(
      `${what.padEnd(40)} ${name.padEnd(20)} ${figure('cpuUs', 1)} us ${figure('calls', 2)} writes ${figure('bytes', 0)} bytes  x${ratio}`,
    );
  }
  return found;
}

const timedUs = (count: number, call: () => unknown): number => {
  const beganMs = performance.now();
  for (let n = 0; n < count; n++) call();
  return ((performance.now() - beganMs) * 1_000) / count;
};

const newest = { isNewestFirst: true };

const queries: readonly (readonly [name: string, count: number, ask: (reader: LogReader, by: Found) => unknown])[] = [
  ['the use of a decision', 20, (reader, { decisionId }) => reader.useOf(decisionId)],
  ['all of a trace', 20, (reader, { traceId }) => [...reader.found({ traceId }, newest)]],
  ['the first 100 of a task', 20, (reader, { task }) => reader.recordsOf(task, 100)],
  ['the last 100 of a task', 20, (reader, { task }) => [...reader.found({ task }, newest).take(100)]],
  ['all of a task that has none', 20, (reader) => [...reader.found({ task: 'none' }, newest)]],
  ['all of an agent that has none', 1, (reader) => [...reader.found({ agent: nobody }, newest)]],
];

function asked(what: string, contenders: readonly LedgerContender[], found: readonly Found[]): void {
  const drawn = (): Found =>
    found[Math.floor(Math.random() * found.length)] ?? { task: '', decisionId: '', traceId: '' };
  const line = (query: string, name: string, us: number): void =>
    say(`${`${what}: ${query}`.padEnd(48)} ${name.padEnd(20)} ${us.toFixed(0).padStart(8)} us`);
  for (const { name, reader } of contenders)
    line(
      'open',
      name,
      timedUs(5, () => reader().close()),
    );
  for (const [query, count, ask] of queries) {
    for (const { name, reader } of contenders) {
      const opened = reader();
      line(query, name, median(Array.from({ length: 5 }, () => timedUs(count, () => ask(opened, drawn())))));
      opened.close();
    }
  }
}

async function section(what: string, segmentMiB: number, filled: number): Promise<void> {
  const contenders: LedgerContender[] = [];
  for (const checkout of checkouts) {
    const segment = { maxBytes: segmentMiB * 1024 ** 2, maxAgeMs: 86_400_000 };
    const retain = { maxBytes: 1024 ** 4, maxAgeMs: 86_400_000 };
    contenders.push(await ledgerContender(checkout, settingsIn(folder(), { segment, retain })));
  }
  const load = new LedgerLoad();
  for (let count = 0; count < filled; count += TURN) {
    const batches = batchesOf(load, TURN, 250);
    for (const one of contenders) await one.write(batches, 0);
  }
  const found: Found[] = [];
  for (const [how, more] of [
    ['batches of 250', { records: TURN, batch: 250, pauseMs: 0 }],
    ['batches of 50', { records: TURN, batch: 50, pauseMs: 0 }],
    ['batches of 50, with pauses', { records: PAUSED_TURN, batch: 50, pauseMs: PAUSE_MS }],
  ] as const) {
    found.push(...(await measured(`${what}, ${how}`, contenders, { load, ...more })));
  }
  asked(what, contenders, found);
  for (const one of contenders) await one.close();
}

try {
  await section('small segments', 4, 2 * TURN);
  await section('large segments', 256, Number(values.large));
} finally {
  remove();
}
