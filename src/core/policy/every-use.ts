/** Actions of which the policies deny every use, whatever its arguments. */
import type { CatalogAction } from '../action/catalog/catalog.ts';
import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Reads } from './answers/reads.ts';
import { type Each, eachOf } from './each.ts';
import type { PolicySet } from './loading/load.ts';
import type { Question } from './question.ts';

/** What is known about every use of a task before its first call. */
export interface IntendedUses {
  readonly agent: SpiffeId;
  readonly purpose: string;
  readonly subject: string;
  readonly action: CatalogAction;
}

/**
 * Why every use of an action would be denied by the enforced policies, whatever its arguments and circumstances; `null` if some use may pass.
 * Only policies that read nothing else than `IntendedUses` are evaluated; any other may match or not. Never throws.
 */
export function everyUseDenied(set: PolicySet, { agent, purpose, subject, action }: IntendedUses): Deny | null {
  const question: Question = {
    principal: agent,
    action: action.id,
    server: action.server,
    endpoint: action.endpoint,
    context: { intent: { purpose }, subject },
  };
  const { permits, forbids, errors } = certainOf(set).ask(question);
  if (forbids.length > 0) {
    const advice = forbids.map((id) => set.adviceOf(id)).find((text) => text !== null) ?? null;
    return deny('policy.forbidden', `every use is forbidden by ${forbids.map((id) => `\`${id}\``).join(', ')}`, {
      policyIds: forbids,
      advice,
    });
  }
  if (errors.length > 0 || permits.length > 0) return null;
  const mayPermit = set.canMatch(question).some(({ effect, reads }) => effect === 'permit' && !isCertain(reads));
  return mayPermit ? null : deny('policy.not-permitted', `no policy permits any use of \`${action.id}\``);
}

/** By policy set, because engines are built for it. */
const built = new WeakMap<PolicySet, Each>();

function certainOf(set: PolicySet): Each {
  const known = built.get(set);
  if (known !== undefined) return known;
  const certain = set.policies.filter(({ shadow, reads }) => !shadow && isCertain(reads));
  const each = eachOf(certain, { ...set.facts, generation: `${set.hash} every use` });
  built.set(set, each);
  return each;
}

/** Whether policies read nothing of the context but what `everyUseDenied` gives. */
function isCertain({ everything, roots }: Reads): boolean {
  const context = roots.get('context');
  if (everything || context?.whole === true) return false;
  return Array.from(context?.attrs ?? []).every(
    ([name, { whole, attrs }]) =>
      name === 'subject' || (name === 'intent' && !whole && [...attrs.keys()].every((of) => of === 'purpose')),
  );
}
