import { entityKey } from '../../../core/policy/entities.ts';
import { getOrAdd } from '../../../core/policy/answers/slice.ts';
import { touches } from './expression.ts';
import type { Path } from './expression.ts';
import type { LintedPolicy } from './linted-policy.ts';
import type { Reach, Request } from './reach.ts';

/** An index of enforced policies of one effect, which finds those relevant to a permit without scanning all. */
export interface CoverIndex {
  /**
   * The policies whose conditions a permit shares and whose principal may be the permit's; a superset, in the order of the set.
   */
  readonly about: (permit: LintedPolicy) => readonly LintedPolicy[];
}

/** An index of the enforced forbids. */
export interface ForbidIndex extends CoverIndex {
  /** Whether a forbid for every agent tests the intent of a request. */
  readonly asksForIntent: (request: Request) => boolean;
}

const INTENT: readonly Path[] = [
  ['context', 'intent', 'purpose'],
  ['context', 'intent', 'actions'],
];

/** Whether a policy's conditions read the intent. */
export const readsIntent = ({ paths }: Pick<LintedPolicy, 'paths'>): boolean =>
  paths.some((path) => INTENT.some((value) => touches(path, value)));

const ANY = '*';

/** Builds the index of the forbids of a set. */
export function forbidIndex(policies: readonly LintedPolicy[], reach: Reach): ForbidIndex {
  const forbids = policies.filter(({ effect, shadow }) => effect === 'forbid' && !shadow);
  const intent = new Set<Request>();
  for (const forbid of forbids) {
    if (forbid.principal.entities !== null || !readsIntent(forbid)) continue;
    for (const request of reach.of(forbid)) intent.add(request);
  }
  return { ...coverIndex(forbids, reach), asksForIntent: (request) => intent.has(request) };
}

/** Builds the index of the permits of a set. */
export const permitIndex = (policies: readonly LintedPolicy[], reach: Reach): CoverIndex =>
  coverIndex(
    policies.filter(({ effect, shadow }) => effect === 'permit' && !shadow),
    reach,
  );

function coverIndex(covering: readonly LintedPolicy[], reach: Reach): CoverIndex {
  const order = new Map(covering.map((policy, at) => [policy, at]));
  const byCondition = new Map<string, Map<string, LintedPolicy[]>>();
  for (const policy of covering) {
    // A relevant policy has only conditions of the permit, so any of its conditions finds it.
    const [condition = ANY] = policy.conditions;
    const byPrincipal = getOrAdd(byCondition, condition, () => new Map<string, LintedPolicy[]>());
    for (const key of policy.principal.entities?.map(entityKey) ?? [ANY])
      getOrAdd(byPrincipal, key, () => []).push(policy);
  }
  return {
    about: ({ conditions, principal }) => {
      // Every entity of the permit must be covered by the policy, so the first entity suffices for the look-up.
      const [first] = principal.entities ?? [];
      const keys = [ANY, ...(first === undefined ? [] : [first, ...reach.ancestors(first)].map(entityKey))];
      const found = [ANY, ...conditions].flatMap((condition) => {
        const byPrincipal = byCondition.get(condition);
        return byPrincipal === undefined ? [] : keys.flatMap((key) => byPrincipal.get(key) ?? []);
      });
      return [...new Set(found)].toSorted((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
    },
  };
}
