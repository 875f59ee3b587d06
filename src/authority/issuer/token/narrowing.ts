import type { AuthorizationDetail, Constraints } from '../../../core/token/authorization-details.ts';

/**
 * How entries exceed the entries that they must be within, as a clause for the client; `null` if they do not. Within means: for each location
 * and action of an entry, some outer entry has both and constraints that are as wide or wider.
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
          : `the subject_token does not grant the action ${action}`;
      }
    }
  }
  return null;
}

/**
 * A budget of entries that the entries of their task do not have; `null` if there is none. Budgets belong to the task, so a token may lower
 * the limit of a budget but not add a budget.
 */
export function addedBudget(
  details: readonly AuthorizationDetail[],
  own: readonly AuthorizationDetail[],
): string | null {
  const summed = new Set(own.map(({ constraints }) => keyOf(constraints)));
  const added = details.find(({ constraints }) => constraints.maxAmount !== null && !summed.has(keyOf(constraints)));
  return added?.constraints.maxAmount?.argument ?? null;
}

/** A sum in whole numbers and a sum in ten-thousandths are two budgets. */
const keyOf = ({ maxAmount }: Constraints): string | null =>
  maxAmount === null ? null : `${maxAmount.isDecimal === true ? 'decimal' : 'amount'}:${maxAmount.argument}`;

/** An action at a location, with its constraints. */
export interface GrantedAction {
  readonly location: string;
  readonly action: string;
  readonly constraints: Constraints;
}

/** The first entry that grants at least this; `undefined` if none does. */
export const grantingEntry = (
  { location, action, constraints }: GrantedAction,
  entries: readonly AuthorizationDetail[],
): AuthorizationDetail | undefined =>
  entries.find((entry) => has(entry, location, action) && isWithin(constraints, entry.constraints));

const has = (entry: AuthorizationDetail, location: string, action: string): boolean =>
  entry.locations.includes(location) && isCovered(action, entry.actions);

/** Whether names or families (`payments.*`) cover an action. */
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
  if (inner?.argument !== outer.argument || inner.isDecimal !== outer.isDecimal || inner.limit > outer.limit)
    return false;
  const { currency } = outer;
  return (
    currency === null || (inner.currency?.argument === currency.argument && inner.currency.value === currency.value)
  );
}
