/** `remit ledger query`: find records by their members and by time. */
import { countTable, RecordCounts } from '../../core/ledger/record-counts.ts';
import { recordLine, recordTable } from '../../core/ledger/record-table.ts';
import { byTime } from '../../authority/records/received-search.ts';
import type { ReceivedRecord } from '../../authority/records/received-search.ts';
import { SearchedReceived } from '../../authority/records/received-records.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import type { SearchOrder } from '../../core/ledger/log/segment/segment-search.ts';
import { recordMembersIn } from '../../core/ledger/search/index-builder.ts';
import type { PlacedLeaf } from '../../core/ledger/log/segment/segment.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingCounts } from '../policy/finding-lines.ts';
import {
  FILTER_HELP,
  filterFrom,
  filterOptions,
  filterWords,
  LEDGER_HELP,
  ledgerFolderOf,
  ledgerOptions,
  withLedger,
  withRecords,
} from './ledger-source.ts';
import { MAX_TASKS, tasksOf, withParts } from './whole-tasks.ts';
import type { RecordPlaces } from './whole-tasks.ts';
import { optionsFrom } from '../options.ts';
import { policySetAt } from '../policy/policy-operand.ts';
import { RECEIVED_HELP, receivedOptions, receivedRecordsOf, receivedWarnings } from './received-source.ts';
import { recordedSuite } from '../policy/recorded-suite.ts';
import type { RecordedIn } from '../policy/recorded-tasks.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const DEFAULT_LIMIT = '100';
const MAX_LIMIT = 100_000;

const help = `remit ledger query: find records

usage: remit ledger query [OPTION ...]

${LEDGER_HELP}
${RECEIVED_HELP}
${FILTER_HELP}
  --whole-tasks       all records of the tasks that the matching records are of, at most ${MAX_TASKS} tasks
  --parts-of ID       all records of this task, its parts, their parts and so on
  --limit N           at most N records, 1 to ${MAX_LIMIT}; default ${DEFAULT_LIMIT}
  --oldest-first      the first N, in log order; default the last N, newest first
  --count             print how many records match instead, by kind, decision, reason and mode: observed uses apart, by what
                      enforcing would have answered
  --json              one line of JSON for each: the members of the record, with its number as \`seq\`, and
                      for the record of a sidecar the origin of its log as \`log\`; with --count of each group
  --as-test           print the uses among them as a suite of test cases for \`remit policy test\`, with notes of what each record
                      lacks; records that make no case are counted on standard error
  --policies FOLDER   with --as-test: the policies whose catalog says which arguments a case lacks, and which labels its history has

\`remit ledger index\` makes the index by which these options find records at once, all but --decision, --mode, --would, --since and --until; without
it, and for records after its last part, every record is read. The answer is the same.

Prints the records that match every given option. It reads beside a running \`remit serve\` and does not verify what it reads:
\`remit ledger verify\` does. --since and --until go by the instants of records, and skip segments whose last checkpoint is more than a
day away: they may miss a record whose clock was off by more than a day. If there are more records than the limit, a message on
standard error says so.

With --received the records of sidecars are among them, all by time, with the log of each before its number.

  remit ledger query --decision deny --since -2h
  remit ledger query --mode observe --would deny --since -1d --count
  remit ledger query --task 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55 --oldest-first
  remit ledger query --value p-77
  remit ledger query --arg payment=p-77 --whole-tasks --oldest-first
  remit ledger query --path '/v1/payments/{id}' --not-executed --since -1d
  remit ledger query --ledger /mnt/copy/ledger --reason token.binding --json
  remit ledger query --since -1d --decision deny --as-test --policies cedar-policies > cedar-policies/tests/denied.test.yaml

exit codes: 0 success, even if no record matches, 2 bad use or a ledger that cannot be read`;

/** `remit ledger query`. */
export const ledgerQueryCommand: Command = { name: 'ledger query', help, run: ledgerQuery };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/** Runs `remit ledger query`; the exit code is the answer. */
export async function ledgerQuery(args: readonly string[], io: Io): Promise<number> {
  const problem = await query(args, io);
  if (problem === null) return EXIT.good;
  return refused(io, NAME, problem);
}

const NAME = 'remit ledger query';

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  ...filterOptions,
  limit: { type: 'string' },
  'oldest-first': { type: 'boolean' },
  'whole-tasks': { type: 'boolean' },
  'parts-of': { type: 'string' },
  count: { type: 'boolean' },
  json: { type: 'boolean' },
  'as-test': { type: 'boolean' },
  policies: { type: 'string' },
} as const;

async function query(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const options = optionsFrom(filterWords(args), OPTIONS, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const {
    limit: size = DEFAULT_LIMIT,
    count: isCount,
    json,
    policies,
    'as-test': isTest,
    'oldest-first': isOldestFirst,
    'whole-tasks': isWhole,
    'parts-of': partsOf,
  } = options.values;
  const limit = /^\d{1,6}$/.test(size) ? Number(size) : 0;
  if (limit < 1 || limit > MAX_LIMIT) return taskRefusal(`--limit must be a whole number from 1 to ${MAX_LIMIT}`);
  if (isTest === true && json === true) return taskRefusal('--as-test and --json exclude each other');
  if (isCount === true && (isTest === true || options.values.limit !== undefined))
    return taskRefusal('--count counts all records: it excludes --as-test and --limit');
  if (isTest !== true && policies !== undefined) return taskRefusal('--policies goes with --as-test');
  if (isTest === true && options.values.received !== undefined)
    return taskRefusal('--as-test and --received exclude each other');
  if (isTest === true && (isWhole === true || partsOf !== undefined))
    return taskRefusal('--as-test excludes --whole-tasks and --parts-of');
  const filter = filterFrom(options.values, systemPorts.nowMs());
  if (isCommandRefusal(filter)) return filter;
  const asked = { filter, limit, isOldestFirst: isOldestFirst === true };
  if (isTest === true) {
    const set = policies === undefined ? null : await policySetAt(policies, undefined);
    if (isCommandRefusal(set)) return set;
    return withRecords<null>(options.values, io, async (records) => printSuite(records, asked, { set, io }));
  }
  const folder = await ledgerFolderOf(options.values, io);
  if (isCommandRefusal(folder)) return folder;
  const received = await receivedRecordsOf(options.values, io);
  if (isCommandRefusal(received)) return received;
  const output = { isCount: isCount === true, isJson: json === true };
  try {
    return await withLedger<null>(folder, async (log) => {
      const places = { log, received };
      const wanted = widened(filter, places, { isWhole: isWhole === true, partsOf });
      if (isCommandRefusal(wanted)) return wanted;
      return print(places, { ...asked, filter: wanted }, { ...output, io });
    });
  } finally {
    received.close();
  }
}

/** Prints what is found, and why an index was not used. */
function print(
  places: RecordPlaces,
  asked: QueryOptions,
  { isCount, isJson, io }: { readonly isCount: boolean; readonly isJson: boolean; readonly io: Io },
): null {
  const { log, received } = places;
  const shown = isCount ? null : foundIn(places, asked, io);
  if (shown === null) printCounts(places, asked.filter, { io, isJson });
  else if (isJson) for (const leaf of shown) io.out(recordLine(leaf));
  else if (shown.length === 0) io.out('no records');
  else for (const line of recordTable(shown)) io.out(line);
  for (const problem of [...log.indexProblems(), ...received.problems])
    io.err(printable(`${NAME}: ${problem}: records were read instead; \`remit ledger index\` makes it again`));
  for (const warning of receivedWarnings(received)) io.err(`${NAME}: ${warning}`);
  return null;
}

/** The filter for all records of the tasks that are asked for. */
function widened(
  filter: RecordFilter,
  places: RecordPlaces,
  { isWhole, partsOf }: { readonly isWhole: boolean; readonly partsOf: string | undefined },
): RecordFilter | CommandRefusal {
  const family = partsOf === undefined ? undefined : withParts(places, partsOf);
  if (isCommandRefusal(family)) return family;
  const own = family === undefined ? filter : { ...filter, tasks: family };
  if (!isWhole) return own;
  const tasks = tasksOf(places, own);
  return isCommandRefusal(tasks) ? tasks : { tasks };
}

interface QueryOptions {
  readonly filter: RecordFilter;
  readonly limit: number;
  readonly isOldestFirst: boolean;
}

type FoundRecord = PlacedLeaf & Partial<Pick<ReceivedRecord, 'log'>>;

/** The matching records; reports if there are more. */
function foundIn(places: RecordPlaces, { filter, limit, isOldestFirst }: QueryOptions, io: Io): readonly FoundRecord[] {
  const order = { isNewestFirst: !isOldestFirst, limit: limit + 1 };
  const own = [...ownOf(places, filter, order).take(limit + 1)];
  const others = places.received.found(filter, order);
  const found = others.length === 0 ? own : byTime([...own.map(timed), ...others], order);
  const which = isOldestFirst ? 'first' : 'last';
  if (found.length > limit) io.err(`${NAME}: the ${which} ${limit} are shown: --limit shows more`);
  return found.slice(0, limit);
}

/** The matching records of the ledger. The outcome of a use that an authority committed is looked up in the sidecar's log. */
function* ownOf({ log, received }: RecordPlaces, filter: RecordFilter, order: SearchOrder): Generator<PlacedLeaf> {
  for (const leaf of log.found(filter, order)) {
    const decisionId = filter.isUnexecuted === undefined ? null : recordMembersIn(leaf.bytes)?.['decisionId'];
    if (typeof decisionId !== 'string' || !received.isExecuted(decisionId)) yield leaf;
  }
}

function timed(leaf: PlacedLeaf): PlacedLeaf & { readonly at: number } {
  const read = leafFrom(leaf.bytes);
  const at = isProblem(read) ? undefined : read.record['at'];
  return { ...leaf, at: typeof at === 'number' ? at : 0 };
}

interface Counting {
  readonly io: Io;
  readonly isJson: boolean;
}

const COUNTED_EVERY = 10_000;

/** Counts all matching records, in memory for the counts alone. */
function printCounts(places: RecordPlaces, filter: RecordFilter, { io, isJson }: Counting): void {
  const counts = new RecordCounts();
  const add = (leaf: { readonly bytes: Uint8Array }): void => {
    counts.add(leaf);
    if (counts.all % COUNTED_EVERY === 0) io.progress?.(`${counts.all} records`);
  };
  for (const leaf of ownOf(places, filter, { isNewestFirst: false })) add(leaf);
  for (const record of places.received.matching(filter)) add(record);
  io.progress?.('');
  if (isJson) for (const group of counts.groups) io.out(printableJson(group));
  else for (const line of countTable(counts)) io.out(line);
}

const PROGRESS_EVERY = 100;

function printSuite(
  records: RecordedIn,
  asked: QueryOptions,
  { set, io }: { readonly set: PolicySet | null; readonly io: Io },
): null {
  const { text, left } = recordedSuite(
    foundIn({ log: records.log, received: SearchedReceived.none }, asked, io),
    records,
    {
      catalog: set?.catalog,
      onProgress: (read) => void (read > 0 && read % PROGRESS_EVERY === 0 && io.progress?.(`${read} records`)),
    },
  );
  io.progress?.('');
  io.out(text.trimEnd());
  for (const { count, why, examples } of left) {
    io.err(`${NAME}: ${findingCounts(count, 'record')} left out, such as ${examples.join(', ')}: ${printable(why)}`);
  }
  return null;
}
