import { storeFailure } from '../../../runtime/store-failure.ts';
import type { StoreFailure } from '../../../runtime/store-failure.ts';

/** The refusal to continue a log that differs from what was signed, with the way out. */
export const logCannotContinue = (why: string): StoreFailure =>
  storeFailure(
    'unfit',
    `the ledger cannot be continued: ${why}; run \`remit ledger verify\`, then restore the missing files, or move its folder away and keep it: a new ledger is then started`,
  );
