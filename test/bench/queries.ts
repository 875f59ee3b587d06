import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { indexReceived } from '../../src/authority/records/received-index.ts';
import { SearchedReceived } from '../../src/authority/records/received-records.ts';
import { pathTemplateFrom } from '../../src/core/action/catalog/template.ts';
import { indexLedger } from '../../src/core/ledger/log/indexed-ledger.ts';
import { LogReader } from '../../src/core/ledger/log/log-reader.ts';
import type { RecordFilter } from '../../src/core/ledger/log/segment/record-filter.ts';
import { must, mustFind } from '../builders/must.ts';
import { scratch } from '../builders/scratch.ts';
import { copyReceived, recordOfFleet, START_MS, writeLedger, writeReceived } from './many-records.ts';
import { median } from './statistics.ts';

/**
 * How long it takes to find records among very many: those of all sidecars at an authority, and those of one ledger. Each query opens the records
 * anew, in this process; `found` is of at most 100. The files are deleted at the end.
 *
 * ```
 * node test/bench/queries.ts                                  # 1,000,000 records of 40 sidecars
 * node test/bench/queries.ts --records 10000000               # 10 GB of disk and, on two cores, some ten minutes
 * node test/bench/queries.ts --copies 10                      # ten times the same million under other names, with an index each
 * node test/bench/queries.ts --of ledger --records 1000000    # of one ledger
 * ```
 */

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    copies: { type: 'string', default: '1' },
    of: { type: 'string', default: 'received' },
    rounds: { type: 'string', default: '5' },
  },
});
const count = Number(values.records);
const rounds = Number(values.rounds);
const copies = Number(values.copies);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const progress = (what: string) => (done: number) =>
  void (done % 100_000 === 0 && process.stderr.write(`\r${what}: ${done} records`));

const { folder, remove } = scratch();
const LIMIT = 100;
/** A use in the middle of all. */
const middle = Math.floor(count / 4);
const use = mustFind([recordOfFleet(middle * 2)].find((record) => record.kind === 'use'));
const template = pathTemplateFrom('/v1/payments/{id}');
if ('problem' in template) throw new Error(template.problem);

const queries: readonly (readonly [string, RecordFilter])[] = [
  ['--value p-…', { value: `p-${middle}` }],
  ['--arg payment=p-…', { args: [{ name: 'payment', value: `p-${middle}` }] }],
  ['--decision-id', { decisionId: use.decisionId }],
  ['--task', { task: use.task ?? '' }],
  ['--token', { token: use.jtiDigest ?? '' }],
  ['--agent and --arg', { agent: use.agent ?? '', args: [{ name: 'amount', value: '77' }] }],
  ['--policy (one of 200)', { policy: 'payments-77' }],
  ['--policy-set (of half)', { policySet: use.policySet ?? '' }],
  ['--path of nearly all', { path: template }],
  ['--refused-address', { refusedAddress: '10.0.4.210' }],
  ['--not-executed', { isUnexecuted: true }],
  ['--value of nothing', { value: 'p-none' }],
];

interface Reader {
  readonly found: (filter: RecordFilter) => number;
  readonly close: () => void;
}

function receivedReader(at: string): Reader {
  const records = SearchedReceived.open(at);
  return {
    found: (filter) => records.found(filter, { limit: LIMIT, isNewestFirst: true }).length,
    close: () => records.close(),
  };
}

function ledgerReader(at: string): Reader {
  const log = mustFind(LogReader.open(at));
  return {
    found: (filter) => log.found(filter, { isNewestFirst: true }).take(LIMIT).toArray().length,
    close: () => log.close(),
  };
}

const sizeOf = (at: string): number =>
  readdirSync(at).reduce((sum, name) => sum + statSync(join(at, name)).size, 0) / 1024 ** 2;

const secondsOf = (work: () => void): string => {
  const start = performance.now();
  work();
  return ((performance.now() - start) / 1_000).toFixed(1);
};

function run(): void {
  const isLedger = values.of === 'ledger';
  let at = join(folder(), 'records');
  const writing = secondsOf(() => {
    if (isLedger) at = writeLedger(at, { count, recordAt: recordOfFleet }, progress('written'));
    else writeReceived(at, count, progress('written'));
  });
  const indexing = secondsOf(() => {
    let read = 0;
    const onRecord = (): void => progress('indexed')((read += 1));
    if (isLedger) must(indexLedger(at, { nowMs: START_MS, suffix: 'a', onRecord }));
    else indexReceived(at, { suffix: 'a' });
  });
  if (copies > 1 && !isLedger) copyReceived(at, copies);
  process.stderr.write('\r');
  if (copies > 1) say(`${count * copies} records: ${copies} copies, as hard links, of these:`);
  say(
    `${count} records of ${isLedger ? 'one ledger' : '40 sidecars'}: ${sizeOf(at).toFixed(0)} MiB, written in ${writing} s`,
  );
  say(
    `index: ${sizeOf(join(at, 'index')).toFixed(0)} MiB in ${readdirSync(join(at, 'index')).length} files, made in ${indexing} s`,
  );
  const open = isLedger ? ledgerReader : receivedReader;
  say(
    `${'query'.padEnd(28)}${'found'.padStart(7)}${'median ms'.padStart(12)}${'most ms'.padStart(10)}${'CPU ms'.padStart(10)}`,
  );
  for (const [name, filter] of queries) {
    const times: number[] = [];
    const spent: number[] = [];
    let found = 0;
    for (let round = 0; round < rounds; round += 1) {
      const start = performance.now();
      const before = process.cpuUsage();
      const reader = open(at);
      found = reader.found(filter);
      reader.close();
      times.push(performance.now() - start);
      const { user, system } = process.cpuUsage(before);
      spent.push((user + system) / 1_000);
    }
    say(
      `${name.padEnd(28)}${String(found).padStart(7)}${median(times).toFixed(1).padStart(12)}${Math.max(...times)
        .toFixed(1)
        .padStart(10)}${median(spent).toFixed(1).padStart(10)}`,
    );
  }
}

try {
  run();
} finally {
  remove();
}
