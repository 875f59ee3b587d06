/** Judges an attempt by the policies, then by the limits over all tasks. */
import { TEN_THOUSANDTHS, decimalFrom } from '../../../core/action/budget/decimal.ts';
import { allReadings } from '../../../core/action/http/http.ts';
import type { ArgumentValue } from '../../../core/action/http/http.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import { counterAt, counterText } from '../../../core/limit/limit-spend.ts';
import type { ExceededLimit, LimitSpend } from '../../../core/limit/limit-spend.ts';
import {
  limitCountsOf,
  limitExceeded,
  limitSpends,
  taskLimitsFor,
  valueDigest,
} from '../../../core/limit/limit-spends.ts';
import type { Limit } from '../../../core/limit/limit.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { rehearse } from './rehearse.ts';
import type { LimitedAttempt, Rehearsal } from './rehearse.ts';
import type { Attempt, CaseCircumstances, CountedBefore } from './test-case.ts';

/** What an attempt takes from one counter of a limit. Numbers are in the unit of the limit as it is written. */
export interface CounterUse {
  readonly limit: string;
  /** `calls`, `amount EUR`, `different account`, `tasks`, `open tasks` */
  readonly counts: string;
  /** JSON of the values of `per`. */
  readonly who: string;
  /** Before the attempt. */
  readonly used: number;
  readonly takes: number;
  readonly max: number;
  /** RFC 3339; `null` for open tasks. */
  readonly ends: string | null;
}

/** An attempt as policies and limits decide it. */
export interface LimitedRehearsal extends Rehearsal {
  /** What it takes from limits; empty if no limit concerns it, or if it is denied before. */
  readonly counters: readonly CounterUse[];
}

/**
 * As `rehearse`, then by the limits of the set. The circumstances say what each limit had counted before, by default nothing.
 * Counts of limits that the set lacks are ignored.
 */
export function rehearseLimited(
  attempt: Attempt,
  circumstances: CaseCircumstances,
  policies: PolicySet,
): LimitedRehearsal | Problem {
  const rehearsal = rehearse(attempt, circumstances, policies);
  if (isProblem(rehearsal)) return rehearsal;
  if (isDeny(rehearsal.decision) || rehearsal.limited === null) return { ...rehearsal, counters: [] };
  const { limits } = policies;
  const taken = takenBy(rehearsal.limited, { limits, circumstances });
  if (isDeny(taken)) return { ...rehearsal, decision: taken, counters: [] };
  // As the state judges it: what takes nothing passes, however much was counted. Not `used + takes`, which may be no exact integer.
  const over = taken.find(({ takes, exceeded: { used, max } }) => takes > 0 && used > max - takes);
  const counters = taken.map(({ who, takes, exceeded }) => counterUse({ who, takes, exceeded }, limits));
  if (over === undefined) return { ...rehearsal, counters };
  return { ...rehearsal, decision: limitExceeded(over.exceeded, limits), counters };
}

/** What is wrong with the counts of a case for these limits; `null` if nothing is. */
export function countedProblem(counted: CaseCircumstances['limits'], limits: readonly Limit[]): string | null {
  const byId = new Map(limits.map((limit) => [limit.id, limit]));
  for (const [id, before] of counted) {
    const limit = byId.get(id);
    if (limit === undefined) return `\`limits.yaml\` has no limit \`${id}\``;
    const unread = (Object.keys(before) as (keyof CountedBefore)[]).find(
      (key) => isCounted(before[key]) && !limit.measures.some(({ of }) => of === key),
    );
    if (unread !== undefined) return `the limit \`${id}\` does not count \`${unread}\``;
    const amount = limit.measures.find(({ of }) => of === 'amount');
    if (amount?.of === 'amount' && !amount.isDecimal && before.amount.isDecimal === true)
      return `the \`amount\` of the limit \`${id}\` is a whole number`;
  }
  return null;
}

const isCounted = (value: CountedBefore[keyof CountedBefore]): boolean =>
  Array.isArray(value) ? value.length > 0 : (typeof value === 'object' && 'limit' in value ? value.limit : value) !== 0;

/** What an attempt takes from one counter, with the facts of a denial. */
interface Taken {
  readonly who: string;
  readonly takes: number;
  readonly exceeded: ExceededLimit;
}

interface Judged {
  readonly limits: readonly Limit[];
  readonly circumstances: Pick<CaseCircumstances, 'limits' | 'nowMs'>;
}

function takenBy(attempt: LimitedAttempt, { limits, circumstances }: Judged): readonly Taken[] | Deny {
  const { limits: before, nowMs } = circumstances;
  if (attempt.kind === 'use') {
    const spends = limitSpends(limits, { ...attempt, isObserved: false });
    if (isDeny(spends)) return spends;
    const isKnown = (spend: LimitSpend): boolean => isCountedValue(spend, { limits, attempt, before });
    return takenOf(spends, { before, nowMs, isKnown });
  }
  const { spends, open } = taskLimitsFor(limits, attempt);
  // As the state does, open tasks first: a denial names the first limit that has too little left.
  return [
    ...open.map(({ limit, who, max }): Taken => {
      const used = before.get(limit)?.openTasks ?? 0;
      return { who, takes: 1, exceeded: { limit, measure: 'openTasks', max, used, endsMs: null } };
    }),
    ...takenOf(spends, { before, nowMs, isKnown: () => false }),
  ];
}

/** What each spend takes, after those before it: several values of one call are counted one after the other. */
function takenOf(
  spends: readonly LimitSpend[],
  {
    before,
    nowMs,
    isKnown,
  }: Pick<CaseCircumstances, 'nowMs'> & {
    readonly before: CaseCircumstances['limits'];
    readonly isKnown: (spend: LimitSpend) => boolean;
  },
): readonly Taken[] {
  const totals = new Map<string, number>();
  return spends.map((spend) => {
    const { limit, measure, max, who, amount } = spend;
    const counter = counterAt(spend, nowMs);
    const used = totals.get(counterText(counter)) ?? usedBefore(measure, before.get(limit));
    const takes = isKnown(spend) ? 0 : amount;
    totals.set(counterText(counter), used + takes);
    return { who, takes, exceeded: { limit, measure, max, used, endsMs: counter.endsMs } };
  });
}

/** Whether a case lists the value of a spend, in any reading of the call, among those that were counted before. */
function isCountedValue(
  { limit: id, measure, value }: LimitSpend,
  {
    limits,
    attempt,
    before,
  }: Pick<Judged, 'limits'> & {
    readonly attempt: Extract<LimitedAttempt, { readonly kind: 'use' }>;
    readonly before: CaseCircumstances['limits'];
  },
): boolean {
  const counted = before.get(id)?.distinct;
  const of = limits.find((limit) => limit.id === id)?.measures.find((one) => one.of === 'distinct');
  if (measure !== 'distinct' || !Array.isArray(counted) || of?.of !== 'distinct') return false;
  const values = allReadings(attempt.action).map(({ args }) => args.get(of.argument));
  return values.some((one) => valueDigest(one) === value && counted.includes(textOfValue(one)));
}

function usedBefore(measure: LimitSpend['measure'], before: CountedBefore | undefined): number {
  if (before === undefined) return 0;
  if (measure === 'calls' || measure === 'tasks') return before[measure];
  if (measure === 'distinct') return typeof before.distinct === 'number' ? before.distinct : before.distinct.length;
  const { limit, isDecimal } = before.amount;
  return measure === 'decimal' && isDecimal !== true ? limit * TEN_THOUSANDTHS : limit;
}

/** A value as a case writes it. */
function textOfValue(value: ArgumentValue | undefined): string {
  const plain = typeof value === 'object' && 'decimal' in value ? value.decimal : String(value);
  return decimalFrom(plain) === null ? plain : plain.replace(/\.0$/, '');
}

function counterUse({ who, takes, exceeded }: Taken, limits: readonly Limit[]): CounterUse {
  const { limit, measure, max, used, endsMs } = exceeded;
  const unit = measure === 'decimal' ? TEN_THOUSANDTHS : 1;
  return {
    limit,
    counts: limitCountsOf(
      measure,
      limits.find(({ id }) => id === limit),
    ),
    who,
    used: used / unit,
    takes: takes / unit,
    max: max / unit,
    ends: endsMs === null ? null : new Date(endsMs).toISOString().replace('.000Z', 'Z'),
  };
}
