import { isAmountBound } from '../../../core/action/budget/amount-bound.ts';
import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { Limit, LimitKey, LimitMeasure } from '../../../core/limit/limit.ts';
import type { AuthorizationDetail, MaxAmount } from '../../../core/token/authorization-details.ts';

/**
 * The limits of an action, in sentences for a model: those of the task, if each entry of the intent has some, and those over all
 * tasks; `null` if there are none. Deadlines and what is already used are left out: they differ from task to task, and a text
 * that is the same in many tasks can be cached.
 *
 * @param entries those of the intent that name the action, each an alternative
 * @param limits those of `limits.yaml` that cover the agent
 */
export function limitsText(
  action: CatalogAction,
  entries: readonly AuthorizationDetail[],
  limits: readonly Limit[],
): string | null {
  const sentences = [textInTask(action, entries), textOverAllTasks(action, limits)].filter((text) => text !== null);
  return sentences.length === 0 ? null : sentences.join(' ');
}

function textInTask(action: CatalogAction, entries: readonly AuthorizationDetail[]): string | null {
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

/** Most limits over all tasks that one tool names: a model reads each description at every turn. */
const MAX_NAMED = 10;

function textOverAllTasks(action: CatalogAction, limits: readonly Limit[]): string | null {
  const texts = limits.flatMap((limit) => textsOfLimit(action, limit));
  if (texts.length === 0) return null;
  const more = texts.length > MAX_NAMED ? `; and ${texts.length - MAX_NAMED} more` : '';
  return `Limits over all tasks: ${texts.slice(0, MAX_NAMED).join('; ')}${more}.`;
}

/** What a limit leaves for the action, by its measures; empty if it counts no calls of it. */
function textsOfLimit(action: CatalogAction, { actions, measures, per, windowMs }: Limit): readonly string[] {
  if (windowMs === null || actions?.includes(action.id) === false) return [];
  const window = windows.get(windowMs) ?? `in ${windowMs / 1_000} s`;
  return measures.flatMap((measure) => {
    const text = measureText(action, measure);
    return text === null ? [] : [`${text} ${window} (${whoseText(per)})`];
  });
}

const windows: ReadonlyMap<number, string> = new Map([
  [60_000, 'a minute'],
  [3_600_000, 'an hour'],
  [86_400_000, 'a day'],
]);

const whoseText = (per: readonly LimitKey[]): string =>
  per.length === 0 ? 'all agents together' : per.map((key) => `this ${key}`).join(', ');

/** `null` for what calls of the action do not add to. */
function measureText(action: CatalogAction, measure: LimitMeasure): string | null {
  if (measure.of === 'calls') return `at most ${measure.max} ${measure.max === 1 ? 'call' : 'calls'}`;
  if (measure.of === 'distinct') {
    return action.args.some(({ name }) => name === measure.argument)
      ? `at most ${measure.max} different ${measure.max === 1 ? 'value' : 'values'} of \`${measure.argument}\``
      : null;
  }
  if (measure.of !== 'amount') return null;
  const { argument, currency, isDecimal, max: limit } = measure;
  const sum: MaxAmount = { argument, currency, limit, ...(isDecimal ? { isDecimal } : {}) };
  return isAmountBound(action, sum) === true ? amountText(sum) : null;
}

/** Ten-thousandths are the unit of sums of decimals. */
const PLACES = 4;

function amountText({ argument, currency, isDecimal, limit }: MaxAmount): string {
  const digits = String(limit).padStart(PLACES + 1, '0');
  const decimal = `${digits.slice(0, -PLACES)}.${digits.slice(-PLACES)}`.replace(/0{1,3}$/, '');
  const sum = `the sum of \`${argument}\` at most ${isDecimal === true ? decimal : limit}`;
  return currency === null ? sum : `${sum} with \`${currency.argument}\` \`${currency.value}\``;
}
