/** Remembers one-time keys, each until it expires. */
import { storeFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';

/** What is remembered: signals that were taken, those that a process is taking, and proofs of possession. */
export type RememberedKind = 'signal' | 'signal-claim' | 'proof';

/** Most keys of one kind that a state remembers (`Store.rememberOnce`). */
export const MAX_REPLAY_ROWS = 100_000;

/** The failure of a call whose key cannot be remembered. */
export const replayRowsFull = (): StoreFailure =>
  storeFailure('full', `the replay memory holds ${MAX_REPLAY_ROWS} keys, none of which has expired`);
