/** `remit policy analyze`: prove what a change of policies allows. */
import { printable } from '../../core/ledger/timeline-text.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { compareSets } from '../../tools/policy/analyze/analysis.ts';
import type { AnalysisOptions } from '../../tools/policy/analyze/analysis.ts';
import { grantsAgainstUses } from '../../tools/policy/analyze/grants.ts';
import { heldTo } from '../../tools/policy/analyze/invariants.ts';
import { programVersions } from '../../tools/policy/analyze/programs.ts';
import type { AnalysisPrograms } from '../../tools/policy/analyze/programs.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { DEFAULT_BOUNDS, Prover } from '../../tools/policy/analyze/prover.ts';
import type { ProverBounds } from '../../tools/policy/analyze/prover.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import {
  analysisLines,
  ANALYSIS_RULES,
  analysisSarif,
  casesOf,
  comparisonFindings,
  grantFindings,
  invariantFindings,
} from './analysis-report.ts';
import type { AnalysisFinding } from './analysis-report.ts';
import { casesProblem, casesWritten, programsFor, timeoutFrom } from './solver-options.ts';
import { policySetsAt } from './policy-operand.ts';
import { specificationAt } from './specification.ts';
import type { SpecificationFile } from './specification.ts';

const help = `remit policy analyze: prove what a change of policies allows, for every request there can be

usage: remit policy analyze OLD NEW [OPTION ...]
       remit policy analyze SET --spec FILE.cedar [OPTION ...]
       remit policy analyze SET --grants [OPTION ...]

  OLD, NEW, SET    policy folders, or signed bundles with --keys
  --spec FILE      hold the set (NEW, or SET) to policies that say what must be: a \`forbid\`, of which nothing that it matches may be
                   allowed; \`permit\`s, beyond which nothing may be allowed of the actions that they name, or of all. Each with @id and @reason
  --grants         find actions for which a token may be granted and no use can be allowed, and the reverse
  --action ID      only this action of the catalog, or \`issue\`; may be repeated. Default: all that differ, with --spec or --grants all
  --cases FILE     write the counter-examples as tests for \`remit policy test\`: a new file that ends in \`.cedartests.json\`
  --engine FOLDER  has \`cedar\`, built with its feature \`analyze\`, and \`cvc5\`; default: where \`npm run parts -- analysis\` puts them
                   ($REMIT_CACHE, default ~/.cache/remit), then the path
  --timeout N      seconds for one question to the solver, 1 to 3600; default ${DEFAULT_BOUNDS.timeoutSeconds}
  --memory MIB     memory of one question, 512 to 65536; default ${DEFAULT_BOUNDS.maxMemoryMiB}
  --jobs N         questions at the same time, 1 to 64; default 2
  --keys FILE      the keys of bundles, as a JWK Set
  --json           one object: good, policySet (the hash of NEW, or SET), against (that of OLD), at, prover: {cedar, cvc5}, spec: {file, sha256},
                   findings; each {action, direction, verdict, by, tried, policies, catalog, invariants, reason, case}. \`remit ledger evidence
                   --result\` reads it
  --sarif          SARIF 2.1.0, for code hosts

For each action whose policies or catalog entry differ: is all that NEW allows allowed by OLD, and the reverse? \`proved\` is for every agent,
intent, argument and instant that the schema allows, with the facts that Remit always keeps (an agent has a name, ages are not negative, the
resource is that of the catalog). \`refuted\` has a request that one set allows and the other does not; the engine of \`remit serve\` confirmed it.
\`undecided\` says what was tried. Both sets are judged by the catalog of NEW: if its entry, or entities, time zones or subject attributes
differ, an answer that would be \`proved\` is \`undecided\`. Cedar's symbolic analysis and cvc5 run in processes of their own, in bounds, on
texts in a temporary folder. Not looked at: policies in shadow, what \`enforcement.yaml\` observes, limits, what Remit refuses before it asks
policies (a call outside of its intent, a spent budget), and which entities exist: an example may have agents and groups that the folder does
not have yet.

  remit policy analyze main/cedar-policies cedar-policies
  remit policy analyze cedar-policies --spec invariants.cedar --sarif > remit.sarif

exit codes: 0 all is proved, 1 something is refuted or undecided, 2 bad use, bad input, or the programs are missing`;

/** `remit policy analyze`. */
export const policyAnalyze: Command = { name: 'policy analyze', help, run: analyze };

const NAME = 'remit policy analyze';
const flag = { type: 'boolean', default: false } as const;
const text = { type: 'string' } as const;
const OPTIONS = {
  spec: text,
  grants: flag,
  action: { type: 'string', multiple: true },
  cases: text,
  engine: text,
  keys: text,
  timeout: text,
  memory: text,
  jobs: text,
  json: flag,
  sarif: flag,
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;
type Values = Exclude<ReturnType<typeof optionsFrom<typeof OPTIONS>>, string>['values'];

async function analyze(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, OPTIONS, 2);
  if (typeof options === 'string') return refused(io, NAME, options);
  const { json, sarif, cases } = options.values;
  if (json && sarif) return refused(io, NAME, '`--json` and `--sarif` exclude each other');
  const unwritable = await casesProblem(cases);
  if (unwritable !== null) return refused(io, NAME, unwritable.problem);
  const found = await findingsOf(options.operands, options.values, io);
  io.progress?.('');
  if (isCommandRefusal(found)) return refused(io, NAME, found);
  const { findings, about } = found;
  const isGood = findings.every(({ verdict }) => verdict.kind === 'proved');
  const unwritten = await casesWritten(casesOf(findings), cases);
  if (unwritten !== null) return refused(io, NAME, unwritten.problem);
  if (json) io.out(JSON.stringify({ good: isGood, ...about, findings: findings.map(({ shown }) => shown) }));
  else if (sarif) io.out(JSON.stringify(analysisSarif(findings, ANALYSIS_RULES)));
  else for (const line of analysisLines(findings)) io.out(printable(line));
  return isGood ? EXIT.good : EXIT.no;
}

async function findingsOf(
  [before, after]: readonly string[],
  values: Values,
  io: Io,
): Promise<Analysed | CommandRefusal> {
  if (before === undefined) return taskRefusal('OLD and NEW are required, or a set with --spec or --grants');
  if (after === undefined && values.spec === undefined && !values.grants)
    return taskRefusal('NEW is required, or --spec, or --grants');
  const bounds = boundsIn(values);
  if (typeof bounds === 'string') return taskRefusal(bounds);
  const programs = await programsFor(values.engine, io);
  if (isProblem(programs)) return taskRefusal(programs.problem);
  const sets = await policySetsAt(after === undefined ? [before] : [before, after], values.keys);
  if (isCommandRefusal(sets)) return sets;
  const unknown = (values.action ?? []).find(
    (action) => action !== 'issue' && !sets.some(({ catalog }) => catalog.actions.has(action)),
  );
  if (unknown !== undefined) return taskRefusal(`no catalog has the action \`${unknown}\``);
  const { jobs: _jobs, ...ofQuestion } = bounds;
  const opened = { programs, bounds: ofQuestion, within: io.environment['TMPDIR'] };
  const at = new Date(systemPorts.nowMs()).toISOString();
  const found = await withProvers(sets, opened, (provers) =>
    answersOf(sets, provers, { values, jobs: bounds.jobs, io }),
  );
  if (isCommandRefusal(found)) return found;
  const prover = values.json ? await programVersions(programs) : null;
  const against = sets.length === 1 ? null : (sets[0]?.hash ?? null);
  return { findings: found.findings, about: { policySet: sets.at(-1)?.hash, against, at, prover, spec: found.spec } };
}

/** The answers, and which sets and specification they are about. */
interface Analysed {
  readonly findings: readonly AnalysisFinding[];
  readonly about: Readonly<Record<string, unknown>>;
}

async function answersOf(
  sets: readonly PolicySet[],
  provers: readonly Prover[],
  { values, jobs, io }: { readonly values: Values; readonly jobs: number; readonly io: Io },
): Promise<
  { readonly findings: readonly AnalysisFinding[]; readonly spec: SpecificationFile | null } | CommandRefusal
> {
  const [former, other] = sets;
  const asked: AnalysisOptions = { atOnce: jobs, actions: values.action ?? null, onProgress: progressOf(io) };
  const found: AnalysisFinding[] = [];
  const [ofFormer, ofOther] = provers;
  if (former !== undefined && other !== undefined && ofFormer !== undefined && ofOther !== undefined) {
    const compared = await compareSets([former, other], { former: ofFormer, other: ofOther }, asked);
    found.push(...comparisonFindings(compared, [former, other]));
  }
  const [set, prover] = [sets.at(-1), provers.at(-1)];
  if (set === undefined || prover === undefined) return { findings: found, spec: null };
  if (values.grants) found.push(...grantFindings(await grantsAgainstUses(set, prover, asked), set));
  if (values.spec === undefined) return { findings: found, spec: null };
  const spec = await specificationAt(values.spec, set);
  if (isCommandRefusal(spec)) return spec;
  const held = await heldTo(spec.set, set, prover, asked);
  if (held.length === 0) return taskRefusal(`\`${values.spec}\` has no policy about an action that was asked about`);
  return { findings: [...found, ...invariantFindings(held, set)], spec: spec.file };
}

const progressOf =
  ({ progress }: Io): AnalysisOptions['onProgress'] =>
  (done, all) =>
    progress?.(`${done} of ${all} questions`);

/** Opens a prover for each set, passes them on and closes them. */
async function withProvers<T>(
  sets: readonly PolicySet[],
  {
    programs,
    bounds,
    within,
  }: { readonly programs: AnalysisPrograms; readonly bounds: ProverBounds; readonly within: string | undefined },
  use: (provers: readonly Prover[]) => Promise<T>,
): Promise<T> {
  const provers: Prover[] = [];
  try {
    for (const { schema } of sets) provers.push(await Prover.open(programs, schema, { ...bounds, within }));
    return await use(provers);
  } finally {
    await Promise.all(provers.map((prover) => prover.close()));
  }
}

function boundsIn({ timeout, memory, jobs }: Values): (ProverBounds & { readonly jobs: number }) | string {
  const timeoutSeconds = timeoutFrom(timeout);
  const maxMemoryMiB = within(memory, [512, 65_536, DEFAULT_BOUNDS.maxMemoryMiB]);
  const atOnce = within(jobs, [1, 64, 2]);
  if (isProblem(timeoutSeconds)) return timeoutSeconds.problem;
  if (maxMemoryMiB === null) return '--memory must be a whole number of MiB from 512 to 65536';
  return atOnce === null
    ? '--jobs must be a whole number from 1 to 64'
    : { timeoutSeconds, maxMemoryMiB, jobs: atOnce };
}

/** A whole number in bounds; `null` for any other word. */
function within(word: string | undefined, [least, most, usual]: readonly [number, number, number]): number | null {
  const value = word === undefined ? usual : /^\d{1,6}$/.test(word) ? Number(word) : Number.NaN;
  return value >= least && value <= most ? value : null;
}
