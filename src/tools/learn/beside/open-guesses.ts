import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { SLUG_TYPES } from '../seen/segment-kind.ts';

/** Why each permit of an action in `openGuesses` is a comment. */
export const OPEN_GUESS =
  'a parameter of its path may be guessed from a few values, and no permit of the folder names it';

/**
 * The actions of a policy folder whose path has a parameter of a type that may be a guess, and that no permit in force names. The
 * catalog does not say which types were guessed: without this, learning a second time would accept a guess.
 */
export function openGuesses({ catalog, policies }: Pick<PolicySet, 'catalog' | 'policies'>): ReadonlySet<string> {
  const permits = policies.filter(({ effect, shadow }) => effect === 'permit' && !shadow);
  const named = new Set(
    permits.flatMap(({ scope }) =>
      scope.action.flatMap((test) => ('uid' in test && test.uid.type === `${NAMESPACE}::Action` ? [test.uid.id] : [])),
    ),
  );
  const slugs = [...catalog.actions.values()].filter(({ parameters }) =>
    [...parameters.values()].some(({ type }) => SLUG_TYPES.includes(type.text)),
  );
  return new Set(slugs.flatMap(({ id }) => (named.has(id) ? [] : [id])));
}
