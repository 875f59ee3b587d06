/** How much of limits is used, for listings. */
import { TEN_THOUSANDTHS } from '../action/budget/decimal.ts';
import type { OpenTaskUse } from '../limit/open-task-uses.ts';
import type { LimitCounter } from '../limit/limit-spend.ts';

/** How long a window is kept once it is over: a day. */
export const LIMITS_KEPT_MS = 86_400_000;

/** Most counters of a listing. */
export const MAX_LIMIT_USES = 1_000;

/** Which counters to list: of the windows that are running, those with the most used first. */
export interface LimitUseFilter {
  /** Of one limit; absent, of all. */
  readonly limit?: string;
  /** Whose: the whole text of `who`. */
  readonly who?: string;
}

/** A counter with what is used of it. */
export interface LimitUse extends LimitCounter {
  readonly used: number;
  /** What the limit allowed when it was last used. */
  readonly max: number;
}

/** How far the fullest counter of a limit is used, by what it counts: 1 is all of it. */
export interface LimitPeak extends Pick<LimitCounter, 'limit' | 'measure'> {
  readonly ratio: number;
}

/** What a counter counts, in words. */
const COUNTS: Readonly<Record<LimitCounter['measure'], string>> = {
  calls: 'calls',
  amount: 'amount',
  decimal: 'amount',
  distinct: 'different values',
  tasks: 'tasks',
};

/** A counter as the issuer and `--json` show it: `who` by the keys of `per`, amounts in their own unit, instants in RFC 3339. */
export function limitUseJson({ endsMs, limit, max, measure, startsMs, used, who }: LimitUse) {
  const unit = measure === 'decimal' ? TEN_THOUSANDTHS : 1;
  return {
    limit,
    counts: COUNTS[measure],
    who: whoIn(who),
    max: max / unit,
    used: used / unit,
    left: Math.max(0, max - used) / unit,
    starts: new Date(startsMs).toISOString(),
    ends: new Date(endsMs).toISOString(),
  };
}

/** Open tasks of a limit, in the same form: they have no window. */
export const openTaskUseJson = ({ limit, max, used, who }: OpenTaskUse) => ({
  limit,
  counts: 'open tasks',
  who,
  max,
  used,
  left: Math.max(0, max - used),
  starts: null,
  ends: null,
});

/** The values of the keys of a counter. A sidecar sent the text: if it is no list of texts, it is shown as it is. */
function whoIn(who: string): readonly string[] {
  try {
    const values: unknown = JSON.parse(who);
    return Array.isArray(values) && values.every((value) => typeof value === 'string') ? values : [who];
  } catch {
    return [who];
  }
}
