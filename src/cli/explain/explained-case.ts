import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { rehearse } from '../../tools/policy/cases/rehearse.ts';
import type { Rehearsal } from '../../tools/policy/cases/rehearse.ts';
import type { TestCase } from '../../tools/policy/cases/test-case.ts';
import { explanationOf } from '../../tools/policy/explain/explanation.ts';
import type { Explanation } from '../../tools/policy/explain/explanation.ts';
import { probeOf } from '../../tools/policy/explain/probe.ts';

/** A case as policies decide it, with what each policy had to do with it. */
export interface ExplainedCase extends Rehearsal {
  /** `null` if no policy was evaluated. */
  readonly explanation: Explanation | null;
}

/** Decides a case and explains the answer of the policies. */
export function explainedCase(
  { attempt, circumstances }: Pick<TestCase, 'attempt' | 'circumstances'>,
  policies: PolicySet,
): ExplainedCase | Problem {
  const rehearsal = rehearse(attempt, circumstances, policies);
  if (isProblem(rehearsal)) return rehearsal;
  const { decision, question } = rehearsal;
  const by = { probe: probeOf(policies), policies };
  return { ...rehearsal, explanation: question === null ? null : explanationOf(decision, question, by) };
}
