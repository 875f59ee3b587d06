import { writtenClauses } from '../../core/policy/loading/policy-end.ts';
import type { PolicyEntry } from '../../core/policy/loading/policy-file.ts';
import { policiesIn } from '../../core/policy/loading/policy-files.ts';
import { withFormsOnce, type PolicyForms } from '../../core/policy/loading/policy-json.ts';
import { freshCedar } from '../../core/policy/cedar.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { AGENT_TYPE, isIdleClause } from './always-true.ts';
import type { SetTexts } from './set-texts.ts';

/** Most sets whose texts are read; the policies of further sets are not known. */
const MAX_SETS = 1_000;

/**
 * How far a permit restricts: `everything`, any principal, action and resource without a condition that can fail; `no condition`, its scope alone
 * restricts it; `conditions`, at least one can fail.
 */
export type PermitReach = 'everything' | 'no condition' | 'conditions';

/**
 * The permits of policy sets that permit everything. A call that such a permit allows was not restricted by any other permit.
 */
export class OpenPermits {
  readonly #texts: Pick<SetTexts, 'of'>;
  readonly #cedar = withFormsOnce(freshCedar());
  /** The ids of open permits by the hash of the set; `null` if its text is not here, or does not have the hash. */
  readonly #bySet = new Map<string, ReadonlySet<string> | null>();

  constructor(texts: Pick<SetTexts, 'of'>) {
    this.#texts = texts;
  }

  /** Whether a policy of a set permits everything: `null` if the text of the set is not here, `false` if it lacks the policy. */
  has(set: string, policyId: string): boolean | null {
    let reaches = this.#bySet.get(set);
    if (reaches === undefined) {
      reaches = this.#bySet.size < MAX_SETS ? this.#openIn(set) : null;
      if (this.#bySet.size < MAX_SETS) this.#bySet.set(set, reaches);
    }
    return reaches?.has(policyId) ?? null;
  }

  #openIn(set: string): ReadonlySet<string> | null {
    const kept = this.#texts.of(set);
    if (kept === null || isProblem(kept)) return null;
    const sources = kept.policies.map(({ name, text }) => ({ name, text, file: name }));
    const { policies } = policiesIn(sources, this.#cedar);
    return new Set(policies.flatMap((policy) => (reachOf(policy, this.#cedar) === 'everything' ? [policy.id] : [])));
  }
}

/** How far a permit restricts; `null` for a forbid, and if Cedar has no JSON for the policy. */
export function reachOf(policy: PolicyEntry, cedar: Pick<PolicyForms, 'policyToJson'>): PermitReach | null {
  const answer = cedar.policyToJson(policy.text);
  if (policy.effect !== 'permit' || answer.type === 'failure') return null;
  const { principal, action, resource, conditions } = answer.json;
  // The end of a permit restricts when it permits, and nothing of what.
  if (!writtenClauses(policy, conditions).every(isIdleClause)) return 'conditions';
  const isAnyone = principal.op === 'All' || (principal.op === 'is' && isPlainAgent(principal));
  return isAnyone && action.op === 'All' && resource.op === 'All' ? 'everything' : 'no condition';
}

const isPlainAgent = (scope: object): boolean =>
  'entity_type' in scope && scope.entity_type === AGENT_TYPE && !('in' in scope);
