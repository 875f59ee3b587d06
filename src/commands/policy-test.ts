import { writeFile } from 'node:fs/promises';
import type { Finding } from '../action/finding.ts';
import { policySetFrom } from '../policy/load.ts';
import { borrowingDisk } from '../policy/borrowed-source.ts';
import { readPolicySource, systemDisk } from '../policy/source.ts';
import { printable } from '../ledger/timeline-text.ts';
import { coverageText, gapsOf } from '../suite/coverage.ts';
import { junitXml } from '../suite/junit.ts';
import { runSuites } from '../suite/run-suites.ts';
import type { CaseResult, SuiteResult } from '../suite/run-suites.ts';
import { readSuites } from '../suite/suite-source.ts';
import type { Suites } from '../suite/suite-source.ts';
import { isProblem } from '../token/members.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

const help = `remit policy test: do the policies decide as their test cases say?

usage: remit policy test [FOLDER] [--base FOLDER] [--filter TEXT] [--listed-only]
                         [--threshold PERCENT] [--verbose] [--junit FILE] [--json]

  FOLDER               the policies, with their cases in *.test.yaml and, in the format of \`cedar run-tests\`, in
                       *.cedartests.json; also in its subfolders policies/ and tests/; default \`cedar-policies\`
  --base FOLDER        where the catalog, the base schema and the entities are that FOLDER itself lacks
  --filter TEXT        only the cases with the text in their name; what no case lists is then not tried
  --listed-only        do not try what no case lists
  --threshold PERCENT  fail where the cases cover less of the policies, 0 to 100; default 0
  --verbose            each case, and what the cases do not cover
  --junit FILE         write the results as JUnit XML too
  --json               one object: passed, failed, skipped, cases, unlisted, coverage

Each case goes through what decides in \`remit serve\`. What no case lists is expected to be denied: for every agent that the
cases name and every action of the catalog that no case allows it, the agent makes the plain call, and each call to it that a
case makes, and asks for a token for it.

  remit policy test
  remit policy test /etc/remit/policies --threshold 90 --junit results.xml

exit: 0 all as expected, 1 not, or the policies or cases have findings, 2 bad use or an unreadable folder`;

/** `remit policy test`. */
export const policyTestCommand: Command = { name: 'policy test', help, run: policyTest };

type Io = Pick<CommandIo, 'out' | 'err'>;

const OPTIONS = {
  base: { type: 'string' },
  filter: { type: 'string' },
  'listed-only': { type: 'boolean', default: false },
  threshold: { type: 'string', default: '0' },
  verbose: { type: 'boolean', default: false },
  junit: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

interface Printing {
  readonly folder: string;
  readonly threshold: number;
  readonly isVerbose: boolean;
}

/** Runs the suites of a folder and prints what came of them; the exit code is the answer. */
export async function policyTest(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, OPTIONS, 1);
  if (typeof options === 'string') return refused(io, options);
  const { filter, junit, json, verbose } = options.values;
  const threshold = Number(options.values.threshold);
  if (!/^\d{1,3}$/.test(options.values.threshold) || threshold > 100)
    return refused(io, '`--threshold` must be a whole number from 0 to 100');
  const folder = options.operands[0] ?? 'cedar-policies';
  const { base } = options.values;
  const disk = base === undefined ? systemDisk : borrowingDisk(folder, base);
  const source = await readPolicySource(folder, disk);
  if ('unreadable' in source)
    return refused(io, `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  const policies = 'findings' in source ? source : await policySetFrom(source);
  if ('findings' in policies) return found(io, policies.findings, json);
  const suites = await readSuites(folder);
  if ('findings' in suites) return found(io, suites.findings, json);
  if (suites.files === 0) return refused(io, `there is no *.test.yaml and no *.cedartests.json in \`${folder}\``);
  const result = runSuites(filter === undefined ? suites : filtered(suites, filter), policies, {
    isUnlistedTried: filter === undefined && !options.values['listed-only'],
    onProgress: (decided) => io.err(`remit policy test: ${decided} decisions made`),
  });
  if (isProblem(result)) return refused(io, result.problem);
  if (junit !== undefined) {
    const unwritten = await writeFile(junit, junitXml(result)).catch((error: NodeJS.ErrnoException) => error);
    if (unwritten !== undefined) return refused(io, `cannot write \`${junit}\`: ${unwritten.code}`);
  }
  const isGood = isAsExpected(result, threshold);
  if (json) io.out(JSON.stringify({ good: isGood, threshold, ...countsOf(result.cases), ...result }));
  else for (const line of linesOf(result, { folder, threshold, isVerbose: verbose })) io.out(printable(line));
  return isGood ? EXIT.good : EXIT.no;
}

const filtered = ({ files, cases, cedarTests }: Suites, text: string): Suites => ({
  files,
  cases: cases.filter(({ name }) => name.includes(text)),
  cedarTests: cedarTests.filter(({ name }) => name.includes(text)),
});

/** No case at all is no answer, so it is not yes. */
const isAsExpected = ({ cases, unlisted, coverage }: SuiteResult, threshold: number): boolean =>
  cases.length > 0 &&
  cases.every(({ status }) => status !== 'failed') &&
  (unlisted?.allowed.length ?? 0) === 0 &&
  coverage.percent >= threshold;

function countsOf(cases: readonly CaseResult[]) {
  const countOf = (status: CaseResult['status']): number => cases.filter((one) => one.status === status).length;
  return { passed: countOf('passed'), failed: countOf('failed'), skipped: countOf('skipped') };
}

function linesOf(result: SuiteResult, { folder, threshold, isVerbose }: Printing): readonly string[] {
  const { cases, unlisted, coverage } = result;
  const { passed, failed, skipped } = countsOf(cases);
  const gaps = coverage.policies.flatMap((policy) =>
    gapsOf(policy).map((gap) => `${policy.file}:${policy.line}:${policy.column}: \`${policy.id}\`: ${gap}`),
  );
  return [
    ...cases.flatMap((one) => caseLines(one, isVerbose)),
    ...(unlisted?.allowed ?? []).map(({ agent, what, policyIds, as }) => {
      const how = as === null ? 'in a plain call' : `as in "${as}"`;
      return `not listed: ${agent} may ${what} by ${policyIds.join(', ')}, ${how}, and no case says so`;
    }),
    ...(isVerbose ? gaps.map((gap) => `not covered: ${gap}`) : []),
    `${folder}: ${passed} passed, ${failed} failed, ${skipped} skipped`,
    ...(cases.length === 0 ? ['no case has that in its name'] : []),
    ...(unlisted === null ? [] : [unlistedLine(unlisted.attempts, unlisted.allowed.length)]),
    `${coverageText(coverage)}${coverage.percent < threshold ? `: less than the ${threshold} % asked for` : ''}`,
  ];
}

const unlistedLine = (attempts: number, allowed: number): string =>
  `not listed: ${attempts} calls tried, ${allowed === 0 ? 'all denied' : `${allowed} agents and actions allowed`}`;

function caseLines({ file, line, column, name, status, messages, decision }: CaseResult, isVerbose: boolean) {
  if (status === 'passed') return isVerbose ? [`passed: ${name}: ${decision ?? 'as expected'}`] : [];
  if (status === 'skipped') return [`skipped: ${name}: ${messages.join('; ')}`];
  return [`${file}:${line}:${column}: failed: ${name}`, ...messages.map((message) => `  ${message}`)];
}

function found(io: Io, findings: readonly Finding[], isJson: boolean): number {
  if (isJson) io.out(JSON.stringify({ good: false, findings }));
  else {
    for (const { file, line, column, message, help: cure } of findings) {
      io.out(printable(`${file}:${line}:${column}: ${message}`));
      if (cure !== null) io.out(printable(`  help: ${cure}`));
    }
  }
  return EXIT.no;
}

function refused(io: Io, problem: string): number {
  io.err(`remit policy test: ${problem}`);
  return EXIT.bad;
}
