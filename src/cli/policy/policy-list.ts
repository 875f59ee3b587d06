/** `remit policy list`: list policies with owner, end and last use. */
import { printable } from '../../core/ledger/timeline-text.ts';
import { compileForTool } from '../../core/policy/loading/compile.ts';
import { whileProved } from '../../core/policy/loading/proved-set.ts';
import type { PolicyEntry } from '../../core/policy/loading/policy-file.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { lintingOf } from '../../tools/policy/lint/lint.ts';
import { endsWithin, isUnused, listedPolicies } from '../../tools/policy/list/listed-policies.ts';
import type { ListedPolicy } from '../../tools/policy/list/listed-policies.ts';
import { PolicyUses } from '../../tools/policy/list/policy-uses.ts';
import { ownerFinder } from '../../tools/policy/owners/ownership.ts';
import { ownersIn } from '../../tools/policy/owners/owners-file.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import {
  filterFrom,
  filterWords,
  LEDGER_HELP,
  ledgerFolderOf,
  ledgerOptions,
  withLedger,
} from '../ledger/ledger-source.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { findingCounts } from './finding-lines.ts';

const help = `remit policy list: list the policies of a folder, with owner, end and last use

usage: remit policy list [FOLDER] [--expiring DAYS] [--unused] [--json] [OPTION ...]

  FOLDER              a policy folder; default \`cedar-policies\`
  --expiring DAYS     only permits whose \`@until\` is over or comes within this time: \`30d\`
  --unused            only permits that decided no record, or that lint finds to have no effect; needs a ledger
  --since TIME        count records from here on: 2026-01-02T03:04:05Z, 2026-01-02, or -90d
${LEDGER_HELP}
  --json              one object: folder, since (of the oldest record), policies; each {id, effect, file, line, column, shadow, owner,
                      untilMs, isOver, use: {count, lastMs, never} or {never, sinceMs}, idle}

The last use is by the records of a ledger, if one is named. A record names the policies that decided it: permits of a call that was
allowed, forbids of one that was denied.

  remit policy list --expiring 30d
  remit policy list /etc/remit/policies --unused --ledger /var/lib/remit/ledger

exit codes: 0 listed, 1 with \`--expiring\` or \`--unused\` some were found, 2 bad use or input`;

/** `remit policy list`. */
export const policyList: Command = { name: 'policy list', help, run: list };

const NAME = 'remit policy list';
const DAY_MS = 86_400_000;

const OPTIONS = {
  ...ledgerOptions,
  since: { type: 'string' },
  expiring: { type: 'string' },
  unused: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;
type Values = Exclude<ReturnType<typeof optionsFrom<typeof OPTIONS>>, string>['values'];

async function list(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(filterWords(args), OPTIONS, 1);
  if (typeof options === 'string') return refused(io, NAME, options);
  const folder = options.operands[0] ?? 'cedar-policies';
  const { values } = options;
  const days = values.expiring === undefined ? null : daysFrom(values.expiring);
  if (days === 'invalid') return refused(io, NAME, '--expiring must be a number of days from `1d` to `3650d`');
  const listed = await listedIn(folder, values, io);
  if (isCommandRefusal(listed)) return refused(io, NAME, listed);
  const { policies, sinceMs, nowMs } = listed;
  const shown = policies.filter(
    (policy) => (days === null || endsWithin(policy, nowMs, days * DAY_MS)) && (!values.unused || isUnused(policy)),
  );
  if (values.json) io.out(JSON.stringify({ folder, since: sinceMs, policies: shown }));
  else for (const line of lines(shown, { folder, sinceMs, nowMs })) io.out(printable(line));
  return shown.length > 0 && (days !== null || values.unused) ? EXIT.no : EXIT.good;
}

function daysFrom(text: string): number | 'invalid' {
  const days = Number(/^(\d{1,4})d$/.exec(text)?.[1] ?? 0);
  return days >= 1 && days <= 3650 ? days : 'invalid';
}

interface Listed {
  readonly policies: readonly ListedPolicy[];
  readonly sinceMs: number | null;
  readonly nowMs: number;
}

async function listedIn(folder: string, values: Values, io: Io): Promise<Listed | CommandRefusal> {
  const nowMs = systemPorts.nowMs();
  const filter = filterFrom({ since: values.since }, nowMs);
  if (isCommandRefusal(filter)) return filter;
  const isLedgerNamed = [values.config, values.state, values.ledger].some((place) => place !== undefined);
  if (!isLedgerNamed && (values.unused || values.since !== undefined))
    return taskRefusal('--unused and --since need a ledger: name one with --config, --state or --ledger');
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return taskRefusal(`the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  const result =
    'findings' in source
      ? source
      : await whileProved(source, compileForTool(), (set) => lintingOf(source, set.catalog, { nowMs, loaded: set }));
  if ('findings' in result)
    return taskRefusal(
      result.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'),
    );
  const uses = isLedgerNamed ? await usesIn(values, filter, io) : null;
  if (uses !== null && isCommandRefusal(uses)) return uses;
  const findings = result.done(result.set.warnings);
  const owned = await ownersIn(folder);
  const teamOf = ownerFinder(owned?.owners ?? [], result.set.source);
  const ownerOf = (policy: PolicyEntry): string | null => teamOf(policy)?.team ?? null;
  const policies = listedPolicies(result.set.policies, { nowMs, ownerOf, findings, uses });
  return { policies, sinceMs: uses?.sinceMs ?? null, nowMs };
}

async function usesIn(
  values: Values,
  filter: Exclude<ReturnType<typeof filterFrom>, CommandRefusal>,
  io: Io,
): Promise<PolicyUses | CommandRefusal> {
  const ledger = await ledgerFolderOf(values, io);
  if (isCommandRefusal(ledger)) return ledger;
  return withLedger<PolicyUses>(ledger, async (log) => {
    const uses = new PolicyUses();
    for (const { bytes } of log.found(filter, { isNewestFirst: true })) uses.add(bytes);
    return uses;
  });
}

function* lines(
  shown: readonly ListedPolicy[],
  { folder, sinceMs, nowMs }: { readonly folder: string; readonly sinceMs: number | null; readonly nowMs: number },
): Generator<string> {
  for (const policy of shown) {
    const { id, effect, file, line, column, shadow } = policy;
    yield `${file}:${line}:${column}: ${effect} \`${id}\`${shadow ? ' in shadow' : ''}: ${aboutOf(policy, nowMs).join('; ')}`;
  }
  yield `${folder}: ${findingCounts(shown.length, 'policy', 'policies')}${sinceMs === null ? '' : `, records since ${dayOf(sinceMs)}`}`;
}

function aboutOf({ owner, untilMs, isOver, use, idle }: ListedPolicy, nowMs: number): readonly string[] {
  return [
    owner === null ? 'no owner' : `owner ${owner}`,
    ...(untilMs === null ? [] : [isOver ? `ended on ${dayOf(untilMs)}` : endOf(untilMs, nowMs)]),
    ...(use === null
      ? []
      : [
          use.never
            ? `never used since ${dayOf(use.sinceMs)}`
            : `used ${findingCounts(use.count, 'time')}, last on ${dayOf(use.lastMs)}`,
        ]),
    ...(idle === null || isOver ? [] : [idle]),
  ];
}

const endOf = (untilMs: number, nowMs: number): string =>
  `ends on ${dayOf(untilMs)}, in ${findingCounts(Math.ceil((untilMs - nowMs) / DAY_MS), 'day')}`;

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
