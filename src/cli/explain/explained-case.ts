import { isDeny } from '../../core/decision/decision.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { countedProblem, rehearseLimited } from '../../tools/policy/cases/limited-case.ts';
import type { LimitedRehearsal } from '../../tools/policy/cases/limited-case.ts';
import type { TestCase } from '../../tools/policy/cases/test-case.ts';
import { explanationOf } from '../../tools/policy/explain/explanation.ts';
import type { Explanation } from '../../tools/policy/explain/explanation.ts';
import { probeOf } from '../../tools/policy/explain/probe.ts';

/** A case as policies decide it, with how each policy contributed. */
export interface ExplainedCase extends LimitedRehearsal {
  /** `null` if no policy was evaluated. */
  readonly explanation: Explanation | null;
}

/** Decides a case, by policies and by limits over all tasks, and explains the answer. */
export function explainedCase(
  { attempt, circumstances }: Pick<TestCase, 'attempt' | 'circumstances'>,
  policies: PolicySet,
): ExplainedCase | Problem {
  const problem = countedProblem(circumstances.limits, policies.limits);
  if (problem !== null) return { problem };
  const rehearsal = rehearseLimited(attempt, circumstances, policies);
  if (isProblem(rehearsal)) return rehearsal;
  const { decision, question } = rehearsal;
  const by = { probe: probeOf(policies), policies };
  const explanation = question === null ? null : explanationOf(decision, question, by);
  const isLimited = isDeny(decision) && decision.reason === 'limit.exceeded';
  // The policies permit it: nothing about them would change the answer.
  return {
    ...rehearsal,
    explanation: explanation !== null && isLimited ? { ...explanation, needed: [] } : explanation,
  };
}
