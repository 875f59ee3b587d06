/** `remit explain`: say in plain words why a call was denied. */
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { compileInWorker } from '../../core/policy/loading/compile.ts';
import { loadPolicies } from '../../core/policy/loading/load.ts';
import { systemDisk } from '../../core/policy/loading/source.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import { recordedWith } from '../../tools/policy/compare/recorded-task.ts';
import type { RecordedTask } from '../../tools/policy/compare/recorded-task.ts';
import { readCaseOf } from '../../tools/policy/compare/replay.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { explainedCase } from './explained-case.ts';
import { foundDecision } from './found-decision.ts';
import { explainedDecision, explainedLines } from './explain-text.ts';
import { optionsFrom } from '../options.ts';
import { configuredFolder } from '../policy/policy-operand.ts';
import { isCommandRefusal, sourceOf } from '../task/task-source.ts';

const help = `remit explain: say in plain words why a call was denied, from what its client was shown

usage: remit explain ID [--config FILE | --state FILE] [--ledger DIR] [--policies FOLDER] [--json]

  ID                what the client was shown: the decision id (\`decision\` of the body, \`id\` of \`x-remit-decision\`) or the trace id;
                    of a trace the newest decision is explained and the others are named
  --config, --state where the records are: the configuration (default /etc/remit/remit.yaml), or the state file
  --ledger DIR      the folder of the ledger, if it is another
  --policies FOLDER the policies by which a change is tried; default those of the configuration
  --json            one object: decisionId, decision, reason, hasPassed, asked, decided, differ, next

Prints what was asked, what was decided and why, which policies decided, what would have to differ, and how to go on. Where the policies
denied, each change it names was tried with the policies as they are now. \`remit policy explain ID\` has every near miss. Of a call that
passed because it is only observed, it explains what enforcing would have decided. On an authority, records of sidecars are found with
\`remit ledger query --decision-id ID\`.

  remit explain 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55
  remit explain 4bf92f3577b34da6a3ce929d0e0e4736 --state /var/lib/remit/state.db --policies cedar-policies

exit codes: 0 explained, whatever was decided; 1 there is no such decision; 2 bad use or bad input`;

/** `remit explain`. */
export const explainCommand: Command = { name: 'explain', help, run: explain };

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  ledger: { type: 'string' },
  policies: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;
type Values = Readonly<Partial<Record<'config' | 'state' | 'ledger' | 'policies', string | undefined>>>;

async function explain(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, OPTIONS, 1);
  if (typeof options === 'string') return refused(io, 'remit explain', options);
  const [id] = options.operands;
  if (id === undefined) return refused(io, 'remit explain', 'a decision id or a trace id is required');
  const source = await sourceOf(options.values, io);
  if (isCommandRefusal(source)) return refused(io, 'remit explain', source);
  const found = foundDecision(id.toLowerCase(), source);
  if (isCommandRefusal(found)) return refused(io, 'remit explain', found);
  const { record } = found;
  const isOfPolicies = record.kind === 'use' && record.reason?.startsWith('policy.') === true;
  const needed = isOfPolicies ? await neededChanges(record, found.task, { values: options.values, io }) : [];
  const explained = explainedDecision(found, needed);
  if (options.values.json) io.out(printableJson(explained));
  else for (const line of explainedLines(explained)) io.out(printable(line));
  return EXIT.good;
}

/** What would change the answer of the policies, as they are now; or why that is not known. */
async function neededChanges(
  record: PlacedUse,
  task: RecordedTask | null,
  { values, io }: { readonly values: Values; readonly io: Io },
): Promise<readonly string[]> {
  const folder = values.policies ?? (await configuredFolder(values, io));
  if (folder === null) return ['which change of the policies: name their folder with --policies'];
  const policies = await loadPolicies(folder, { disk: systemDisk, compile: compileInWorker() });
  if ('findings' in policies) return [`which change of the policies: those in \`${folder}\` cannot be loaded`];
  const read = readCaseOf(record, recordedWith(record, task, policies.catalog));
  const explained = isProblem(read) ? read : explainedCase(read.test, policies);
  if (isProblem(explained) || explained.explanation === null) return [];
  if (explained.decision.kind === 'allow') return ['nothing: the policies as they are now allow such a call'];
  return explained.explanation.needed;
}
