/** Asks the solver whether some policies allow all that other policies allow, action by action. */
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { decidingText } from './action-slice.ts';
import { analysed, resourceTypeOf } from './analysis.ts';
import { assumptionsOf } from './assumptions.ts';
import { impliedBy, NOTHING } from './implication.ts';
import type { AnalysedSet, AnalysisVerdict } from './implication.ts';
import type { Prover } from './prover.ts';

/** Whether all that some policies allow of an action is allowed by others; none allow nothing. */
export type Implies = (
  action: string,
  from: readonly PolicyEntry[],
  to: readonly PolicyEntry[],
) => Promise<AnalysisVerdict>;

/**
 * A function that asks about policies with the catalog and schema of a set.
 *
 * @param more conditions that every request about an action meets, in addition to those of `assumptionsOf`
 */
export function impliesIn(
  set: PolicySet,
  prover: Prover,
  more: (action: string) => readonly string[] = () => [],
): Implies {
  const cedar = freshCedar();
  const part = (action: string, policies: readonly PolicyEntry[]): AnalysedSet =>
    policies.length === 0 ? NOTHING : { policies, answerOf: analysed({ ...set, policies })(action).answerOf };
  return (action, from, to) =>
    impliedBy(prover, {
      action,
      resourceType: resourceTypeOf(action),
      assumptions: [...assumptionsOf(action, set.catalog), ...more(action)],
      cedar,
      from: part(action, from),
      to: part(action, to),
    });
}

/** A policy as a permit that is enforced, which allows what it matches. */
export const asPermit = (policy: PolicyEntry): PolicyEntry => ({
  ...policy,
  effect: 'permit',
  shadow: false,
  text: `@id("${policy.id}") ${decidingText(policy).replace(/^forbid/, 'permit')}`,
});

/** Whether two policies are proved to match the same requests about these actions, and to fail for none that the other does not fail for. */
export async function matchesAlike(
  implies: Implies,
  actions: readonly string[],
  [one, other]: readonly [PolicyEntry, PolicyEntry],
): Promise<boolean> {
  const [former, latter] = [[asPermit(one)], [asPermit(other)]];
  for (const action of actions) {
    if ((await implies(action, former, latter)).kind !== 'proved') return false;
    if ((await implies(action, latter, former)).kind !== 'proved') return false;
  }
  return true;
}
