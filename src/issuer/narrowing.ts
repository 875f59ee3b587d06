import type { AuthorizationDetail, Constraints } from '../token/authorization-details.ts';

/**
 * The first thing that entries grant and the entries they must stay within do not, as words for the client; `null` where
 * there is none. Within means: for each location and each action of an entry there is one entry that has both and whose
 * every constraint is as wide or wider. Budgets are compared by what they allow: what is left of them is counted at use, in
 * the task and in the one it is part of.
 */
export function wideningOf(
  details: readonly AuthorizationDetail[],
  within: readonly AuthorizationDetail[],
): string | null {
  for (const detail of details) {
    for (const location of detail.locations) {
      for (const action of detail.actions) {
        const granting = within.filter((entry) => entry.locations.includes(location) && hasAction(entry, action));
        if (granting.length === 0) return `the action ${action} is not one the subject_token carries`;
        if (!granting.some((entry) => isWithin(detail.constraints, entry.constraints))) {
          return `the constraints of the action ${action} are wider than those of the subject_token`;
        }
      }
    }
  }
  return null;
}

const hasAction = ({ actions }: AuthorizationDetail, action: string): boolean => isCovered(action, actions);

/** Whether an action is one of the names, or in one of the families such as `payments.*`. */
export const isCovered = (action: string, names: readonly string[]): boolean =>
  names.some(
    (name) => name === action || (name.length > 2 && name.endsWith('.*') && action.startsWith(name.slice(0, -1))),
  );

function isWithin(inner: Constraints, outer: Constraints): boolean {
  return (
    atLeast(inner.notBeforeMs, outer.notBeforeMs) &&
    atMost(inner.notAfterMs, outer.notAfterMs) &&
    atMost(inner.maxCalls, outer.maxCalls) &&
    isWithinAmount(inner.maxAmount, outer.maxAmount) &&
    (inner.singleUse || !outer.singleUse)
  );
}

const atMost = (inner: number | null, outer: number | null): boolean =>
  outer === null || (inner !== null && inner <= outer);

const atLeast = (inner: number | null, outer: number | null): boolean =>
  outer === null || (inner !== null && inner >= outer);

function isWithinAmount(inner: Constraints['maxAmount'], outer: Constraints['maxAmount']): boolean {
  if (outer === null) return true;
  if (inner?.argument !== outer.argument || inner.limit > outer.limit) return false;
  const { currency } = outer;
  return (
    currency === null || (inner.currency?.argument === currency.argument && inner.currency.value === currency.value)
  );
}
