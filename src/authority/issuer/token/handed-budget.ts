import type { TaskSpend } from '../../../core/state/spend.ts';
import type { AuthorizationDetail, Constraints } from '../../../core/token/authorization-details.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { grantingEntry } from './narrowing.ts';

/** Most calls of a task with a call limit that can be delegated to a sub-task. */
const MAX_CALLS = 10_000;

/**
 * The budget that a delegation takes from the delegating task: everything that the entries allow, at once, from the counters that
 * uses are counted in (`action/budget`). So a task and its sub-tasks together never have more than the task. What a sub-task does
 * not use is not returned. A problem is a clause for the client.
 *
 * Equal spends of several entries are taken once: the sub-task counts its uses in counters of its own, which its entries share
 * too, so two entries with 3 calls each allow 3.
 *
 * @param details the delegated entries, each within an entry of `own`
 * @param own the entries of the delegating task
 */
export function handedBudget(
  details: readonly AuthorizationDetail[],
  own: readonly AuthorizationDetail[],
): readonly TaskSpend[] | Problem {
  const spends = new Map<string, TaskSpend>();
  for (const detail of details) {
    for (const outer of budgetsAround(detail, own)) {
      const taken = spendsOf(detail.constraints, outer);
      if (isProblem(taken)) return taken;
      for (const spend of taken) spends.set(JSON.stringify(spend), spend);
    }
  }
  return [...spends.values()];
}

/** The distinct constraints of the entries that grant this entry's actions. */
function budgetsAround(detail: AuthorizationDetail, own: readonly AuthorizationDetail[]): readonly Constraints[] {
  const outer = new Map<string, Constraints>();
  for (const location of detail.locations) {
    for (const action of detail.actions) {
      const entry = grantingEntry({ location, action, constraints: detail.constraints }, own);
      if (entry !== undefined) outer.set(JSON.stringify(entry.constraints), entry.constraints);
    }
  }
  return [...outer.values()];
}

/** INVARIANT: `inner` is within `outer`, so every limit of `outer` has a limit in `inner`. */
function spendsOf(inner: Constraints, outer: Constraints): readonly TaskSpend[] | Problem {
  const spends: TaskSpend[] = [];
  if (outer.singleUse) spends.push({ kind: 'single-use' });
  if (outer.maxCalls !== null) {
    const calls = inner.maxCalls ?? outer.maxCalls;
    if (calls > MAX_CALLS) return { problem: `at most ${MAX_CALLS} calls of a task with limits can be delegated` };
    spends.push({ kind: 'calls', limit: outer.maxCalls, count: calls });
  }
  if (outer.maxAmount !== null) {
    const { argument: name, limit, isDecimal } = outer.maxAmount;
    spends.push({
      kind: isDecimal === true ? 'decimal' : 'amount',
      name,
      amount: inner.maxAmount?.limit ?? limit,
      limit,
    });
  }
  return spends;
}
