/** The counters from which shares are lent: budgets of tasks, and limits over all tasks in one window. */
import { counterAt, counterText } from '../limit/limit-spend.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { Spend } from './spend.ts';
import type { TaskKey } from './store.ts';
import { chargedBy, counterOf } from './writes/settlement.ts';

/** The clocks that say in which window of a limit a share may be spent. */
export type ShareClocks = Pick<Clocks, 'wallMs' | 'floorMs'>;

/**
 * Whether a share can be lent. None is lent of a limit that suspends or stops at its maximum: it would do so while a process
 * still holds a share.
 */
export const isLendable = (spend: Spend): boolean =>
  spend.kind === 'limit'
    ? spend.effect === 'deny' && spend.isUnshared !== true && ['calls', 'amount', 'decimal'].includes(spend.measure)
    : spend.kind !== 'single-use';

/** How much a spend takes from its counter. */
export const takenFromShare = (spend: Spend): number => (spend.kind === 'limit' ? spend.amount : chargedBy(spend));

/**
 * How much of a use is counted towards the share that is asked for: at most an eighth of the maximum, which is the most that a loan can be.
 * A use is counted before it is settled: a use that is refused for its amount must not ask for all that is left.
 */
export function countedOf(spend: Spend): number {
  const most = spend.kind === 'limit' ? spend.max : 'limit' in spend ? spend.limit : 1;
  return Math.min(takenFromShare(spend), Math.floor(most / 8));
}

/**
 * The counter of a spend, as a text; `null` for a limit over all tasks if the two clocks are in different windows. INVARIANT: it
 * contains the maximum by which a share was lent, since another token of the task may have a smaller maximum; for a limit over
 * all tasks also the window.
 */
export function shareName(key: TaskKey | null, spend: Spend, { wallMs, floorMs }: ShareClocks): string | null {
  if (spend.kind !== 'limit')
    return key && `${key.issuer}\n${key.id}\n${counterOf(spend)}\n${'limit' in spend ? spend.limit : 1}`;
  const counter = counterAt(spend, wallMs);
  return counter.startsMs === counterAt(spend, floorMs).startsMs ? `${spend.max}\n${counterText(counter)}` : null;
}

/** The end of the first window of limits that ends; `Infinity` without limits. */
export const shareEndOf = (spends: readonly Spend[], { wallMs }: ShareClocks): number =>
  spends.reduce(
    (ends, spend) => (spend.kind === 'limit' ? Math.min(ends, counterAt(spend, wallMs).endsMs) : ends),
    Infinity,
  );

/** A spend on the same counter that takes nothing. */
export function ofNothing(spend: Spend): Spend {
  switch (spend.kind) {
    case 'calls':
      return { ...spend, count: 0 };
    case 'amount':
    case 'decimal':
    case 'limit':
      return { ...spend, amount: 0 };
    case 'single-use':
      return spend;
    default:
      return spend satisfies never;
  }
}
