import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { Database } from '../database.ts';
import { BEGIN, commit, flight } from '../flight.ts';
import type { Statement } from '../flight.ts';

/**
 * Runs an idempotent transaction, which may be retried if it failed or its outcome is unknown: both are a failure. So is a database that is
 * known to lack commits: what was true before the loss, such as which records its ledgers have, may be false now.
 */
export async function written(database: Database, statements: readonly Statement[]): Promise<null | StoreFailure> {
  const done = await changed(database, statements);
  return isStoreFailure(done) ? done : null;
}

/** As `written`; gives the rows of each statement. */
export async function changed(
  database: Database,
  statements: readonly Statement[],
): Promise<readonly (readonly Readonly<Record<string, unknown>>[])[] | StoreFailure> {
  const done = await database.transaction(async (client) => {
    // INVARIANT: asked once there is a connection, since each server that is connected to is examined first.
    const { lost } = database;
    if (lost !== null) return { rows: [], outcome: { kind: 'failed', failure: lost } as const };
    const [, ...results] = await flight(client, [BEGIN, ...statements]);
    return { rows: results.map(({ rows }) => rows), outcome: await commit(client, [], database) };
  });
  if (isStoreFailure(done)) return done;
  return done.outcome.kind === 'committed' ? done.rows : done.outcome.failure;
}
