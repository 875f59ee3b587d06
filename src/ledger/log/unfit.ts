import { storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';

/** The refusal to go on with a log that is not what was signed, with the way out. */
export const unfit = (why: string): StoreFailure =>
  storeFailure(
    'unfit',
    `the ledger is not fit to go on with: ${why}; see what \`remit ledger verify\` says, then put back the files that are gone, or move its folder away, to be kept, and a new ledger is begun`,
  );
