import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import type { AuthorizationDetail } from '../../token/authorization-details.ts';
import { TEN_THOUSANDTHS, tenThousandthsOf } from './decimal.ts';
import type { Action, ArgumentValue } from '../http/http.ts';

/**
 * What one allowed use takes from a budget of its task, whichever token is used. It is taken before the use is recorded, and not returned
 * if the use is denied after that.
 */
export type ActionSpend =
  { readonly kind: 'calls'; readonly limit: number } | AmountSpend | { readonly kind: 'single-use' };

/** An amount, and its limit: of the kind `decimal` both in ten-thousandths. */
interface AmountSpend {
  readonly kind: 'amount' | 'decimal';
  readonly name: string;
  readonly amount: number;
  readonly limit: number;
}

/**
 * What a use spends by the constraints of the detail that covers it; empty without constraints. Denies with `action.outside-intent` if the
 * argument to sum is missing or not a number of 0 or more (a whole number, if the limit is), or if the currency is not the granted
 * currency. Session actions spend nothing. An argument that only an answer brings is counted with that answer. A message that continues a
 * call spends only the amount that it brings: the call was counted.
 */
export function spendsOf({ constraints }: AuthorizationDetail, action: Action): readonly ActionSpend[] | Deny {
  const { maxCalls, maxAmount, singleUse } = constraints;
  const spends: ActionSpend[] = [];
  if (action.isSession) return spends;
  const { continues } = action;
  if (singleUse && continues === undefined) spends.push({ kind: 'single-use' });
  if (maxCalls !== null && continues === undefined) spends.push({ kind: 'calls', limit: maxCalls });
  if (maxAmount === null || continues?.answered.has(maxAmount.argument) === false) return spends;
  if (action.unanswered?.includes(maxAmount.argument) === true) return spends;
  const { currency, argument: name, limit, isDecimal = false } = maxAmount;
  const amount = amountOf(action.args.get(name), isDecimal);
  if (amount === null) {
    const expected = isDecimal ? 'a number of 0 or more' : 'a whole number of 0 or more';
    return deny('action.outside-intent', `\`max_amount\` needs \`${name}\`, ${expected}`, {
      clientFacts: { argument: { name, expected } },
    });
  }
  if (currency !== null && action.args.get(currency.argument) !== currency.value) {
    const clientFacts = { argument: { name: currency.argument, expected: 'the currency that the intent declares' } };
    return deny('action.outside-intent', `\`max_amount\` is granted for one value of \`${currency.argument}\` alone`, {
      clientFacts,
    });
  }
  spends.push({ kind: isDecimal ? 'decimal' : 'amount', name, amount, limit });
  return spends;
}

/**
 * The amount in the unit of its limit, `null` if it has none. A `long` under a decimal limit counts as its ten-thousandths; a decimal under
 * a whole limit, which an intent gets only while the catalog calls its argument a `long`, is never allowed.
 */
export function amountOf(value: ArgumentValue | undefined, isDecimal: boolean): number | null {
  if (typeof value === 'number') {
    if (value < 0) return null;
    return isDecimal ? Math.min(value * TEN_THOUSANDTHS, Number.MAX_SAFE_INTEGER) : value;
  }
  if (!isDecimal || typeof value !== 'object' || !('decimal' in value)) return null;
  const amount = tenThousandthsOf(value);
  return amount < 0 ? null : amount;
}

/**
 * What a call with several readings spends, given the spends of each reading: for each budget the largest amount, and the lowest
 * limit.
 */
export function mostSpent(readings: readonly (readonly ActionSpend[])[]): readonly ActionSpend[] {
  const [only, second] = readings;
  if (only !== undefined && second === undefined) return only;
  const most = new Map<string, ActionSpend>();
  for (const spend of readings.flat()) {
    const counter = 'name' in spend ? `${spend.kind} ${spend.name}` : spend.kind;
    const other = most.get(counter);
    most.set(counter, other === undefined ? spend : greater(other, spend));
  }
  return [...most.values()];
}

function greater(one: ActionSpend, other: ActionSpend): ActionSpend {
  if ('name' in one && 'name' in other)
    return { ...one, amount: Math.max(one.amount, other.amount), limit: Math.min(one.limit, other.limit) };
  return one.kind === 'calls' && other.kind === 'calls' ? { ...one, limit: Math.min(one.limit, other.limit) } : one;
}
