/** `remit inventory`: list agents, users, servers, tools and grants, and when each was last used. */
import { instantOf } from '../authority/records/record-instant.ts';
import type { LogReader } from '../core/ledger/log/log-reader.ts';
import { aligned, printable } from '../core/ledger/timeline-text.ts';
import { compileForTool } from '../core/policy/loading/compile.ts';
import { policySetFrom } from '../core/policy/loading/load.ts';
import type { PolicySet } from '../core/policy/loading/load.ts';
import { systemPorts } from '../core/runtime/ports.ts';
import { Inventory } from '../tools/learn/inventory/inventory.ts';
import type { InventoryRow } from '../tools/learn/inventory/inventory.ts';
import { ledgerSource, receivedSource, recordsIn } from '../tools/learn/record-window.ts';
import type { ReadCounts, RecordSource } from '../tools/learn/record-window.ts';
import { withoutUnused } from '../tools/learn/inventory/unused-grants.ts';
import { runSuites } from '../tools/policy/cases/run-suites.ts';
import { readSuites } from '../tools/policy/cases/suite-source.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions, withLedger } from './ledger/ledger-source.ts';
import { RECEIVED_HELP, receivedOf, receivedOptions } from './ledger/received-source.ts';
import { optionsFrom } from './options.ts';
import { policySetAt } from './policy/policy-operand.ts';
import { instantFrom } from './task/instant.ts';
import { isCommandRefusal, taskRefusal } from './task/task-source.ts';
import type { CommandRefusal } from './task/task-source.ts';

const help = `remit inventory: list agents, users, servers, tools and grants, and when each was last used

usage: remit inventory [FOLDER] [--unused TIME] [--patch] [OPTION ...]

  FOLDER              the policy folder; default \`cedar-policies\`
  --unused TIME       only what was not used for so long: 30d, 12h, or since an instant
  --patch             print a patch for FOLDER instead: permits that permitted nothing in that time are taken out, and of the
                      others the actions that they list and never permitted. It only narrows, and what it leaves loads.
                      Refused if the records do not reach back so far, or some are missing
${LEDGER_HELP}
${RECEIVED_HELP}
  --json              one object: since, read {records, uses, foreign, missing}, rows; each {kind, id, uses, first, last, known}

A tool is an action of the catalog, a grant is a permit. What only records know is listed too, marked \`not in the folder\`. A user
is the subject of a task. The whole ledger is read, with --patch the time of --unused alone. Records are not verified.

  remit inventory --unused 30d
  remit inventory /etc/remit/policies --unused 30d --patch > narrow.patch

exit codes: 0 printed, 1 with --patch: nothing to narrow, or what is left would not load; 2 bad use, a folder with findings, or a
ledger that cannot be read`;

/** `remit inventory`. */
export const inventoryCommand: Command = { name: 'inventory', help, run: runInventory };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

const NAME = 'remit inventory';

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  unused: { type: 'string' },
  patch: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

/** Runs `remit inventory`; the exit code is the answer. */
export async function runInventory(args: readonly string[], io: Io): Promise<number> {
  const problem = await listed(args, io);
  io.progress?.('');
  return problem === null ? EXIT.good : refused(io, NAME, problem);
}

async function listed(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const options = optionsFrom(args, OPTIONS, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const { unused, patch, json } = options.values;
  if (patch && json) return taskRefusal('--patch and --json exclude each other');
  if (patch && unused === undefined)
    return taskRefusal('--patch needs --unused: for how long nothing must have used it');
  const sinceMs = unused === undefined ? 0 : instantFrom(unused, systemPorts.nowMs());
  if (sinceMs === null) return taskRefusal('--unused must be how long, such as `30d`, or an instant');
  const set = await policySetAt(options.operands[0] ?? 'cedar-policies', undefined);
  if (isCommandRefusal(set)) return set;
  const folder = await ledgerFolderOf(options.values, io);
  if (isCommandRefusal(folder)) return folder;
  const received = await receivedOf(options.values, io);
  if (isCommandRefusal(received)) return received;
  return withLedger<null>(folder, async (log) => {
    const sources: readonly RecordSource[] = [ledgerSource(log), ...[...received.values()].map(receivedSource)];
    const counts: ReadCounts = { records: 0, uses: 0, foreign: 0, missing: 0 };
    const inventory = new Inventory();
    // A patch depends on that time alone. A list also shows when each unused name was last used, so it reads all records.
    const span = { fromMs: patch ? sinceMs : 0, toMs: Number.MAX_SAFE_INTEGER };
    for (const record of recordsIn(sources, span, { counts, onRecord: progressOf(io) })) inventory.add(record, set);
    if (counts.missing > 0) io.err(`${NAME}: ${counts.missing} records are missing between others`);
    if (counts.foreign > 0) io.err(`${NAME}: ${counts.foreign} records could not be parsed`);
    if (inventory.left > 0) io.err(`${NAME}: ${inventory.left} names found no room, or were too long`);
    if (patch) {
      const why = whyUnknown(log, sinceMs, counts);
      return why === null ? printPatch(set, inventory, io) : taskRefusal(why, EXIT.no);
    }
    const rows = inventory
      .rows(set)
      .filter(({ seen }) => unused === undefined || seen === null || seen.lastMs < sinceMs);
    if (json) io.out(JSON.stringify({ since: new Date(sinceMs).toISOString(), read: counts, rows: rows.map(jsonOf) }));
    else for (const line of aligned([HEAD, ...rows.map(cellsOf)])) io.out(line);
    return null;
  });
}

/**
 * Why the records do not show what was unused; `null` if they do: a patch from incomplete records would remove what is used. Only
 * the ledger is checked for records as old as `sinceMs`, not the logs of sidecars.
 */
function whyUnknown(log: LogReader, sinceMs: number, { missing, foreign }: ReadCounts): string | null {
  if (missing > 0 || foreign > 0) return 'no patch: records are missing or cannot be parsed, and may be of uses';
  const [first] = log.found({}, { isNewestFirst: false }).take(1);
  const firstMs = first === undefined ? null : instantOf(first.bytes);
  if (firstMs !== null && firstMs <= sinceMs) return null;
  const begin = firstMs === null ? 'there are no records' : `the records begin at ${new Date(firstMs).toISOString()}`;
  return `no patch: ${begin}, and --unused names an earlier time`;
}

const PROGRESS_EVERY = 10_000;

const progressOf =
  ({ progress }: Io) =>
  (records: number): void => {
    if (records % PROGRESS_EVERY === 0) progress?.(`read record ${records}`);
  };

async function printPatch(set: PolicySet, inventory: Inventory, io: Io): Promise<CommandRefusal | null> {
  const narrowed = withoutUnused(set, inventory);
  if (narrowed.length === 0) return taskRefusal('each permit and each action that it lists was used', EXIT.no);
  const texts = new Map(narrowed.map(({ file, text }) => [file.name, text]));
  const policies = set.source.policies.map((file) => ({ ...file, text: texts.get(file.name) ?? file.text }));
  const left = await policySetFrom({ ...set.source, policies }, { compile: compileForTool() });
  if ('findings' in left)
    return taskRefusal(`what is left would not load: ${left.findings[0]?.message ?? ''}`, EXIT.no);
  for (const { patch } of narrowed) io.out(patch);
  for (const line of await brokenCases(set, left)) io.err(line);
  return null;
}

/** Lines about the test cases that passed before and fail on the narrowed set: they expect what is removed to be allowed. */
async function brokenCases(set: PolicySet, left: PolicySet): Promise<readonly string[]> {
  const suites = await readSuites(set.source.folder);
  if ('findings' in suites) return [];
  const failedUnder = (policies: PolicySet): ReadonlySet<string> => {
    const result = runSuites(suites, policies, { isUnlistedTried: false, onProgress: () => undefined });
    const cases = 'problem' in result ? [] : result.cases.filter(({ status }) => status === 'failed');
    return new Set(cases.map(({ file, line, name }) => `${file}:${line}: ${name}`));
  };
  const before = failedUnder(set);
  const broken = [...failedUnder(left)].filter((one) => !before.has(one));
  const shown = broken.slice(0, MAX_CASES).map((one) => printable(`${NAME}: expects what is taken out: ${one}`));
  return broken.length > shown.length ? [...shown, `${NAME}: and ${broken.length - shown.length} cases more`] : shown;
}

/** Most test cases that are named. */
const MAX_CASES = 20;

const HEAD = ['KIND', 'NAME', 'USES', 'LAST USED', ''] as const;

const isoOf = (ms: number): string => new Date(ms).toISOString();

const cellsOf = ({ kind, id, seen, isKnown }: InventoryRow): readonly string[] =>
  [
    kind,
    id,
    String(seen?.count ?? 0),
    seen === null ? 'never' : isoOf(seen.lastMs),
    isKnown || kind === 'user' ? '' : 'not in the folder',
  ].map(printable);

const jsonOf = ({ kind, id, seen, isKnown }: InventoryRow): object => ({
  kind,
  id,
  uses: seen?.count ?? 0,
  first: seen === null ? null : isoOf(seen.firstMs),
  last: seen === null ? null : isoOf(seen.lastMs),
  known: isKnown,
});
