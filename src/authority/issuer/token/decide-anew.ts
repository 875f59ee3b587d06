import { isStoreFailure } from '../../../core/runtime/store-failure.ts';

/** Most tries. After that the client retries. */
const MAX_TRIES = 4;

/**
 * Optimistic concurrency: runs `attempt` (read, decide, write), and runs it again if the write fails because its premises changed
 * (`core/state/writes/premises.ts`). The result of the fourth try is final.
 *
 * @param attempt must read the state again each time; tries are numbered from 0
 */
export async function decidedAnew<T>(attempt: (tries: number) => Promise<T>): Promise<T> {
  let result = await attempt(0);
  for (let tries = 1; tries < MAX_TRIES && isChanged(result); tries += 1) result = await attempt(tries);
  return result;
}

/** Whether a write failed because its premises had changed. */
export const isChanged = (result: unknown): boolean => isStoreFailure(result) && result.code === 'changed';
