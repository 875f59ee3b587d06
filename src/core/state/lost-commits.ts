import { storeFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';

/**
 * The failure of a database that lacks something seen in it before.
 * @param lacks such as `change 7 that a sidecar has applied`
 */
export const lostCommits = (lacks: string): StoreFailure =>
  storeFailure(
    'broken',
    `the database lacks ${lacks}: a standby without it was promoted, or a backup was restored; ` +
      'bring back the database that has it, or end all open tasks with `remit restore --config FILE`',
  );
