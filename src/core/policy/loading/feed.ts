import type { PathGuard } from '../../config/writable-path.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { LoadPolicySet } from '../policy-in-force.ts';
import { policySetsToServe, policySourceIn } from './load.ts';
import { folderStamp, systemDisk } from './source.ts';

/** A source of policies that can be polled for changes. */
export interface PolicyFeed {
  /** A fingerprint that changes with the set; a problem if the source cannot be asked. Never rejects. */
  readonly look: () => Promise<string | Problem>;
  /** Loads the set seen last, or a newer set. */
  readonly load: LoadPolicySet;
  /** Restores the last good set kept from an earlier run; returns whether there was any. Only before the first load. */
  readonly fallBack?: () => boolean;
  /** Whether a set arrives atomically. Otherwise it is loaded only after two equal looks. */
  readonly isWhole: boolean;
}

/**
 * The policies of a folder: files, links, or a mounted ConfigMap.
 *
 * @param guard refuses a file or folder, at each load
 */
export function folderFeed(folder: string, guard: PathGuard): PolicyFeed {
  const setFrom = policySetsToServe();
  const load = async (): ReturnType<LoadPolicySet> => {
    const source = await policySourceIn(folder, { ...systemDisk, guard });
    return 'findings' in source ? source : setFrom(source);
  };
  return { look: () => folderStamp(folder), load, isWhole: false };
}

/**
 * A feed whose first load begins now, beside other work. That load is used if the source still looks as it did before; otherwise
 * it is loaded again.
 */
export function loadedAhead(feed: PolicyFeed): PolicyFeed {
  const begin = async () => ({ seen: await feed.look(), loaded: await feed.load() });
  let begun: ReturnType<typeof begin> | null = begin();
  // The caller of `load` gets the rejection.
  begun.catch(() => undefined);
  return {
    ...feed,
    load: async () => {
      const first = begun;
      begun = null;
      if (first === null) return feed.load();
      const { seen, loaded } = await first;
      return !isProblem(seen) && seen === (await feed.look()) ? loaded : feed.load();
    },
  };
}
