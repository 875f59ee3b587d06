import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { steps } from './steps.ts';

/**
 * Takes a pair of tasks through all its steps. Says `PAIR STEP` once a step is acknowledged, `failed CODE` where one is not. What
 * failed as full or busy is tried again once; after `broken` every further step is tried all the same: none may be acknowledged.
 */
export function livePair(store: Store, pair: number, say: (line: string) => void): void {
  for (const [index, step] of steps.entries()) {
    let result = step.run(store, pair);
    if (isStoreFailure(result) && result.code !== 'broken') {
      say(`failed ${result.code}`);
      result = step.run(store, pair);
    }
    say(isStoreFailure(result) ? `failed ${result.code}` : `${pair} ${index}`);
  }
}
