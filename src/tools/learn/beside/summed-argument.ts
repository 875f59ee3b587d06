import type { ArgumentSpec } from '../../../core/action/catalog/catalog-arguments.ts';
import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { isAmountName } from '../../policy/lint/amount-names.ts';

/**
 * The argument whose sum `max_amount` bounds: a `long` or a `decimal` outside of the path that is named like an amount;
 * otherwise, for an action of high risk, the first `long` or `decimal` outside of the path. `null` if there is none.
 */
export function summedArgument({ args, risk }: Pick<CatalogAction, 'args' | 'risk'>): ArgumentSpec | null {
  const numbers = args.filter(({ type, from }) => (type === 'long' || type === 'decimal') && from !== 'path');
  const named = numbers.find(({ name }) => isAmountName(name));
  return named ?? (risk === 'high' ? (numbers[0] ?? null) : null);
}
