import type { AuthorizationDetail, Constraints } from '../token/authorization-details.ts';

/**
 * The first thing that entries grant and the entries they must stay within do not, as words for the client; `null` where
 * there is none. Within means: for each location and each action of an entry there is one entry that has both and whose
 * every constraint is as wide or wider.
 */
export function wideningOf(
  details: readonly AuthorizationDetail[],
  within: readonly AuthorizationDetail[],
): string | null {
  for (const { actions, constraints, locations } of details) {
    for (const location of locations) {
      for (const action of actions) {
        if (grantingEntry({ location, action, constraints }, within) !== undefined) continue;
        return within.some((entry) => has(entry, location, action))
          ? `the constraints of the action ${action} are wider than those of the subject_token`
          : `the action ${action} is not one the subject_token carries`;
      }
    }
  }
  return null;
}

/** One action at one location under its constraints. */
export interface GrantedAction {
  readonly location: string;
  readonly action: string;
  readonly constraints: Constraints;
}

/** The first entry that grants as much; `undefined` where none does. */
export const grantingEntry = (
  { location, action, constraints }: GrantedAction,
  entries: readonly AuthorizationDetail[],
): AuthorizationDetail | undefined =>
  entries.find((entry) => has(entry, location, action) && isWithin(constraints, entry.constraints));

const has = (entry: AuthorizationDetail, location: string, action: string): boolean =>
  entry.locations.includes(location) && isCovered(action, entry.actions);

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
