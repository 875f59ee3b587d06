/** `remit ledger stats`: count records over time, by their members, with sums of arguments. */
import { printableJson } from '../../core/ledger/printable-json.ts';
import { GROUPED, RecordStats } from '../../core/ledger/search/record-stats.ts';
import type { GroupedBy, StatsGroup, StatsOf } from '../../core/ledger/search/record-stats.ts';
import { recordMembersIn } from '../../core/ledger/search/index-builder.ts';
import { damageText } from '../../authority/records/placed-sections.ts';
import { SearchedReceived } from '../../authority/records/received-records.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { isMatchingLeaf } from '../../core/ledger/log/segment/record-filter.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { base64Of } from '../../core/ledger/proof/base64.ts';
import { appended } from '../../core/ledger/proof/compact-range.ts';
import { leafHash, rootOf } from '../../core/ledger/proof/merkle.ts';
import { aligned, printable } from '../../core/ledger/timeline-text.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import {
  FILTER_HELP,
  filterFrom,
  filterOptions,
  filterWords,
  LEDGER_HELP,
  ledgerFolderOf,
  ledgerOptions,
  withLedger,
} from './ledger-source.ts';
import {
  openedReceived,
  readReceived,
  RECEIVED_HELP,
  receivedFolderOf,
  receivedOptions,
  receivedWarnings,
} from './received-source.ts';
import { countReceived } from './received-stats.ts';
import { cacheFolderIn, logHeadOf, StatsCache } from './stats-cache.ts';

const DEFAULT_TOP = '50';
const MAX_TOP = 100_000;
const MAX_NAMES = 8;

const help = `remit ledger stats: count records by what they say, and over time

usage: remit ledger stats [--by NAME[,NAME …]] [--every TIME] [--sum ARGUMENT[,ARGUMENT …]] [OPTION ...]

  --by NAMES          count by these members, at most ${MAX_NAMES}; default kind and decision. One of ${GROUPED.slice(0, 10).join(', ')},
                      ${GROUPED.slice(10).join(', ')},
                      or arg:NAME for a recorded argument
  --every TIME        count in intervals: 15m, 1h, 1d (from midnight UTC) …
  --sum ARGUMENTS     add up these recorded arguments, exactly; what is not a number is left out
  --top N             the N largest groups, 1 to ${MAX_TOP}; default ${DEFAULT_TOP}
  --no-cache          count all records again
  --json              one line of JSON for each group: by, from, count, first, last, sums
${LEDGER_HELP}
${RECEIVED_HELP}
${FILTER_HELP}

For each group: how many records, when the first and the last of them happened, and the sums. All records are read once, and what was counted
up to the last checkpoint is kept in the cache folder of the user ($XDG_CACHE_HOME/remit, else ~/.cache/remit), so that the same question reads
only what is new; of the records of sidecars up to the last checkpoint of each. It is kept only if the records have the tree of that checkpoint, and
used only if the ledger still has it; not with --since or --until, nor for what an index finds. No signature is verified: \`remit ledger verify\` does.

  remit ledger stats --kind use --by agent,action
  remit ledger stats --by arg:currency --sum amount --action payments.pay --every 1d
  remit ledger stats --kind use --by policy --since 2026-01-01

exit codes: 0 success, even if no record matches, 2 bad use or a ledger that cannot be read`;

/** `remit ledger stats`. */
export const ledgerStatsCommand: Command = { name: 'ledger stats', help, run: ledgerStats };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/** Runs `remit ledger stats`; the exit code is the answer. */
export async function ledgerStats(args: readonly string[], io: Io): Promise<number> {
  const problem = await stats(args, io);
  return problem === null ? EXIT.good : refused(io, NAME, problem);
}

const NAME = 'remit ledger stats';

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  ...filterOptions,
  by: { type: 'string' },
  every: { type: 'string' },
  sum: { type: 'string' },
  top: { type: 'string' },
  'no-cache': { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

type Values = Exclude<ReturnType<typeof optionsFrom<typeof OPTIONS>>, string>['values'];

async function stats(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const options = optionsFrom(filterWords(args), OPTIONS, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { values } = options;
  const of = statsOf(values);
  if (isCommandRefusal(of)) return of;
  const size = values.top ?? DEFAULT_TOP;
  const top = /^\d{1,6}$/.test(size) ? Number(size) : 0;
  if (top < 1 || top > MAX_TOP) return taskRefusal(`--top must be a whole number from 1 to ${MAX_TOP}`);
  const filter = filterFrom(values, systemPorts.nowMs());
  if (isCommandRefusal(filter)) return filter;
  if (filter.isUnexecuted !== undefined)
    return taskRefusal('--not-executed is not counted over time: use `remit ledger query --not-executed --count`');
  const folder = await ledgerFolderOf(values, io);
  if (isCommandRefusal(folder)) return folder;
  const records = await receivedFolderOf(values, io);
  if (isCommandRefusal(records)) return records;
  const received = records === undefined ? SearchedReceived.none : openedReceived(records);
  if (isCommandRefusal(received)) return received;
  try {
    return await withLedger<null>(folder, async (log) => {
      const cacheFor = (place?: string): StatsCache | null => cacheOf(values, filter, { of, io, records: place });
      const done = count(log, { filter, of, received, records, cacheFor, io });
      if (isCommandRefusal(done)) return done;
      print(done.counted.groups(), done.counted, { top, isJson: values.json === true, io });
      for (const warning of receivedWarnings(done)) io.err(`${NAME}: ${warning}`);
      return null;
    });
  } finally {
    received.close();
    io.progress?.('');
  }
}

/** What is counted, in the options. */
function statsOf({ by = 'kind,decision', every, sum = '' }: Values): StatsOf | CommandRefusal {
  const names = by.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !isGrouped(name));
  if (wrong !== undefined) return taskRefusal(`--by must be of ${GROUPED.join(', ')} or arg:NAME, got \`${wrong}\``);
  const sums = sum.split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]));
  if (names.length > MAX_NAMES || sums.length > MAX_NAMES)
    return taskRefusal(`--by and --sum take at most ${MAX_NAMES} names each`);
  const everyMs = every === undefined ? null : intervalFrom(every);
  if (everyMs === 0)
    return taskRefusal(`--every must be a time such as \`15m\`, \`1h\` or \`1d\`, got \`${every ?? ''}\``);
  return { by: names.filter(isGrouped), everyMs, sums };
}

const grouped: ReadonlySet<string> = new Set(GROUPED);
const isGrouped = (name: string): name is GroupedBy => grouped.has(name) || /^arg:./.test(name);

const UNITS: ReadonlyMap<string, number> = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** Milliseconds; 0 for anything that is not an interval. */
function intervalFrom(text: string): number {
  const [, digits = '0', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  return Number(digits) * (UNITS.get(unit) ?? 0);
}

/**
 * The cache for a question; `null` with `--no-cache`, without a cache folder, and with `--since` or `--until`, which do not read
 * all records.
 *
 * @param records the folder of received records that are counted; `undefined` for those of the ledger
 */
function cacheOf(
  values: Values,
  filter: RecordFilter,
  { of, io, records }: { readonly of: StatsOf; readonly io: Io; readonly records: string | undefined },
): StatsCache | null {
  const isOfTime = values.since !== undefined || values.until !== undefined;
  const folder = cacheFolderIn(io.environment);
  if (values['no-cache'] === true || isOfTime || folder === null) return null;
  const { path, tasks: _tasks, ...others } = filter;
  return new StatsCache(folder, JSON.stringify({ version: 2, of, others, path: path?.text, records }));
}

const PROGRESS_EVERY = 10_000;

/** What is counted, and where. */
interface Counting {
  readonly filter: RecordFilter;
  readonly of: StatsOf;
  readonly received: SearchedReceived;
  /** The folder of received records; `undefined` for none. */
  readonly records: string | undefined;
  /** The cache for the ledger, or for a folder of received records. */
  readonly cacheFor: (records?: string) => StatsCache | null;
  readonly io: Io;
}

/** What was counted, and what could not be read of received records. */
interface Counted extends Pick<SearchedReceived, 'faults'> {
  readonly counted: RecordStats;
}

function count(log: LogReader, counting: Counting): Counted | CommandRefusal {
  const { filter, of, received, records, cacheFor, io } = counting;
  const counted = new RecordStats(of);
  const add = (bytes: Uint8Array): void => {
    counted.add(recordMembersIn(bytes));
    if (counted.all % PROGRESS_EVERY === 0) io.progress?.(`${counted.all} records`);
  };
  const cache = log.isIndexed(filter) ? null : cacheFor();
  if (cache === null) for (const { bytes } of log.found(filter, { isNewestFirst: false })) add(bytes);
  else countOn(counted, { log, filter, cache, add, io });
  const others = records === undefined || received.isIndexed(filter) ? null : cacheFor(records);
  if (records !== undefined && others !== null)
    return countOthersOn(counted, { ...counting, log, records, cache: others });
  for (const { bytes } of received.matching(filter)) add(bytes);
  return { counted, faults: received.faults };
}

interface CountingOthers extends Counting {
  readonly log: LogReader;
  readonly records: string;
  readonly cache: StatsCache;
}

/** Counts received records on from what is kept, and keeps what was counted up to the last checkpoint of each log. */
function countOthersOn(
  counted: RecordStats,
  { log, filter, records, received, cache, io }: CountingOthers,
): Counted | CommandRefusal {
  const read = readReceived(records);
  if (isCommandRefusal(read)) return read;
  let all = counted.all;
  const onRecord = (): void => {
    all += 1;
    if (all % PROGRESS_EVERY === 0) io.progress?.(`${all} records`);
  };
  const others = countReceived(read.logs, { filter, of: counted.of, kept: cache.kept(), ledger: log, onRecord });
  keep(cache, others.kept, io);
  counted.merge(others.counted.state());
  const faults = new Set([...received.faults, ...read.damaged.map(damageText), ...others.faults]);
  return { counted, faults: [...faults] };
}

function keep(cache: StatsCache, stats: object, io: Io): void {
  const problem = cache.write(stats);
  if (problem !== null) io.err(`${NAME}: ${problem}: all is counted again next time`);
}

interface CountingOn {
  readonly log: LogReader;
  readonly filter: RecordFilter;
  readonly cache: StatsCache;
  readonly add: (bytes: Uint8Array) => void;
  readonly io: Io;
}

/** Counts on from what is kept, and keeps what was counted up to the last checkpoint. INVARIANT: the bytes that are hashed are those that are counted. */
function countOn(counted: RecordStats, { log, filter, cache, add, io }: CountingOn): void {
  const head = logHeadOf(log)?.head;
  const known = cache.read(log, counted.of);
  if (known !== null) counted.merge(known.state);
  let range = known?.range ?? log.carried.range;
  for (const leaf of log.found({ fromSeq: range.size + 1 }, { isNewestFirst: false })) {
    if (isMatchingLeaf(filter, leaf)) add(leaf.bytes);
    range = appended(range, leafHash(leaf.bytes));
    if (range.size !== head?.size || base64Of(rootOf(range.nodes)) !== head.root) continue;
    keep(cache, { head, state: counted.state() }, io);
  }
}

interface Printing {
  readonly top: number;
  readonly isJson: boolean;
  readonly io: Io;
}

function print(groups: readonly StatsGroup[], { of, all }: RecordStats, { top, isJson, io }: Printing): void {
  const largest = groups.toSorted((a, b) => b.count - a.count).slice(0, top);
  const chosen = new Set(largest);
  const shown = groups.filter((group) => chosen.has(group));
  if (isJson) for (const group of shown) io.out(printableJson(jsonOf(group, of)));
  else for (const line of tableOf(shown, of, all)) io.out(line);
  if (groups.length > top) io.err(`${NAME}: the ${top} largest of ${groups.length} groups are shown: --top shows more`);
}

function jsonOf({ values, from, count: number, firstMs, lastMs, sums }: StatsGroup, of: StatsOf): object {
  return {
    by: Object.fromEntries(of.by.map((name, index) => [name, values[index] ?? null])),
    ...(of.everyMs === null ? {} : { from }),
    count: number,
    first: firstMs,
    last: lastMs,
    ...(of.sums.length === 0 ? {} : { sums: Object.fromEntries(of.sums.map((name, index) => [name, sums[index]])) }),
  };
}

/** The range of `Date`; a damaged record may say anything. */
const MAX_INSTANT = 8.64e15;

const instantText = (ms: number | null): string =>
  ms === null || Math.abs(ms) > MAX_INSTANT ? '-' : new Date(ms).toISOString();

const tableOf = (groups: readonly StatsGroup[], of: StatsOf, all: number): readonly string[] =>
  aligned([
    [
      ...(of.everyMs === null ? [] : ['FROM']),
      ...of.by.map((name) => name.toUpperCase()),
      'RECORDS',
      'FIRST',
      'LAST',
      ...of.sums.map((name) => `SUM OF ${name}`),
    ],
    ...groups.map(({ values, from, count: number, firstMs, lastMs, sums }) =>
      [
        ...(of.everyMs === null ? [] : [instantText(from)]),
        ...values.map((value) => value ?? '-'),
        String(number),
        instantText(firstMs),
        instantText(lastMs),
        ...sums,
      ].map(printable),
    ),
    [...(of.everyMs === null ? [] : ['']), ...of.by.map((_, index) => (index === 0 ? 'all' : '')), String(all)],
  ]);
