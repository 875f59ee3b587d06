import type { Spend } from '../state/store.ts';
import type { AuthorizationDetail, Constraints } from '../token/authorization-details.ts';
import { isProblem, type Problem } from '../runtime/problem.ts';
import { grantingEntry } from './narrowing.ts';

/** Most calls of a limited task that one part of it can be given. */
const MAX_CALLS = 10_000;

/**
 * What handing on these entries takes from the budgets of the task they come from: all that they allow, at once and in the
 * counters that uses are counted in (`action/budget`), so that a task and its parts together never have more than the task.
 * What a part leaves over is not given back. The problem is a clause for the client.
 *
 * @param details the entries that are handed on, each within one of `own`
 * @param own the entries of the task
 */
export function handedBudget(
  details: readonly AuthorizationDetail[],
  own: readonly AuthorizationDetail[],
): readonly Spend[] | Problem {
  const spends: Spend[] = [];
  for (const detail of details) {
    for (const outer of budgetsAround(detail, own)) {
      const taken = spendsOf(detail.constraints, outer);
      if (isProblem(taken)) return taken;
      spends.push(...taken);
    }
  }
  return spends;
}

/** The constraints of the entries that grant the actions of this one, the same ones once. */
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

/** Entries are within others only where they limit what those limit, so that the inner limits are there. */
function spendsOf(inner: Constraints, outer: Constraints): readonly Spend[] | Problem {
  const spends: Spend[] = [];
  if (outer.singleUse) spends.push({ kind: 'single-use' });
  if (outer.maxCalls !== null) {
    const calls = inner.maxCalls ?? outer.maxCalls;
    if (calls > MAX_CALLS) return { problem: `at most ${MAX_CALLS} calls of a limited task can be handed on` };
    spends.push({ kind: 'calls', limit: outer.maxCalls, count: calls });
  }
  if (outer.maxAmount !== null) {
    const { argument: name, limit } = outer.maxAmount;
    spends.push({ kind: 'amount', name, amount: inner.maxAmount?.limit ?? limit, limit });
  }
  return spends;
}
