import type { Catalog } from '../../../core/action/catalog/catalog.ts';

/** Whether an id is granted, directly or by a family; `decide` judges whether a call is covered. */
export const names = (granted: string, id: string): boolean =>
  granted === id || (granted.length > 2 && granted.endsWith('.*') && id.startsWith(granted.slice(0, -1)));

/**
 * The actions of a grant as the issuer resolves them before it asks the policies and signs a token: families (`payments.*`) are
 * replaced by their actions. A name that the catalog does not have is kept as it is.
 */
export const grantedActions = (
  granted: readonly string[],
  { actions }: Pick<Catalog, 'actions'>,
): readonly string[] => [
  ...new Set(
    granted.flatMap((name) => {
      if (actions.has(name) || !name.endsWith('.*')) return [name];
      const family = [...actions.keys()].filter((id) => names(name, id));
      return family.length === 0 ? [name] : family;
    }),
  ),
];
