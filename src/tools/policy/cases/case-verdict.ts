import { isDeny } from '../../../core/decision/decision.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import type { Expectation } from './test-case.ts';

/**
 * How a decision differs from the expectation, one clause each; empty if it does not.
 *
 * @param shadow ids of the matching shadow policies
 */
export function mismatches(expected: Expectation, decision: Decision, shadow: readonly string[]): readonly string[] {
  const reason = isDeny(decision) ? decision.reason : null;
  const wrong: (string | null)[] = [
    decision.kind === expected.decision ? null : `expected ${expected.decision}, got ${decisionText(decision)}`,
    expected.reason === null || reason === null || reason === expected.reason
      ? null
      : `expected the reason ${expected.reason}, got ${decisionText(decision)}`,
    idsProblem('the policies', expected.policies, decision.policyIds),
    idsProblem('the shadow policies', expected.shadow, shadow.toSorted()),
  ];
  return wrong.filter((problem) => problem !== null);
}

function idsProblem(what: string, expected: readonly string[] | null, got: readonly string[]): string | null {
  if (expected === null || expected.join() === got.join()) return null;
  return `expected ${what} ${listed(expected)}, got ${listed(got)}`;
}

const listed = (ids: readonly string[]): string => (ids.length === 0 ? 'none' : ids.join(', '));

/** A decision in one line: `allow by payments-write`, `deny policy.forbidden by payments-limit`. */
export function decisionText(decision: Decision): string {
  const by = decision.policyIds.length === 0 ? '' : ` by ${decision.policyIds.join(', ')}`;
  if (!isDeny(decision)) return `allow${by}`;
  return by === '' ? `deny ${decision.reason} (${decision.detail})` : `deny ${decision.reason}${by}`;
}
