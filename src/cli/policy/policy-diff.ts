/** `remit policy diff`: show what another policy set decides differently, on records and cases. */
import { readFile, stat } from 'node:fs/promises';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { recordedUseFrom } from '../../core/ledger/recorded-use.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { caseFileFrom } from '../../tools/policy/cases/case-file.ts';
import { Comparison } from '../../tools/policy/compare/comparison.ts';
import { readSuites } from '../../tools/policy/cases/suite-source.ts';
import type { TestCase } from '../../tools/policy/cases/test-case.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { comparedJson, comparedLines } from './comparison-text.ts';
import type { Compared } from './comparison-text.ts';
import {
  FILTER_HELP,
  filterFrom,
  filterOptions,
  filterWords,
  LEDGER_HELP,
  ledgerOptions,
  withRecords,
} from '../ledger/ledger-source.ts';
import { diffedLimits, isLimitedOtherwise, limitSpan } from './diffed-limits.ts';
import type { DiffedLimits } from './diffed-limits.ts';
import { findingCounts } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';
import { policySetsAt } from './policy-operand.ts';
import { recordedTasks } from './recorded-tasks.ts';
import type { RecordedIn } from './recorded-tasks.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const DEFAULT_LIMIT = '1000';
const MAX_LIMIT = 100_000;

const help = `remit policy diff: show what another policy set would decide differently, on recorded uses and test cases

usage: remit policy diff OLD NEW [--keys FILE] [OPTION ...]
       remit policy diff OLD NEW --cases FILE|FOLDER

  OLD, NEW            policy folders, or bundles signed by a key of --keys
  --keys FILE         the JWK Set that verifies bundles
  --cases PATH        a suite of test cases, or a folder with *.test.yaml; the ledger is then read only if an option names it
${LEDGER_HELP}
                      a state file also knows the context of a task, which its records do not have
${FILTER_HELP}
  --limit N           the newest N uses at most, 1 to ${MAX_LIMIT}; default ${DEFAULT_LIMIT}
  --json              one object: old, new {path, hash, policies}, changes {policies, actions, entities, observed, limits, files}, each
                      {added, removed, changed}; compared, groups, ungrouped, notRepeatable {count, groups}, skipped {count, groups}. A group has
                      count and examples: {decisionId, atMs}, {file, line, name} of a case, {seq} of a damaged record; one of
                      differences has source, change, action, agent, reason, otherwise, formerIds, policyIds too. limits {old, new} has
                      what \`remit limits try --json\` has of both; \`null\` without limits or records

Both sets decide each recorded use, as \`remit serve\` does: the same call by the same agent at the same instant, in its
task as it was then. A record has no query, headers or body of the call, and of its token only the kind, the number of the
use and the reuse. A use is compared only if what is missing does not matter: no policy reads it, or OLD made the
decision and NEW has the same policy. Any other use is counted as not repeatable, by what is missing; so is a use that OLD
decides otherwise than its record says. Skipped are uses on which no policy was asked, and records that cannot be read.

The limits of both sets (\`limits.yaml\`) are tried on the records of the last 30 days, or of --since and --until, as \`remit limits try\` does:
how much each would have denied, and for how many keys. The other options do not narrow that: a counter needs every use.

  remit policy diff /etc/remit/policies cedar-policies --since -7d
  remit policy diff policies.jws cedar-policies --keys bundle-keys.json --ledger /mnt/copy/ledger --decision deny
  remit policy diff main/cedar-policies cedar-policies --cases cedar-policies --json

exit codes: 0 no difference, 1 differences, 2 bad use, bad input, or nothing that could be compared`;

/** `remit policy diff`. */
export const policyDiff: Command = { name: 'policy diff', help, run: diff };

const OPTIONS = {
  ...ledgerOptions,
  ...filterOptions,
  keys: { type: 'string' },
  cases: { type: 'string' },
  limit: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

async function diff(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(filterWords(args), OPTIONS, 2);
  if (typeof options === 'string') return refused(io, NAME, taskRefusal(options));
  const compared = await comparedBy(options.operands, options.values, io);
  io.progress?.('');
  if (isCommandRefusal(compared)) return refused(io, NAME, compared);
  const { report, limits } = compared;
  if (options.values.json) io.out(JSON.stringify(comparedJson(compared)));
  else for (const line of comparedLines(compared)) io.out(printable(line));
  const isTried = limits !== null && limits.old.counted + limits.new.counted > 0;
  if (report.compared === 0 && !isTried) return refused(io, NAME, taskRefusal('nothing could be compared'));
  return report.groups.length === 0 && !isLimitedOtherwise(limits) ? EXIT.good : EXIT.no;
}

const NAME = 'remit policy diff';

type Values = Exclude<ReturnType<typeof optionsFrom<typeof OPTIONS>>, string>['values'];

async function comparedBy(
  [before, after]: readonly string[],
  values: Values,
  io: Io,
): Promise<Compared | CommandRefusal> {
  if (before === undefined || after === undefined) return taskRefusal('OLD and NEW are required');
  const isLedgerNamed = [values.config, values.state, values.ledger].some((place) => place !== undefined);
  const isLedgerRead = isLedgerNamed || values.cases === undefined;
  const asked = askedFor(values, isLedgerRead);
  if (isCommandRefusal(asked)) return asked;
  const loaded = await policySetsAt([before, after], values.keys);
  if (isCommandRefusal(loaded)) return loaded;
  const [former, other] = loaded;
  if (former === undefined || other === undefined) return taskRefusal('OLD and NEW are required');
  const cases = values.cases === undefined ? [] : await casesAt(values.cases, io);
  if (isCommandRefusal(cases)) return cases;
  const comparison = new Comparison(former, other);
  for (const test of cases) comparison.addCase(test);
  const sets = [former, other] as const;
  const onProgress = (read: number): void => io.progress?.(`limits: read record ${read}`);
  const limits = isLedgerRead
    ? await withRecords<DiffedLimits | null>(values, io, async (records) => {
        await addUses(comparison, records, { ...asked, io });
        return diffedLimits(sets, records.log, { span: limitSpan(asked.filter, systemPorts.nowMs()), onProgress });
      })
    : null;
  if (isCommandRefusal(limits)) return limits;
  return { paths: [before, after], sets, report: comparison.report(), limits };
}

/** The filter of the uses to compare, and their maximum number. */
function askedFor(
  values: Values,
  isLedgerRead: boolean,
): { readonly filter: RecordFilter; readonly limit: number } | CommandRefusal {
  const ofLedger = new Set([...Object.keys(filterOptions), 'limit']);
  const given = Object.keys(values).find((name) => ofLedger.has(name));
  if (!isLedgerRead && given !== undefined) {
    return taskRefusal(`--${given} needs a ledger: name one with --config, --state or --ledger`);
  }
  const size = values.limit ?? DEFAULT_LIMIT;
  const limit = /^\d{1,6}$/.test(size) ? Number(size) : 0;
  if (limit < 1 || limit > MAX_LIMIT) return taskRefusal(`--limit must be a whole number from 1 to ${MAX_LIMIT}`);
  const filter = filterFrom(values, systemPorts.nowMs());
  if (isCommandRefusal(filter)) return filter;
  return filter.kind === undefined || filter.kind === 'use'
    ? { filter: { ...filter, kind: 'use' }, limit }
    : taskRefusal('--kind must be `use`: only uses are decided again');
}

/** The cases of one suite, or of all suites in a folder. */
async function casesAt(path: string, io: Io): Promise<readonly TestCase[] | CommandRefusal> {
  const about = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if ('message' in about) return taskRefusal(`\`${path}\` could not be read: ${about.code ?? 'unknown error'}`);
  const read = about.isDirectory() ? await readSuites(path) : caseFileFrom(await readFile(path, 'utf8'), path);
  if ('findings' in read) return taskRefusal(read.findings.map(findingText).join('\n'));
  const { cases, cedarTests } = 'cases' in read ? read : { cases: read, cedarTests: [] };
  if (cedarTests.length > 0)
    io.err(`${NAME}: ${findingCounts(cedarTests.length, 'test')} of \`cedar run-tests\` left out`);
  return cases.length === 0 ? taskRefusal(`there are no cases in \`${path}\``) : cases;
}

const findingText = ({ file, line, column, message }: SourceFinding): string => `${file}:${line}:${column}: ${message}`;

const PROGRESS_EVERY = 100;

/** Adds the newest matching uses; reports if there are more. */
async function addUses(
  comparison: Comparison,
  records: RecordedIn,
  { filter, limit, io }: { readonly filter: RecordFilter; readonly limit: number; readonly io: Io },
): Promise<void> {
  const taskOf = recordedTasks(records);
  let count = 0;
  for (const { seq, bytes } of records.log.found(filter, { isNewestFirst: true })) {
    if (count === limit) {
      io.err(`${NAME}: the last ${limit} uses are compared: --limit compares more`);
      break;
    }
    const use = recordedUseFrom(bytes);
    if (isProblem(use) || use === 'other') comparison.skip(use === 'other' ? 'it is not a use' : use.problem, { seq });
    else comparison.addUse(use, taskOf(use.task));
    count += 1;
    if (count % PROGRESS_EVERY !== 0) continue;
    io.progress?.(`${count} uses`);
    await turn();
  }
}

/** Yields, so that signals are handled. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
