import { deny, type Deny, isDeny } from '../../../core/decision/decision.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import { stateAt, tokenProblem } from '../../../core/task/task.ts';
import { transactionTokenFrom } from '../../../core/token/transaction-token.ts';
import type { TransactionToken } from '../../../core/token/transaction-token.ts';
import type { ParentTask } from './own-token.ts';
import type { IssuerServices } from '../services.ts';

/** A live transaction token with its live task. */
export interface LiveTransaction {
  readonly transaction: TransactionToken;
  readonly parent: ParentTask;
}

const CLOCK_SKEW_SECONDS = 5;
const MAX_BYTES = 8192;

/**
 * Verifies a transaction token and returns the task of its call, of which the client can get a sub-task. The token is not a
 * credential: the client authenticates by its certificate. It is dead once its task ended, or the task token of its call was
 * revoked.
 *
 * @see draft-ietf-oauth-transaction-tokens section 5
 */
export async function liveTransactionFrom(
  compact: string,
  { authority, ports, settings, transactions }: IssuerServices,
): Promise<LiveTransaction | Deny> {
  if (transactions === undefined) return deny('token.issuer', 'transaction tokens are not enabled');
  const rules = {
    trustDomain: transactions.trustDomain,
    clockSkewSeconds: CLOCK_SKEW_SECONDS,
    maxBytes: MAX_BYTES,
  };
  const transaction = transactionTokenFrom(compact, rules, transactions.keys, ports.nowMs());
  if (isDeny(transaction)) return transaction;
  const state = await authority.useStateOf(settings.url, transaction.taskId, transaction.tokenDigest);
  if (isStoreFailure(state)) return stateUnavailable(state);
  if (state?.issued === undefined) return deny('task.unknown', 'the store holds no such token of the task');
  const { task, issued } = state;
  const now = stateAt(task, authority.nowMs());
  if (now !== 'active') return deny(`task.${now}`, `the task is \`${now}\``);
  const problem = tokenProblem(task, issued);
  return problem === null ? { transaction, parent: { task, issued } } : deny('token.revoked', problem);
}
