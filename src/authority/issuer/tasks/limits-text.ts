import { isAmountBound } from '../../../core/action/budget/amount-bound.ts';
import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { AuthorizationDetail, MaxAmount } from '../../../core/token/authorization-details.ts';

/**
 * The limits of an action in a task, in a sentence for a model; `null` if some entry of the intent has none. Ends are left out: they differ from
 * task to task, and what is the same in many tasks can be cached.
 *
 * @param entries those that name the action, each an alternative
 */
export function limitsText(action: CatalogAction, entries: readonly AuthorizationDetail[]): string | null {
  const alternatives = new Set(entries.map((entry) => limitsOf(action, entry)));
  if (alternatives.size === 0 || alternatives.has('')) return null;
  return `Limits in this task: ${[...alternatives].join('; or ')}.`;
}

/** The limits of one entry; `''` if it has none. */
function limitsOf(action: CatalogAction, { constraints }: AuthorizationDetail): string {
  const { maxAmount, maxCalls, singleUse } = constraints;
  const limits: string[] = [];
  if (maxCalls !== null) limits.push(`at most ${maxCalls} ${maxCalls === 1 ? 'call' : 'calls'} in all`);
  if (maxAmount !== null && isAmountBound(action, maxAmount) === true) limits.push(amountText(maxAmount));
  if (singleUse) limits.push('one call for each token');
  return limits.join(', ');
}

/** Ten-thousandths are the unit of sums of decimals. */
const PLACES = 4;

function amountText({ argument, currency, isDecimal, limit }: MaxAmount): string {
  const digits = String(limit).padStart(PLACES + 1, '0');
  const decimal = `${digits.slice(0, -PLACES)}.${digits.slice(-PLACES)}`.replace(/0{1,3}$/, '');
  const sum = `the sum of \`${argument}\` at most ${isDecimal === true ? decimal : limit}`;
  return currency === null ? sum : `${sum} with \`${currency.argument}\` \`${currency.value}\``;
}
