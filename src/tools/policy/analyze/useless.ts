/** Finds policies that decide nothing, by proof. */
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { sliceOf, decidingText } from './action-slice.ts';
import { analysed, analysedActions, resourceTypeOf } from './analysis.ts';
import type { AnalysisOptions } from './analysis.ts';
import { assumptionsOf } from './assumptions.ts';
import { impliedBy, NOTHING } from './implication.ts';
import type { Prover } from './prover.ts';

/** A policy that decides nothing, and why. */
export interface UselessPolicy {
  readonly policy: PolicyEntry;
  /** `never`: its conditions contradict each other. `forbidden`: forbids cover all that the permit matches. */
  readonly why: 'never' | 'forbidden';
}

/**
 * The enforced policies that can match no request, such as by `x && !x`, and the permits of which forbids cover all. Each is asked about the
 * actions of its head, until one is found that it decides or that stays undecided. A link of a template is a policy of its own.
 */
export async function uselessPolicies(
  set: PolicySet,
  prover: Prover,
  { atOnce, onProgress }: Pick<AnalysisOptions, 'atOnce' | 'onProgress'>,
): Promise<readonly UselessPolicy[]> {
  const slices = analysedActions(set.catalog).map((action) => ({ action, policies: sliceOf(set, action) }));
  const enforced = set.policies.filter(({ shadow }) => !shadow);
  const cedar = freshCedar();
  const isImpossible = async (action: string, policies: readonly PolicyEntry[]): Promise<boolean> => {
    const resourceType = resourceTypeOf(action);
    const alone = { policies, answerOf: analysed({ ...set, policies })(action).answerOf };
    const assumptions = assumptionsOf(action, set.catalog);
    const asked = { action, resourceType, assumptions, cedar, from: alone, to: NOTHING };
    return (await impliedBy(prover, asked)).kind === 'proved';
  };
  let done = 0;
  const found = await mapSeveral(enforced, atOnce, async (policy): Promise<UselessPolicy | null> => {
    const own = slices.filter(({ policies }) => policies.includes(policy));
    let why: UselessPolicy['why'] = 'never';
    let isUseless = own.length > 0;
    for (const { action, policies } of own) {
      if (!isUseless) break;
      if (await isImpossible(action, [asPermit(policy)])) continue;
      why = 'forbidden';
      const forbids = policies.filter(({ effect }) => effect === 'forbid');
      isUseless = policy.effect === 'permit' && (await isImpossible(action, [policy, ...forbids]));
    }
    done += 1;
    onProgress(done, enforced.length);
    return isUseless ? { policy, why } : null;
  });
  return found.filter((one) => one !== null);
}

/** The policy as a permit, which allows what it matches. */
const asPermit = (policy: PolicyEntry): PolicyEntry => ({
  ...policy,
  effect: 'permit',
  text: `@id("${policy.id}") ${decidingText(policy).replace(/^forbid/, 'permit')}`,
});
