import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';
import { BEGIN, commit, flight } from './flight.ts';
import type { SettledPlace } from './rows/settled-parts.ts';

/** A transaction by the id that it wrote about itself, and the place of that id. */
export interface CommitAttempt {
  readonly id: string;
  readonly place: SettledPlace;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 4_000;

/**
 * Inserts the id of the transaction as void: that waits for the transaction if it is still in progress, changes nothing if it was committed,
 * and otherwise makes it impossible.
 */
const VOID = `INSERT INTO remit.settled (part, slot, id, is_void) VALUES ($1, $2, $3, true) ON CONFLICT DO NOTHING`;
const FATE = 'SELECT is_void FROM remit.settled WHERE part = $1 AND id = $2';
/** So that the answer rests on a commit of its own, which standbys have only after the commit in question. */
const ASKED = 'INSERT INTO remit.settled (part, slot, id) VALUES ($1, $2, $3)';

/**
 * What became of a transaction whose outcome is unknown: `committed`, and standbys have it; `void`, and it never will be; or `unknown`, since
 * the database did not answer in time. Retries with back-off, since each try that hangs leaves a process of the server behind.
 *
 * @param options.until by `performance.now`
 */
export async function outcomeOfAttempt(
  database: Database,
  { id, place: { part, slot } }: CommitAttempt,
  { until, newId }: { readonly until: number; readonly newId: () => string },
): Promise<'committed' | 'void' | 'unknown'> {
  for (let waitMs = FIRST_RETRY_MS; performance.now() < until; waitMs = Math.min(MAX_RETRY_MS, waitMs * 2)) {
    const asked = await database.transaction(async (client) => {
      const statements = [BEGIN, { text: VOID, values: [part, slot, id] }, { text: FATE, values: [part, id] }];
      const isVoid = (await flight(client, statements)).at(-1)?.rows[0]?.is_void !== false;
      const outcome = await commit(client, [{ text: ASKED, values: [part, slot, `tx:${newId()}`] }], database);
      return { outcome, isVoid };
    });
    if (!isStoreFailure(asked) && asked.outcome.kind === 'committed') return asked.isVoid ? 'void' : 'committed';
    await new Promise((resolve) => setTimeout(resolve, Math.min(waitMs, Math.max(0, until - performance.now()))));
  }
  return 'unknown';
}
