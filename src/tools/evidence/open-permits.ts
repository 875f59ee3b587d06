import { keptPolicies } from '../../core/ledger/log/kept-policies.ts';
import { policiesIn } from '../../core/policy/loading/policy-files.ts';
import { withFormsOnce } from '../../core/policy/loading/policy-json.ts';
import { freshCedar } from '../../core/policy/cedar.ts';
import { isProblem } from '../../core/runtime/problem.ts';

/** Most sets whose texts are read; the policies of further sets are not known. */
const MAX_SETS = 1_000;

/**
 * The permits of kept policy sets that permit everything: any principal, action and resource, without a condition. A call that such a
 * permit allows was not restricted by any other permit.
 */
export class OpenPermits {
  readonly #folder: string;
  readonly #cedar = withFormsOnce(freshCedar());
  /** By the hash of the set; `null` if its text is not kept here. */
  readonly #bySet = new Map<string, ReadonlySet<string> | null>();

  /** @param folder of the ledger */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether a policy of a set permits everything; `null` if the text of the set is not here. */
  has(set: string, policyId: string): boolean | null {
    let open = this.#bySet.get(set);
    if (open === undefined) {
      open = this.#bySet.size < MAX_SETS ? this.#openIn(set) : null;
      if (this.#bySet.size < MAX_SETS) this.#bySet.set(set, open);
    }
    return open?.has(policyId) ?? null;
  }

  #openIn(set: string): ReadonlySet<string> | null {
    const kept = keptPolicies(this.#folder, set);
    if (kept === null || isProblem(kept)) return null;
    const sources = kept.policies.map(({ name, text }) => ({ name, text, file: name }));
    const { policies } = policiesIn(sources, this.#cedar);
    return new Set(
      policies.flatMap(({ id, effect, text }) => {
        const answer = this.#cedar.policyToJson(text);
        return effect === 'permit' && answer.type === 'success' && isOpen(answer.json) ? [id] : [];
      }),
    );
  }
}

interface Scope {
  readonly op: string;
}

const isOpen = (policy: {
  readonly principal: Scope;
  readonly action: Scope;
  readonly resource: Scope;
  readonly conditions: readonly { readonly kind: string; readonly body: unknown }[];
}): boolean =>
  [policy.principal, policy.action, policy.resource].every(({ op }) => op === 'All') &&
  policy.conditions.every(({ kind, body }) => kind === 'when' && isTrue(body));

const isTrue = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && 'Value' in body && body.Value === true;
