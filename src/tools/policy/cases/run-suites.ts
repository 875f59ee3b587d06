import type { TextPlace } from '../../../core/runtime/text-place.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { probeOf } from '../explain/probe.ts';
import type { Probe } from '../explain/probe.ts';
import { rawAsker } from './raw-question.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { cedarTestProblems } from './cedar-tests.ts';
import type { CedarTest } from './cedar-tests.ts';
import { CoverageCount } from './coverage.ts';
import type { Coverage } from './coverage.ts';
import { countedProblem, rehearseLimited } from './limited-case.ts';
import type { Suites } from './suite-source.ts';
import type { TestCase } from './test-case.ts';
import { unlistedAllows } from './unlisted.ts';
import type { Rehearsed, Unlisted } from './unlisted.ts';
import { decisionText, mismatches } from './case-verdict.ts';

/** The result of one case. */
export interface CaseResult extends TextPlace {
  readonly file: string;
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** Everything wrong with a failed case, one clause each; why a skipped case is skipped. */
  readonly messages: readonly string[];
  /** The decision in one line; `null` without a decision. */
  readonly decision: string | null;
}

/** The result of the suites. */
export interface SuiteResult {
  readonly cases: readonly CaseResult[];
  /** `null` if not requested. */
  readonly unlisted: Unlisted | null;
  readonly coverage: Coverage;
}

/** Options of a run. */
export interface RunOptions {
  /** Whether unlisted attempts are made too, which makes sense for complete suites only. */
  readonly isUnlistedTried: boolean;
  /** Called every 1,000 decisions. */
  readonly onProgress: (decided: number) => void;
}

const PROGRESS_EVERY = 1000;

/** Runs suites against a policy set. A problem if there are too many unlisted attempts. */
export function runSuites(
  { cases, cedarTests }: Suites,
  policies: PolicySet,
  { isUnlistedTried, onProgress }: RunOptions,
): SuiteResult | { readonly problem: string } {
  let decided = 0;
  const made = (count: number): void => {
    const before = Math.floor(decided / PROGRESS_EVERY);
    decided += count;
    if (Math.floor(decided / PROGRESS_EVERY) > before) onProgress(decided);
  };
  const probe = probeOf(policies);
  const count = new CoverageCount();
  const results: CaseResult[] = [];
  const rehearsed: Rehearsed[] = [];
  for (const test of cases) {
    const { result, target } = resultOf(test, policies, { probe, count });
    results.push(result);
    rehearsed.push({ test, target });
    made(1);
  }
  // Created only if needed: it is an engine instance with all policies.
  const answerOf = cedarTests.length === 0 ? null : rawAsker(policies);
  for (const test of cedarTests) {
    if (answerOf !== null) results.push(cedarResult(test, cedarTestProblems(test, answerOf(test.question))));
    made(1);
  }
  const unlisted = isUnlistedTried ? unlistedAllows(rehearsed, policies, made) : null;
  if (isProblem(unlisted)) return unlisted;
  return { cases: results, unlisted, coverage: count.of(probe.policies) };
}

type RehearsedCase = { readonly result: CaseResult; readonly target: Rehearsed['target'] };

function resultOf(
  test: TestCase,
  policies: PolicySet,
  { probe, count }: { readonly probe: Probe; readonly count: CoverageCount },
): RehearsedCase {
  const { file, line, column, name } = test;
  const rehearsal = rehearsedCase(test, policies);
  if (isProblem(rehearsal)) {
    const messages = [rehearsal.problem];
    return { result: { file, line, column, name, status: 'failed', messages, decision: null }, target: null };
  }
  const { decision, question, target } = rehearsal;
  // A skipped case is not judged, but still counts as listed.
  if (test.skip !== null) {
    const result = { file, line, column, name, status: 'skipped', messages: [test.skip], decision: null } as const;
    return { result, target };
  }
  const observations = question === null ? null : probe.observeReached(question);
  if (observations !== null) count.add(observations);
  const shadow = (observations ?? []).filter(({ policy, matches }) => policy.shadow && matches);
  const messages = mismatches(
    test.expected,
    decision,
    shadow.map(({ policy }) => policy.id),
  );
  const status = messages.length === 0 ? 'passed' : 'failed';
  return { result: { file, line, column, name, status, messages, decision: decisionText(decision) }, target };
}

function rehearsedCase({ attempt, circumstances }: TestCase, policies: PolicySet): ReturnType<typeof rehearseLimited> {
  const problem = countedProblem(circumstances.limits, policies.limits);
  return problem === null ? rehearseLimited(attempt, circumstances, policies) : { problem };
}

const cedarResult = ({ file, line, column, name }: CedarTest, messages: readonly string[]): CaseResult => ({
  file,
  line,
  column,
  name,
  status: messages.length === 0 ? 'passed' : 'failed',
  messages,
  decision: null,
});
