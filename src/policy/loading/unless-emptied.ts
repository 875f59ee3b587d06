import type { LoadPolicySet } from '../policy-in-force.ts';

/**
 * A load that refuses a set without a policy where one with policies is in force: an emptied folder is a mistake of a roll-out, and
 * would deny everything. Before a good set is in force an empty one loads, and is not ready.
 *
 * @param source what the finding names: the folder or the bundle
 */
export const unlessEmptied =
  (
    load: LoadPolicySet,
    { source, isReady }: { readonly source: string; readonly isReady: () => boolean },
  ): LoadPolicySet =>
  async () => {
    const loaded = await load();
    if ('findings' in loaded || loaded.ready || !isReady()) return loaded;
    const message = 'the set has no policy that is enforced, so the one in force is kept';
    const help =
      'put the policies back; to deny everything write `@id("deny-all") forbid (principal, action, resource);`';
    return { findings: [{ file: source, line: 1, column: 1, message, help }] };
  };
