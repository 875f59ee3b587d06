import { isStoreFailure } from '../sqlite/store-failure.ts';

/** So many times at most: each is work, and whoever changes a task that often is heard next time. */
const MAX_TRIES = 4;

/**
 * Looks, decides and writes; again from the look where the write says that what it was decided by has changed (`state/premises.ts`).
 * The result of the fourth try is final, whatever it is.
 *
 * @param attempt looks anew each time; tries are numbered from 0
 */
export async function decidedAnew<T>(attempt: (tries: number) => Promise<T>): Promise<T> {
  let result = await attempt(0);
  for (let tries = 1; tries < MAX_TRIES && isChanged(result); tries += 1) result = await attempt(tries);
  return result;
}

/** Whether a write was refused since what it was decided by has changed. */
export const isChanged = (result: unknown): boolean => isStoreFailure(result) && result.code === 'changed';
