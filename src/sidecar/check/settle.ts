import { mostSpent, spendsOf } from '../../core/action/budget/budget.ts';
import type { ActionSpend } from '../../core/action/budget/budget.ts';
import { allReadings } from '../../core/action/http/http.ts';
import { TEN_THOUSANDTHS } from '../../core/action/budget/decimal.ts';
import type { Action } from '../../core/action/http/http.ts';
import { coveringDetail } from '../../core/action/intent-scope.ts';
import { limitExceeded, limitSpends } from '../../core/limit/limit-spends.ts';
import type { Limit } from '../../core/limit/limit.ts';
import type { CheckServices } from './services.ts';
import { currentProblem } from './task-facts.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import type { DenialFacts } from '../../core/decision/denial-facts.ts';
import { jtiDigestOf } from '../../core/token/jti-digest.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../core/decision/unavailable.ts';
import { isSettlement } from '../../core/state/settling.ts';
import type { SettledUse } from '../../core/state/settling.ts';
import type { ExceededBudget, LimitsLeft, Spend } from '../../core/state/spend.ts';
import { historyWith } from '../../core/task/history.ts';
import type { HistoryEntry, TaskHistory } from '../../core/task/history.ts';
import type { TaskToken } from '../../core/token/claims.ts';

/** What an allowed use takes, and the token it is used with; `null` for a credential without a task. */
export interface UseToSettle {
  readonly use: SettledUse;
  readonly token: TaskToken | null;
}

/** The rules that decide what a use takes. */
interface SettlingRules {
  /** Whether a use that takes nothing needs no settlement. */
  readonly isCurrent: (facts: CallFacts) => boolean;
  /** The limits over all tasks of the policy set that decided. */
  readonly limits: readonly Limit[];
}

/** What a use takes: `null` for a denial and for a use that takes nothing; a `Deny` if the amount cannot be counted. */
export function useToSettle(
  check: DecidedCheck,
  { isCurrent, limits: inForce }: SettlingRules,
): UseToSettle | null | Deny {
  const { decision, decisionId, facts } = check;
  const token = taskTokenOf(facts);
  // A call that passes only because it is observed takes nothing.
  if (isDeny(decision) || decision.observed !== null || isDeny(facts.action)) return null;
  const limits = limitsOf(check, inForce);
  if (isDeny(limits)) return limits;
  if (token === null)
    return limits === null ? null : { token, use: { decisionId, key: null, jtiDigest: '', ...limits } };
  const budgets = spentBy(facts.action, token, facts.nowMs);
  if (isDeny(budgets)) return budgets;
  const spends: readonly Spend[] = limits === null ? budgets : [...budgets, ...limits.spends];
  const added = entryOf(facts.history, facts.action);
  if (spends.length === 0 && added === undefined && isCurrent(facts)) return null;
  const entry = added ?? (isCurrent(facts) ? undefined : { version: facts.history.version, action: '', labels: [] });
  const key = { issuer: token.issuer, id: token.taskId };
  const use = { decisionId, key, jtiDigest: jtiDigestOf(token.tokenId), ...limits, spends };
  return { token, use: entry === undefined ? use : { ...use, entry } };
}

/** What the call of a verified caller takes from limits over all tasks, whatever its credential; `null` if no limit concerns it. */
function limitsOf(
  { facts: { action, caller, credential }, mode }: DecidedCheck,
  limits: readonly Limit[],
): Pick<SettledUse, 'agent' | 'spends'> | null | Deny {
  if (limits.length === 0 || isDeny(action) || isDeny(caller) || isDeny(credential)) return null;
  const user = credential.kind === 'workload-identity' ? caller.id : credential.subject;
  const spends = limitSpends(limits, { agent: caller.id, user, action, isObserved: mode !== undefined });
  if (isDeny(spends)) return spends;
  return spends.length === 0 ? null : { agent: caller.id, spends };
}

/** What a use spends: of each budget the most that any of its readings spends. */
function spentBy(action: Action, token: TaskToken, nowMs: number): readonly ActionSpend[] | Deny {
  const readings: (readonly ActionSpend[])[] = [];
  for (const reading of allReadings(action)) {
    const detail = coveringDetail(token.details, reading, nowMs);
    if (isDeny(detail)) return detail;
    const spends = spendsOf(detail, reading);
    if (isDeny(spends)) return spends;
    readings.push(spends);
  }
  return mostSpent(readings);
}

/** The history entry of a use; `undefined` if the history already contains it, so that nothing is written. */
function entryOf(history: TaskHistory, action: Action): HistoryEntry | undefined {
  const entry = { version: history.version, action: action.id, labels: [...action.labels] };
  return historyWith(history, entry) === 'same' ? undefined : entry;
}

/**
 * Result of settling a use: once it is settled and on disk `null`, or what limits have left; why it is not settled; or that it is unknown
 * whether it is.
 */
export type Settled = null | LimitsLeft | 'history-changed' | Deny | { readonly unknown: Deny };

/**
 * Settles a use: all of its budgets, its history entry and its record, or nothing. `history-changed` if the decision used an older history
 * and must be made again.
 *
 * A settled use stays settled even if it is denied later, because its record could not be written or its task ended. So a budget can run out
 * early, but never late. A use that was decided too late is given back once Envoy reports that its call was not let through.
 */
export async function settle(
  services: Pick<CheckServices, 'settling' | 'states' | 'keys'>,
  { use, token }: UseToSettle,
  limits: readonly Limit[],
): Promise<Settled> {
  const settlement = await services.settling.settle(use);
  if (isSettlement(settlement)) return settlement !== null && 'left' in settlement ? settlement : null;
  if (settlement === 'history-changed') return settlement;
  if (isStoreFailure(settlement)) return { unknown: stateUnavailable(settlement) };
  if (settlement === 'ended') return (token === null ? null : currentProblem(services, token)) ?? endedMeanwhile;
  if (typeof settlement === 'string') return refusals[settlement];
  if (settlement.problem === 'limit') return limitExceeded(settlement.over, limits);
  const clientFacts = settlement.budget === null ? {} : { clientFacts: { budget: inOwnUnit(settlement.budget) } };
  return deny('task.exhausted', 'the use takes more than the constraint has left', clientFacts);
}

/** Exact: limits of decimals have 11 digits before the point (`token/authorization-details`). */
const inOwnUnit = ({ limit, used, decimal }: ExceededBudget): NonNullable<DenialFacts['budget']> =>
  decimal === true ? { limit: limit / TEN_THOUSANDTHS, used: used / TEN_THOUSANDTHS } : { limit, used };

const endedMeanwhile = deny('token.revoked', 'the token ended while the use was decided');

const refusals = {
  replayed: deny('task.replayed', 'the token was used before, and its constraint allows one use'),
  'history-full': deny('task.exhausted', 'the history of the task has no room for another action or label'),
} as const;
