/** `remit policy lint`: find what is valid but probably a mistake. */
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { lintFindings, lintingOf, PROVED_RULE } from '../../tools/policy/lint/lint.ts';
import { catalogRules, lintRules, templateRules } from '../../tools/policy/lint/rules.ts';
import { uselessPolicies } from '../../tools/policy/analyze/useless.ts';
import type { UselessPolicy } from '../../tools/policy/analyze/useless.ts';
import { placeInPolicy } from '../../tools/policy/explain/probe.ts';
import { DEFAULT_BOUNDS, Prover } from '../../tools/policy/analyze/prover.ts';
import { policySetFrom } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { programsFor, timeoutFrom } from './solver-options.ts';
import { compileForTool } from '../../core/policy/loading/compile.ts';
import { whileProved } from '../../core/policy/loading/proved-set.ts';
import { catalogOf } from '../../core/policy/loading/source-catalog.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingCounts, findingLines, shownFiles } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';
import { sarifOf } from './sarif.ts';

const RULES = new Map<string, string>([
  ['invalid', 'findings of `remit policy validate`'],
  ...catalogRules,
  ...Array.from(lintRules, ([id, { about }]) => [id, about] as const),
  ...templateRules,
  [PROVED_RULE, 'with `--prove`: a policy, permit or operand of `||` that decides nothing'],
  ['useless-accept', 'an `@accept` without a matching finding'],
]);

const help = `remit policy lint: find what is valid but probably a mistake

usage: remit policy lint [FOLDER] [--prove [--engine FOLDER] [--timeout N]] [--json | --sarif]

  FOLDER    a policy folder; default \`cedar-policies\`
  --json    one object: folder, findings; each {rule, level, policy, file, line, column, message, help}
  --sarif   SARIF 2.1.0, for code hosts
  --prove   also find by proof, as \`remit policy analyze\` does, policies that can match nothing, permits of which forbids or other permits
            cover all, and operands of \`||\` without which a policy matches the same: some questions for each policy and each operand
  --engine  the folder of its programs, as for \`remit policy analyze\`
  --timeout seconds for one question to the solver, 1 to 3600; default ${DEFAULT_BOUNDS.timeoutSeconds}. A policy that stays undecided is not reported

${Array.from(RULES, ([id, about]) => `  ${id.padEnd(20)} ${about}`).join('\n')}

Findings of validation are errors, \`per-use-value\`, \`permitted-anyway\`, \`unlimited-amount\` and permits that others cover by proof are notes, all
others are warnings. Accept findings of a policy with
\`@accept("rule rule")\`; an \`@accept\` that no longer matches a finding is reported as one.

  remit policy lint
  remit policy lint cedar-policies --sarif > remit.sarif

exit codes: 0 only notes or nothing, 1 warnings or errors, 2 bad use or an unreadable folder`;

/** `remit policy lint`. */
export const policyLint: Command = { name: 'policy lint', help, run: lint };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

interface Shown extends SourceFinding {
  readonly rule: string;
  readonly level: 'error' | 'warning' | 'note';
  readonly policy: string | null;
}

const flag = { type: 'boolean', default: false } as const;

async function lint(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(
    args,
    { json: flag, sarif: flag, prove: flag, engine: { type: 'string' }, timeout: { type: 'string' } },
    1,
  );
  if (typeof options === 'string') return refused(io, 'remit policy lint', options);
  const { json, sarif } = options.values;
  if (json && sarif) return refused(io, 'remit policy lint', '`--json` and `--sarif` exclude each other');
  const { prove, engine, timeout } = options.values;
  const timeoutSeconds = timeoutFrom(timeout);
  if (isProblem(timeoutSeconds)) return refused(io, 'remit policy lint', timeoutSeconds.problem);
  if (timeout !== undefined && !prove) return refused(io, 'remit policy lint', '--timeout goes with --prove');
  const folder = options.operands[0] ?? 'cedar-policies';
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(io, 'remit policy lint', `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  const linted = 'findings' in source ? errorsOf(source.findings) : await findingsIn(source);
  const isProved = prove && !('findings' in source) && linted.every(({ level }) => level !== 'error');
  const useless = isProved ? await provedUseless(source, { engine, timeoutSeconds }, io) : [];
  io.progress?.('');
  if (isCommandRefusal(useless)) return refused(io, 'remit policy lint', useless);
  const findings = [...linted, ...useless.filter((one) => !isKnown(one, linted))];
  if (json) io.out(JSON.stringify({ folder, findings }));
  else if (sarif)
    io.out(
      JSON.stringify(
        sarifOf(
          findings.map((finding) => ({ rule: finding.rule, level: finding.level, finding })),
          RULES,
        ),
      ),
    );
  else print(io, folder, { findings, source: 'findings' in source ? null : source });
  return findings.every(({ level }) => level === 'note') ? EXIT.good : EXIT.no;
}

const errorsOf = (findings: readonly SourceFinding[]): readonly Shown[] =>
  findings.map((finding) => ({ rule: 'invalid', level: 'error', policy: null, ...finding }));

async function findingsIn(source: PolicySource): Promise<readonly Shown[]> {
  const nowMs = systemPorts.nowMs();
  const result = await whileProved(source, compileForTool(), (set) =>
    lintingOf(source, set.catalog, { nowMs, loaded: set }),
  );
  if (!('findings' in result)) return result.done(result.set.warnings);
  const catalog = await catalogOf(source);
  return [
    ...errorsOf(result.findings),
    ...('findings' in catalog ? [] : lintFindings(source, catalog, { warnings: [], nowMs })),
  ];
}

const MEND = 'mend its conditions, or delete it';
/** Most permits that a finding names. */
const MAX_NAMED = 5;

/** Level, message and help of a policy or operand that decides nothing. */
function saying(useless: UselessPolicy): Pick<Shown, 'level' | 'message' | 'help'> {
  switch (useless.why) {
    case 'never':
      return {
        level: 'warning',
        message: 'the policy can match no request: its conditions contradict each other',
        help: MEND,
      };
    case 'forbidden':
      return {
        level: 'warning',
        message: 'the permit has no effect: forbids cover all that it matches',
        help: MEND,
      };
    case 'branch':
      return {
        level: 'warning',
        message: `\`${useless.branch.text}\` decides nothing: it never holds, or the rest of its \`||\` holds too`,
        help: 'mend it, or delete it from its `||`',
      };
    case 'covered':
      return { level: 'note', message: `the permit adds nothing: ${coveredBy(useless.by)}`, help: MEND };
    default:
      return useless satisfies never;
  }
}

function coveredBy(ids: readonly string[]): string {
  const named = ids.slice(0, MAX_NAMED).map((id) => `\`${id}\``);
  if (ids.length === 1) return `${named.join('')} permits all that it permits`;
  const more = ids.length > MAX_NAMED ? ` and ${ids.length - MAX_NAMED} more` : '';
  return `${named.join(', ')}${more} together permit all that it permits`;
}

const COVERED_RULE = 'permitted-anyway';

/** Whether the lint rule already found this covered permit from its text, without a proof. */
const isKnown = ({ level, policy }: Shown, linted: readonly Shown[]): boolean =>
  level === 'note' && linted.some((one) => one.rule === COVERED_RULE && one.policy === policy);

/** The policies and operands that are proved to decide nothing, without policies that accept the rule. */
async function provedUseless(
  source: PolicySource,
  { engine, timeoutSeconds }: { readonly engine: string | undefined; readonly timeoutSeconds: number },
  io: Io,
): Promise<readonly Shown[] | CommandRefusal> {
  const programs = await programsFor(engine, io);
  if (isProblem(programs)) return taskRefusal(programs.problem);
  const set = await policySetFrom(source);
  if ('findings' in set) return errorsOf(set.findings);
  const prover = await Prover.open(programs, set.schema, { timeoutSeconds });
  try {
    const onProgress = (done: number, all: number): void => io.progress?.(`${done} of ${all} policies`);
    const found = await uselessPolicies(set, prover, { atOnce: 2, onProgress });
    return found
      .filter(({ policy: { accepts }, why }) => {
        const isAccepted = accepts.includes(PROVED_RULE) || (why === 'covered' && accepts.includes(COVERED_RULE));
        return !isAccepted;
      })
      .map(shownOf);
  } finally {
    await prover.close();
  }
}

function shownOf(useless: UselessPolicy): Shown {
  const { id, file } = useless.policy;
  return { rule: PROVED_RULE, policy: id, file, ...placeOf(useless), ...saying(useless) };
}

/** The place of the policy, or of its operand. */
const placeOf = (useless: UselessPolicy): Pick<Shown, 'line' | 'column' | 'end'> =>
  useless.why === 'branch'
    ? {
        ...placeInPolicy(useless.policy, useless.branch.start),
        end: placeInPolicy(useless.policy, useless.branch.end),
      }
    : { line: useless.policy.line, column: useless.policy.column };

function print(
  io: Io,
  folder: string,
  { findings, source }: { readonly findings: readonly Shown[]; readonly source: PolicySource | null },
): void {
  const files = shownFiles(source);
  for (const { rule, level, ...finding } of findings) {
    const shown = { ...finding, message: `${finding.message} [${rule}]` };
    for (const line of findingLines(shown, { files, prefix: `${level}: ` })) io.out(line);
  }
  const of = (wanted: Shown['level']): number => findings.filter(({ level }) => level === wanted).length;
  io.out(
    `${folder}: ${findingCounts(of('error'), 'error')}, ${findingCounts(of('warning'), 'warning')}, ${findingCounts(of('note'), 'note')}`,
  );
}
