import { isDeny } from '../../../../core/decision/decision.ts';
import type { PolicySet } from '../../../../core/policy/loading/load.ts';
import { isProblem } from '../../../../core/runtime/problem.ts';
import type { Problem } from '../../../../core/runtime/problem.ts';
import { cedarTestProblems } from '../cedar-tests.ts';
import type { CedarTest } from '../cedar-tests.ts';
import { rehearseLimited } from '../limited-case.ts';
import { rehearse } from '../rehearse.ts';
import type { TestCase } from '../test-case.ts';
import { circumstancesOf, openTargets } from '../unlisted.ts';
import type { Rehearsed } from '../unlisted.ts';
import { mismatches } from '../case-verdict.ts';
import type { MutantCheck } from './asked-mutants.ts';
import { answerOf, rawAnswerOf } from './matching.ts';
import type { Matching } from './matching.ts';

/** A check from a test case, with its name. */
export type CaseCheck = MutantCheck & { readonly name: string };

/** Checks that detect a failing case. Skipped cases, and those that never reach the policies, detect nothing. */
export function* caseChecks(cases: readonly TestCase[], policies: PolicySet): Iterable<CaseCheck> {
  for (const { name, attempt, circumstances, expected, skip } of cases) {
    const rehearsal = skip === null ? rehearse(attempt, circumstances, policies) : null;
    if (rehearsal === null || isProblem(rehearsal) || rehearsal.question === null) continue;
    const isNoticed = (matching: Matching): boolean => {
      const decided = rehearseLimited(attempt, circumstances, withAnswers(policies, matching));
      return isProblem(decided) || mismatches(expected, decided.decision, answerOf(matching).shadow).length > 0;
    };
    yield { name, asked: { question: rehearsal.question }, isNoticed };
  }
}

/** Checks that detect unlisted allows. Every attempt is made, after the cases. */
export function unlistedChecks(cases: readonly TestCase[], policies: PolicySet): Iterable<MutantCheck> | Problem {
  const rehearsed = cases.map((test): Rehearsed => {
    const rehearsal = rehearse(test.attempt, test.circumstances, policies);
    return { test, target: isProblem(rehearsal) ? null : rehearsal.target };
  });
  const open = openTargets(rehearsed, policies);
  return isProblem(open) ? open : checksOf(open, policies);
}

function* checksOf(open: Exclude<ReturnType<typeof openTargets>, Problem>, policies: PolicySet): Iterable<MutantCheck> {
  for (const { agent, all } of open) {
    for (const trial of all) {
      const circumstances = circumstancesOf(agent, trial);
      const rehearsal = rehearse(trial.attempt, circumstances, policies);
      if (isProblem(rehearsal) || rehearsal.question === null) continue;
      const isNoticed = (matching: Matching): boolean => {
        const decided = rehearse(trial.attempt, circumstances, withAnswers(policies, matching));
        return !isProblem(decided) && !isDeny(decided.decision);
      };
      yield { asked: { question: rehearsal.question }, isNoticed };
    }
  }
}

/** Checks that detect a failing test of `cedar run-tests`. */
export function* cedarChecks(tests: readonly CedarTest[]): Iterable<CaseCheck> {
  for (const test of tests) {
    const isNoticed = (matching: Matching): boolean => cedarTestProblems(test, rawAnswerOf(matching)).length > 0;
    yield { name: test.name, asked: { raw: test.question }, isNoticed };
  }
}

/** The same set, by which an attempt is decided again with other matching policies; all other stages stay the same. */
const withAnswers = (policies: PolicySet, matching: Matching): PolicySet => ({
  ...policies,
  ask: () => answerOf(matching).answer,
});
