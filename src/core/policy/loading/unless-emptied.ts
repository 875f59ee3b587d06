import type { LoadPolicySet } from '../policy-in-force.ts';

/**
 * Wraps a load so that a set without enforced policies never replaces a set with policies: an emptied folder is a roll-out mistake
 * that would deny everything. Before any set is in force an empty set loads, and is not ready.
 *
 * @param source name of the folder or bundle in the finding
 */
export const unlessEmptied =
  (
    load: LoadPolicySet,
    { source, isReady }: { readonly source: string; readonly isReady: () => boolean },
  ): LoadPolicySet =>
  async () => {
    const loaded = await load();
    if ('findings' in loaded || loaded.ready || !isReady()) return loaded;
    const message = 'the set has no policy that is enforced, so the set in force is kept';
    const help =
      'put the policies back; to deny everything write `@id("deny-all") forbid (principal, action, resource);`';
    return { findings: [{ file: source, line: 1, column: 1, message, help }] };
  };
