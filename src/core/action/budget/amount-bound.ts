import { isProblem, type Problem } from '../../runtime/problem.ts';
import type { Constraints, MaxAmount } from '../../token/authorization-details.ts';
import type { CatalogAction } from '../catalog/catalog.ts';

/**
 * Whether `max_amount` bounds an action. It does if the action has the argument to sum, required or optional. A problem, as a clause for
 * the client, if that argument is neither a `long` nor, under a decimal limit, a `decimal`, or if the argument of the currency is missing
 * or not a `string`: nothing could be counted then.
 */
export function isAmountBound(
  { id, args }: Pick<CatalogAction, 'id' | 'args'>,
  { argument, currency, isDecimal }: MaxAmount,
): boolean | Problem {
  const typeOf = (name: string): string | undefined => args.find((spec) => spec.name === name)?.type;
  const type = typeOf(argument);
  if (type === undefined) return false;
  if (type === 'decimal' && isDecimal !== true)
    return { problem: `${argument} of ${id} is a decimal: write the limit of its max_amount as text, such as "99.95"` };
  if (type !== 'long' && type !== 'decimal')
    return { problem: `max_amount sums a long or a decimal, and ${argument} of ${id} is a ${type}` };
  if (currency === null) return true;
  const currencyType = typeOf(currency.argument);
  if (currencyType === 'string') return true;
  return currencyType === undefined
    ? { problem: `${id} has no argument ${currency.argument}, the currency of its max_amount` }
    : {
        problem: `the currency of max_amount is a string, and ${currency.argument} of ${id} is a ${currencyType}`,
      };
}

/** The constraints of an entry that apply to one of its actions: without a `max_amount` that does not bound it. */
export const constraintsOn = (action: Pick<CatalogAction, 'id' | 'args'>, constraints: Constraints): Constraints =>
  constraints.maxAmount === null || isBound(action, constraints.maxAmount)
    ? constraints
    : { ...constraints, maxAmount: null };

const isBound = (action: Pick<CatalogAction, 'id' | 'args'>, maxAmount: MaxAmount): boolean => {
  const bound = isAmountBound(action, maxAmount);
  return isProblem(bound) || bound;
};
