/** `remit limits try`: say what limits over all tasks would have denied, on recorded uses. */
import { systemPorts } from '../../core/runtime/ports.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { ledgerSource, receivedSource } from '../../tools/learn/record-window.ts';
import type { ReadCounts, RecordSource, Span } from '../../tools/learn/record-window.ts';
import { LimitTrial } from '../../tools/policy/limits/limit-trial.ts';
import type { LimitTrialReport } from '../../tools/policy/limits/limit-trial.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions, withLedger } from '../ledger/ledger-source.ts';
import { RECEIVED_HELP, receivedOf, receivedOptions } from '../ledger/received-source.ts';
import { optionsFrom } from '../options.ts';
import { findingCounts } from '../policy/finding-lines.ts';
import { configuredFolder, policySetAt } from '../policy/policy-operand.ts';
import { INSTANT_RULE, instantFrom, UNTIL_RULE, withInstants } from '../task/instant.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { trialLines } from './trial-lines.ts';
import { subjectsIn, tryRecords } from './tried-records.ts';

const help = `remit limits try: say what limits over all tasks would have denied, on recorded uses

usage: remit limits try [FOLDER] [--keys FILE] [OPTION ...]

  FOLDER              the policy folder with \`limits.yaml\`, or a bundle signed by a key of --keys; default that of the configuration
  --keys FILE         the JWK Set that verifies bundles
  --since TIME        start of the records that are read: 30d for thirty days ago (the default; s, m, h, d), 2026-01-02, or
                      2026-01-02T03:04:05Z
  --until TIME        end, exclusive; default now
${LEDGER_HELP}
${RECEIVED_HELP}
  --json              one object: path, hash, from, to, counted, denied, left, limits, untried. A limit has limit, measure, counts, max,
                      windowMs and keys {who, windows, denied, most, first {atMs, decisionId}}; amounts of \`decimal\` are in ten-thousandths

Counted is what was allowed, and what a limit denied: uses of every credential, and declared tasks, in the order of their instants. What would
have been denied is not counted, as the state does, and has no other effect here: an agent that \`then: stop\` would have stopped goes on.

Amounts and different values need the arguments of the calls: the catalog records those with \`record: true\`. Uses whose records lack one
are counted as not tried; so are those of external tokens by limits per user. Tasks that were open before the span are not known.

Records are read beside a running \`remit serve\`, and not verified.

  remit limits try
  remit limits try cedar-policies --since 7d
  remit limits try cedar-policies --ledger /mnt/copy/ledger --received /mnt/copy/received --json

exit codes: 0 nothing would have been denied, 1 something would have been, 2 bad use, bad input, or no limits`;

/** `remit limits try`. */
export const limitsTryCommand: Command = { name: 'limits try', help, run: limitsTry };

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  keys: { type: 'string' },
  since: { type: 'string', default: '30d' },
  until: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;
type Values = Exclude<ReturnType<typeof optionsFrom<typeof OPTIONS>>, string>['values'];

const NAME = 'remit limits try';

/** Runs `remit limits try`; the exit code is whether something would have been denied. */
export async function limitsTry(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(withInstants(args, ['--since', '--until']), OPTIONS, 1);
  if (typeof options === 'string') return refused(io, NAME, options);
  const { values, operands } = options;
  const tried = await triedBy(operands[0], values, io);
  io.progress?.('');
  if (isCommandRefusal(tried)) return refused(io, NAME, tried);
  const { report } = tried;
  if (values.json) io.out(printableJson(jsonOf(tried)));
  else for (const line of linesOf(tried)) io.out(printable(line));
  return report.denied === 0 ? EXIT.good : EXIT.no;
}

interface Tried {
  readonly path: string;
  readonly set: PolicySet;
  readonly span: Span;
  readonly counts: ReadCounts;
  readonly report: LimitTrialReport;
}

async function triedBy(folder: string | undefined, values: Values, io: Io): Promise<Tried | CommandRefusal> {
  const span = spanOf(values);
  if (isCommandRefusal(span)) return span;
  const path = folder ?? (await configuredFolder(values, io));
  if (path === null) return taskRefusal('no configuration names a policy folder: name it');
  const set = await policySetAt(path, values.keys);
  if (isCommandRefusal(set)) return set;
  if (set.limits.length === 0) return taskRefusal(`\`${path}\` has no limits: they are in its file \`limits.yaml\``);
  const ledger = await ledgerFolderOf(values, io);
  if (isCommandRefusal(ledger)) return ledger;
  const received = await receivedOf(values, io);
  if (isCommandRefusal(received)) return received;
  return withLedger<Tried>(ledger, async (log) => {
    const sources: readonly RecordSource[] = [ledgerSource(log), ...[...received.values()].map(receivedSource)];
    const trial = new LimitTrial(set, subjectsIn(log));
    const onProgress = (read: number): void => io.progress?.(`read record ${read}`);
    const counts = await tryRecords([trial], sources, { span, onProgress });
    const report = trial.report();
    if (counts.missing > 0) io.err(`${NAME}: ${counts.missing} records are missing between others`);
    if (counts.foreign > 0) io.err(`${NAME}: ${counts.foreign} records could not be parsed`);
    if (report.left > 0) io.err(`${NAME}: ${report.left} uses were not counted: there are too many keys`);
    return { path, set, span, counts, report };
  });
}

function spanOf({ since, until }: Values): Span | CommandRefusal {
  const nowMs = systemPorts.nowMs();
  const fromMs = instantFrom(since, nowMs);
  const toMs = until === undefined ? nowMs : instantFrom(until, nowMs);
  if (fromMs === null) return taskRefusal(`--since must be ${INSTANT_RULE}`);
  if (toMs === null) return taskRefusal(`--until must be ${INSTANT_RULE}`);
  return toMs <= fromMs ? taskRefusal(UNTIL_RULE) : { fromMs, toMs };
}

const instantText = (atMs: number): string => new Date(atMs).toISOString();

const jsonOf = ({ path, set, span, report }: Tried): unknown => ({
  path,
  hash: set.hash,
  from: instantText(span.fromMs),
  to: instantText(span.toMs),
  ...report,
});

const linesOf = ({ path, set, span, counts, report }: Tried): readonly string[] => [
  `${path}: ${findingCounts(set.limits.length, 'limit')}, set ${set.hash}`,
  `${findingCounts(counts.records, 'record')} from ${instantText(span.fromMs)} to ${instantText(span.toMs)}`,
  ...trialLines(report),
  `${report.counted} counted, ${report.denied} would have been denied`,
];
