import type { PoolClient, QueryResult } from 'pg';
import { storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { failureOfPostgres, isLost } from './postgres-failure.ts';

/** A statement with its values. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** What became of a transaction: committed; not committed; or unknown. */
export type CommitOutcome =
  { readonly kind: 'committed' } | { readonly kind: 'failed' | 'unknown'; readonly failure: StoreFailure };

/**
 * Longest wait for a row lock, and longest pause of a client within a transaction. `LOCAL`, so that it works behind a transaction
 * pool.
 */
const LOCK_MS = 2_000;
const IDLE_MS = 5_000;
/** A statement that takes longer loses its connection. Of a COMMIT the outcome is unknown then: the standby may be gone for good. */
export const STATEMENT_MS = 5_000;

/**
 * Begins a transaction. Warnings must reach the client: a cancelled wait for a standby is reported only by a warning. A client that is
 * stopped in the middle of a transaction loses its connection, so that it holds no lock for long. The tables take new tasks at READ COMMITTED
 * alone (`rights-schema.ts`), whatever the default of the role.
 */
export const BEGIN: Statement = {
  text: `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL client_min_messages TO warning; SET LOCAL statement_timeout TO 0;
    SET LOCAL lock_timeout TO ${LOCK_MS}; SET LOCAL idle_in_transaction_session_timeout TO ${IDLE_MS}`,
};

/** Ends a transaction without effect. */
export const ROLLBACK: Statement = { text: 'ROLLBACK' };

/** Sends all statements at once, and waits for all of their results. The first error rejects. */
export async function flight(client: PoolClient, statements: readonly Statement[]): Promise<readonly QueryResult[]> {
  const sent = statements.map(({ text, values }) =>
    client.query(values === undefined ? text : { text, values: [...values] }),
  );
  const settled = await Promise.allSettled(sent);
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/**
 * Sends the last statements of a transaction with its COMMIT in a single flight, so that a client that stops leaves no head row
 * locked. The outcome is unknown if the connection is lost, if no answer comes within `STATEMENT_MS`, if a WARNING comes (a wait
 * for a standby was cancelled), and, with a quorum, if the server no longer waits for standbys: in the last two cases no standby
 * may have the commit.
 *
 * @see https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION
 */
export async function commit(
  client: PoolClient,
  statements: readonly Statement[],
  { hasQuorum }: { readonly hasQuorum: boolean },
): Promise<CommitOutcome> {
  let warning: string | null = null;
  const notice = ({
    severity,
    message,
  }: {
    readonly severity?: string | undefined;
    readonly message?: string | undefined;
  }): void => {
    if (severity === 'WARNING') warning ??= message ?? '';
  };
  client.on('notice', notice);
  try {
    const results = await flight(client, [...statements, COMMIT, STANDBYS]);
    const [committed, standbys] = results.slice(-2);
    if (warning !== null) return unknown(`the commit came with the warning \`${String(warning)}\``);
    if (committed?.command !== 'COMMIT') {
      return { kind: 'failed', failure: storeFailure('busy', 'the database rolled the transaction back') };
    }
    if (hasQuorum && standbys?.rows[0]?.names === '') return unknown('the database waited for no standby');
    return { kind: 'committed' };
  } catch (error) {
    const failure = failureOfPostgres(error);
    return isLost(error) ? unknown(failure.detail) : { kind: 'failed', failure };
  } finally {
    client.off('notice', notice);
  }
}

const COMMIT: Statement = { text: 'COMMIT' };
const STANDBYS: Statement = { text: "SELECT current_setting('synchronous_standby_names') AS names" };

const unknown = (why: string): CommitOutcome => ({
  kind: 'unknown',
  failure: storeFailure('unknown', `whether the database has the write is unknown: ${why}`),
});
