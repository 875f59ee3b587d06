import { TEN_THOUSANDTHS } from '../action/budget/decimal.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision } from '../decision/decision.ts';
import type { DenialFacts } from '../decision/denial-facts.ts';
import { limitCountsOf } from './limit-spends.ts';
import type { LimitSpend } from './limit-spend.ts';
import type { Limit } from './limit.ts';

/** A counter of a limit over all tasks that a use takes from, as its record and its span have it. Numbers are in the unit of the limit. */
export interface CountedLimit {
  /** Id of the limit. */
  readonly id: string;
  /** What the counter counts, as `limitCountsOf` says it; a longer text is cut after 64 UTF-16 code units. */
  readonly counts: string;
  /** What the limit had left: after an allowed use, or before the use that it refused. What is lent to sidecars is not in it. Absent if it is not known. */
  readonly left?: number;
  /** What was left of the share of this process, from which the use was settled. It says nothing of the limit, which may have more left. */
  readonly share?: number;
}

/** What is left after a use: a whole number for each of its spends on limits, in their order, in ten-thousandths for decimals. */
export interface LeftAfterUse {
  /** `left` of the limits, or of the `share`s of this process. */
  readonly of: 'left' | 'share';
  readonly numbers: readonly number[];
}

/** Most counters of one use that are recorded: a use at a sidecar has no more. */
const MAX_COUNTED = 64;
const MAX_COUNTS = 64;

/**
 * The counters that a use takes from, each once, in the order of its spends; at most 64. If two spends take from one counter, the
 * smaller of what they left counts.
 *
 * @param limits those of the policy set by which the use was decided
 * @param after absent if nothing is known
 */
export function countedLimits(
  spends: readonly LimitSpend[],
  limits: readonly Limit[],
  after?: LeftAfterUse,
): readonly CountedLimit[] {
  const counted = new Map<string, CountedLimit>();
  for (const [at, { limit: id, measure, who }] of spends.entries()) {
    const counter = JSON.stringify([id, measure, who]);
    const before = counted.get(counter);
    if (before === undefined && counted.size === MAX_COUNTED) continue;
    const limit = limits.find((one) => one.id === id);
    const counts = before?.counts ?? cut(limitCountsOf(measure, limit));
    const unit = measure === 'decimal' ? TEN_THOUSANDTHS : 1;
    counted.set(counter, { id, counts, ...leftAt(at, { unit, after, before }) });
  }
  return [...counted.values()];
}

const cut = (text: string): string =>
  text.length > MAX_COUNTS ? `${text.slice(0, MAX_COUNTS).toWellFormed()}…` : text;

type Left = Pick<CountedLimit, 'left' | 'share'>;

function leftAt(
  at: number,
  {
    unit,
    after,
    before,
  }: { readonly unit: number; readonly after: LeftAfterUse | undefined; readonly before: Left | undefined },
): Left {
  const number = after?.numbers[at];
  if (after === undefined || number === undefined) return {};
  const least = Math.min(number / unit, before?.[after.of] ?? Infinity);
  return after.of === 'left' ? { left: least } : { share: least };
}

/**
 * The counters as a decision leaves them. A denial takes nothing, or what it took is given back, so only what the refusing limit
 * had left is kept.
 */
export function limitsAfter(counted: readonly CountedLimit[], decision: Decision): readonly CountedLimit[] {
  const denial = isDeny(decision) ? decision : decision.observed;
  if (denial === null) return counted;
  const over = denial.clientFacts?.limit;
  return counted.map(({ id, counts }) =>
    over?.id === id && cut(over.counts) === counts ? { id, counts, left: leftBefore(over) } : { id, counts },
  );
}

function leftBefore({ max, used }: NonNullable<DenialFacts['limit']>): number {
  const left = Math.max(0, max - used);
  // A difference of decimals has more digits than both.
  return Number.isInteger(max) && Number.isInteger(used) ? left : Math.round(left * TEN_THOUSANDTHS) / TEN_THOUSANDTHS;
}

/** What is left of a counter in words, such as `12 left`; `null` if it is not known. */
export function leftText({ left, share }: Left): string | null {
  if (left !== undefined) return `${left} left`;
  return share === undefined ? null : `${share} left of what its process was lent`;
}
