/** `remit policy test`: run the test cases of the policies. */
import { writeFile } from 'node:fs/promises';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { whileProved } from '../../core/policy/loading/proved-set.ts';
import { compileForTool } from '../../core/policy/loading/compile.ts';
import { policySetOf } from '../../core/policy/loading/load.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { borrowingDisk } from '../../core/policy/loading/borrowed-source.ts';
import { readPolicySource, systemDisk } from '../../core/policy/loading/source.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { coverageText, gapsOf } from '../../tools/policy/cases/coverage.ts';
import { junitXml } from '../../tools/policy/cases/junit.ts';
import { mutate } from '../../tools/policy/cases/mutation/mutation.ts';
import type { Mutation } from '../../tools/policy/cases/mutation/mutation.ts';
import { runSuites } from '../../tools/policy/cases/run-suites.ts';
import type { CaseResult, SuiteResult } from '../../tools/policy/cases/run-suites.ts';
import { readSuites } from '../../tools/policy/cases/suite-source.ts';
import type { Suites } from '../../tools/policy/cases/suite-source.ts';
import { remitVersion } from '../../core/config/version.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { DEFAULT_BOUNDS } from '../../tools/policy/analyze/prover.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { isNoticed, mutationLines } from './mutation-lines.ts';
import { mutationProofFrom, provedMutation } from './mutation-proof.ts';
import type { MutationProof, ProvedMutation } from './mutation-proof.ts';
import { optionsFrom } from '../options.ts';

const help = `remit policy test: run the test cases of the policies

usage: remit policy test [FOLDER] [--base FOLDER] [--filter TEXT] [--listed-only]
                         [--threshold PERCENT] [--mutate [--survivors N] [--prove [OPTION ...]]]
                         [--verbose] [--junit FILE] [--json]

  FOLDER               the policies, with their cases in *.test.yaml, or in *.cedartests.json in the format of
                       \`cedar run-tests\`; also in its subfolders policies/ and tests/; default \`cedar-policies\`
  --base FOLDER        where to take the catalog, the base schema and the entities from if FOLDER lacks them
  --filter TEXT        run only the cases with that text in their name; unlisted calls are then not tried
  --listed-only        do not try unlisted calls
  --threshold PERCENT  fail if the cases cover less of the policies, 0 to 100; default 0. Coverage is counted by clause: a
                       \`when\` or \`unless\` is covered if it held as a whole in one case and failed in another
  --mutate             change one thing in one policy at a time (remove a condition, turn a comparison, widen the scope),
                       and fail if no case notices: lists each survivor, with a case that would notice it if such a case is known
  --survivors N        with --mutate: fail only if more than N survive; default 0
  --prove              with --mutate: ask the solver of \`remit policy analyze\` about each survivor. A mutant that is proved to decide every
                       request alike does not count; any other is shown with a test that would notice it, if the solver finds one
  --cases FILE         with --prove: write these tests to a new file that ends in \`.cedartests.json\`. Each says what is decided now: read it first
  --engine FOLDER      with --prove: the folder of its programs, as for \`remit policy analyze\`
  --timeout N          with --prove: seconds for one question, 1 to 3600; default ${DEFAULT_BOUNDS.timeoutSeconds}
  --verbose            also print each case, and what the cases do not cover
  --junit FILE         also write the results as JUnit XML
  --json               one object: good, policySet (the hash of the set), at, remit (its version), isWhole (no --filter, no --listed-only),
                       passed, failed, skipped, cases, unlisted, coverage, and with --mutate mutation: mutants, noticed,
                       unloadable, survivors, accepted, uselessAccepts, and with --prove equivalent; a survivor has then case and tried. \`remit ledger evidence --result\` reads it

The code of \`remit serve\` decides each case. Any action that a case does not list must be denied: for every agent that the
cases name and every action of the catalog that no case allows it, the agent makes the plain call and each call to the
action that a case makes, and asks for a token for the action.

To accept a mutant that cannot make a difference, put its printed id into its policy, with a comment that says why:
\`@accept("mutant-1a2b3c4d")\`. The id changes with the text that it is about.

  remit policy test
  remit policy test /etc/remit/policies --threshold 90 --junit results.xml
  remit policy test --mutate

exit codes: 0 all as expected, 1 a case failed, mutants survived, or policies or cases have findings, 2 bad use or an
unreadable folder`;

/** `remit policy test`. */
export const policyTestCommand: Command = { name: 'policy test', help, run: policyTest };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

const OPTIONS = {
  base: { type: 'string' },
  filter: { type: 'string' },
  'listed-only': { type: 'boolean', default: false },
  threshold: { type: 'string', default: '0' },
  mutate: { type: 'boolean', default: false },
  survivors: { type: 'string' },
  prove: { type: 'boolean', default: false },
  cases: { type: 'string' },
  engine: { type: 'string' },
  timeout: { type: 'string' },
  verbose: { type: 'boolean', default: false },
  junit: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

interface Printing {
  readonly folder: string;
  readonly threshold: number;
  readonly isVerbose: boolean;
}

/** Runs the suites of a folder and prints the results; the exit code is the answer. */
export async function policyTest(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, OPTIONS, 1);
  if (typeof options === 'string') return refused(io, 'remit policy test', options);
  const { filter, junit, json, verbose } = options.values;
  const threshold = Number(options.values.threshold);
  if (!/^\d{1,3}$/.test(options.values.threshold) || threshold > 100)
    return refused(io, 'remit policy test', '`--threshold` must be a whole number from 0 to 100');
  const [most, proof] = [mostSurvivors(options.values), await mutationProofFrom(options.values)];
  if (isProblem(most)) return refused(io, 'remit policy test', most.problem);
  if (isProblem(proof)) return refused(io, 'remit policy test', proof.problem);
  const folder = options.operands[0] ?? 'cedar-policies';
  const { base } = options.values;
  const disk = base === undefined ? systemDisk : borrowingDisk(folder, base);
  const source = await readPolicySource(folder, disk);
  if ('unreadable' in source)
    return refused(io, 'remit policy test', `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  if ('findings' in source) return found(io, source.findings, json);
  const isUnlistedTried = filter === undefined && !options.values['listed-only'];
  const onProgress = (decided: number): void => io.err(`remit policy test: ${decided} decisions made`);
  const tested = await whileProved(source, compileForTool(), async (set) => {
    const suites = await readSuites(folder);
    if ('findings' in suites || suites.files === 0) return { suites };
    const policies = policySetOf({ ...set, warnings: [] });
    const run = filter === undefined ? suites : filtered(suites, filter);
    return { suites, policies, result: runSuites(run, policies, { isUnlistedTried, onProgress }) };
  });
  if ('findings' in tested) return found(io, tested.findings, json);
  const { suites, policies, result } = tested.done;
  if ('findings' in suites) return found(io, suites.findings, json);
  if (result === undefined)
    return refused(io, 'remit policy test', `there is no *.test.yaml and no *.cedartests.json in \`${folder}\``);
  if (isProblem(result)) return refused(io, 'remit policy test', result.problem);
  if (junit !== undefined) {
    const unwritten = await writeFile(junit, junitXml(result)).catch((error: NodeJS.ErrnoException) => error);
    if (unwritten !== undefined)
      return refused(io, 'remit policy test', `cannot write \`${junit}\`: ${unwritten.code}`);
  }
  const isExpected = isAsExpected(result);
  // If cases fail, mutants would show nothing.
  const mutation =
    most === null || !isExpected ? null : await mutationOf(suites, policies, { isUnlistedTried, proof, io });
  if (isProblem(mutation)) return refused(io, 'remit policy test', mutation.problem);
  const isGood =
    isExpected && result.coverage.percent >= threshold && (mutation === null || isNoticed(mutation, most ?? 0));
  if (json) {
    const of = mutation === null ? {} : { mutation };
    const about = {
      policySet: policies.hash,
      at: new Date(systemPorts.nowMs()).toISOString(),
      remit: remitVersion(),
      isWhole: isUnlistedTried,
    };
    io.out(JSON.stringify({ good: isGood, ...about, threshold, ...countsOf(result.cases), ...result, ...of }));
    return isGood ? EXIT.good : EXIT.no;
  }
  for (const line of suiteLines(result, { folder, threshold, isVerbose: verbose })) io.out(printable(line));
  if (mutation !== null) for (const line of mutationLines(mutation, verbose)) io.out(printable(line));
  else if (most !== null) io.out('not mutated: all cases must pass first');
  return isGood ? EXIT.good : EXIT.no;
}

/** `null` if mutation is off. */
function mostSurvivors({
  mutate: isMutated,
  survivors,
  filter,
}: {
  readonly mutate: boolean;
  readonly survivors?: string;
  readonly filter?: string;
}): number | null | { readonly problem: string } {
  if (!isMutated) return survivors === undefined ? null : { problem: '`--survivors` goes with `--mutate`' };
  if (filter !== undefined)
    return { problem: '`--mutate` and `--filter` exclude each other: any case may be the one that detects a mutant' };
  return /^\d{1,6}$/.test(survivors ?? '0')
    ? Number(survivors ?? '0')
    : { problem: '`--survivors` must be a whole number' };
}

async function mutationOf(
  suites: Suites,
  policies: PolicySet,
  {
    isUnlistedTried,
    proof,
    io,
  }: { readonly isUnlistedTried: boolean; readonly proof: MutationProof | null; readonly io: Io },
): Promise<Mutation | ProvedMutation | Problem> {
  const mutation = mutate(suites, policies, {
    isUnlistedTried,
    onProgress: (noticed, mutants) => io.err(`remit policy test: ${noticed} of ${mutants} mutants noticed so far`),
  });
  return isProblem(mutation) || proof === null ? mutation : provedMutation(mutation, policies, { proof, io });
}

const filtered = ({ files, cases, cedarTests }: Suites, text: string): Suites => ({
  files,
  cases: cases.filter(({ name }) => name.includes(text)),
  cedarTests: cedarTests.filter(({ name }) => name.includes(text)),
});

/** An empty run is not a success. */
const isAsExpected = ({ cases, unlisted }: SuiteResult): boolean =>
  cases.length > 0 && cases.every(({ status }) => status !== 'failed') && (unlisted?.allowed.length ?? 0) === 0;

function countsOf(cases: readonly CaseResult[]) {
  const countOf = (status: CaseResult['status']): number => cases.filter((one) => one.status === status).length;
  return { passed: countOf('passed'), failed: countOf('failed'), skipped: countOf('skipped') };
}

function suiteLines(result: SuiteResult, { folder, threshold, isVerbose }: Printing): readonly string[] {
  const { cases, unlisted, coverage } = result;
  const { passed, failed, skipped } = countsOf(cases);
  const gaps = coverage.policies.flatMap((policy) =>
    gapsOf(policy).map((gap) => `${policy.file}:${policy.line}:${policy.column}: \`${policy.id}\`: ${gap}`),
  );
  return [
    ...cases.flatMap((one) => caseLines(one, isVerbose)),
    ...(unlisted?.allowed ?? []).map(({ agent, what, policyIds, as }) => {
      const how = as === null ? 'in a plain call' : `as in "${as}"`;
      return `not listed: ${agent} may ${what} by ${policyIds.join(', ')}, ${how}, but no case lists it`;
    }),
    ...(isVerbose ? gaps.map((gap) => `not covered: ${gap}`) : []),
    `${folder}: ${passed} passed, ${failed} failed, ${skipped} skipped`,
    ...(cases.length === 0 ? ['no case name matches the filter'] : []),
    ...(unlisted === null ? [] : [unlistedLine(unlisted.attempts, unlisted.allowed.length)]),
    `${coverageText(coverage)}${coverage.percent < threshold ? `: less than the required ${threshold} %` : ''}`,
  ];
}

const unlistedLine = (attempts: number, allowed: number): string =>
  `not listed: ${attempts} calls tried, ${allowed === 0 ? 'all denied' : `${allowed} agents and actions allowed`}`;

function caseLines({ file, line, column, name, status, messages, decision }: CaseResult, isVerbose: boolean) {
  if (status === 'passed') return isVerbose ? [`passed: ${name}: ${decision ?? 'as expected'}`] : [];
  if (status === 'skipped') return [`skipped: ${name}: ${messages.join('; ')}`];
  return [`${file}:${line}:${column}: failed: ${name}`, ...messages.map((message) => `  ${message}`)];
}

function found(io: Io, findings: readonly SourceFinding[], isJson: boolean): number {
  if (isJson) io.out(JSON.stringify({ good: false, findings }));
  else {
    for (const { file, line, column, message, help: cure } of findings) {
      io.out(printable(`${file}:${line}:${column}: ${message}`));
      if (cure !== null) io.out(printable(`  help: ${cure}`));
    }
  }
  return EXIT.no;
}
