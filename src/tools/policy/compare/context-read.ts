import type { Reads } from '../../../core/policy/answers/reads.ts';

/** Whether policies with these reads can read a context value, or test its presence. @param path its names from the context */
export function readsContext({ everything, roots }: Reads, path: readonly string[]): boolean {
  let at = roots.get('context');
  for (const name of path) {
    if (everything || at === undefined || at.whole) break;
    at = at.attrs.get(name);
  }
  return everything || at !== undefined;
}
