/** What is taken from limits over all tasks, and given back: in a transaction of any implementation. */
import { createHash } from 'node:crypto';
import { uuidMs } from '../../decision/uuid.ts';
import { coversSpiffeId } from '../../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { counterAt, counterText } from '../../limit/limit-spend.ts';
import type { LimitCounter, LimitSpend, OpenTasksLimit, OverLimit, TaskLimits } from '../../limit/limit-spend.ts';
import type { LimitEffect } from '../../limit/limit.ts';
import type { UnsentUse } from '../store.ts';
import { lentOf, limitSpendsOf } from './settlement.ts';
import type { StateRows } from './state-rows.ts';

/**
 * The counters after a use, the different values that it adds, and for each spend what was lent and what its counter then has
 * left.
 */
interface LimitTaking {
  readonly lent: readonly number[];
  readonly left: readonly number[];
  readonly used: readonly (readonly [counter: LimitCounter, used: number, max: number])[];
  readonly values: readonly (readonly [LimitCounter, string])[];
}

/** A limit that refused, and what it does beside that. */
export interface LimitRefusal {
  readonly over: OverLimit;
  readonly effect: LimitEffect;
}

/**
 * The counters after all of the spends, or the limit that has too little left; nothing is written. The clock of this transaction
 * decides which window counts.
 *
 * INVARIANT: in a window in which the state was restored from a backup, nothing is left, since nobody knows what was used after
 * the backup.
 * @param spends `value` is a digest under the key of this state
 * @param ahead `SettledUse.ahead` of these spends
 */
export function limitsTaken(
  rows: StateRows,
  spends: readonly LimitSpend[],
  ahead?: readonly number[],
): LimitTaking | LimitRefusal {
  const used = new Map<string, readonly [LimitCounter, number, number]>();
  const values = new Map<string, readonly [LimitCounter, string]>();
  if (spends.length === 0) return { used: [], values: [], lent: [], left: [] };
  const [nowMs, restoredAtMs] = [rows.nowMs(), rows.restoredAtMs()];
  const lent: number[] = spends.map(() => 0);
  const left: number[] = [];
  for (const [at, spend] of spends.entries()) {
    const { amount, max, value } = spend;
    const counter = counterAt(spend, nowMs);
    const text = counterText(counter);
    const counted = used.get(text)?.[1] ?? rows.limitUsed(counter);
    const before = restoredAtMs !== null && counter.startsMs <= restoredAtMs ? Math.max(counted, max) : counted;
    if (value !== undefined) {
      if (values.has(`${text}${value}`) || rows.hasLimitValue(counter, value)) {
        left.push(Math.max(0, max - before));
        continue;
      }
      values.set(`${text}${value}`, [counter, value]);
    }
    // Not `before + amount > max`: the sum may exceed the largest exact integer.
    if (before > max - amount && amount > 0) {
      const { limit, measure, effect } = spend;
      return {
        over: { problem: 'limit', over: { limit, measure, max, used: before, endsMs: counter.endsMs } },
        effect,
      };
    }
    // A value is counted once for all uses, so there is nothing to lend.
    const more = value === undefined ? lentOf(Math.max(0, max - before - amount), ahead?.[at] ?? 0) : 0;
    lent[at] = more;
    left.push(Math.max(0, max - before - amount - more));
    used.set(text, [counter, counted + amount + more, max]);
  }
  return { used: [...used.values()], values: [...values.values()], lent, left };
}

/**
 * Whether a borrower is in the same windows as this state, by the time in the id of its loan: it spends a loan in the window of
 * its own clock. INVARIANT: otherwise nothing is lent, since a borrower whose clock is ahead would spend the loan of one window
 * in addition to the whole next window. A false time in an id gains nothing: its sender could as well allow calls without
 * counting them.
 */
export function isInWindowsOf(decisionId: string, spends: readonly LimitSpend[], nowMs: number): boolean {
  const askedMs = uuidMs(decisionId);
  return spends.every((spend) => counterAt(spend, askedMs).startsMs === counterAt(spend, nowMs).startsMs);
}

/** Whether a limit refused. */
export const isLimitRefusal = (taking: LimitTaking | LimitRefusal): taking is LimitRefusal => 'over' in taking;

/** Writes what was taken. Returns whether any row changed. */
export function writeLimits(rows: StateRows, { used, values }: LimitTaking): boolean {
  const changed = used.filter(([counter, total]) => rows.limitUsed(counter) !== total);
  for (const [counter, total, max] of changed) rows.setLimitUsed(counter, total, max);
  for (const [counter, value] of values) rows.addLimitValue(counter, value);
  return changed.length > 0 || values.length > 0;
}

/** The limits that a new task must be within: what it takes of them, or the limit that has too little left. */
export function taskLimitsTaken(rows: StateRows, { spends, open }: TaskLimits): LimitTaking | LimitRefusal {
  for (const limit of open) {
    const used = openTasksOf(rows, limit);
    if (used < limit.max) continue;
    const { limit: id, max, effect } = limit;
    return {
      over: { problem: 'limit', over: { limit: id, measure: 'openTasks', max, used, endsMs: null } },
      effect,
    };
  }
  return limitsTaken(rows, spends);
}

/**
 * Counts tasks whose end is not written, also those past their deadline: so a new task may be refused too early, never too late.
 */
const openTasksOf = (rows: StateRows, { agent, agents, subject }: OpenTasksLimit): number =>
  rows
    .openTasks({ agent, subject })
    // Tasks have SPIFFE IDs.
    .filter(({ agent: of }) => agents.some((pattern) => pattern === '*' || coversSpiffeId(pattern, of as SpiffeId)))
    .reduce((sum, { count }) => sum + count, 0);

/**
 * The spends that can be given back, by the length of their window. Different values cannot be given back: other uses may have
 * been allowed because the value was already counted.
 */
const returnable = (spends: UnsentUse['spends']): ReadonlyMap<number, readonly LimitSpend[]> =>
  Map.groupBy(
    limitSpendsOf(spends).filter(({ measure }) => measure !== 'distinct'),
    ({ windowMs }) => windowMs,
  );

/**
 * The keys under which it is remembered what a use took from limits, one for each length of window; none if nothing can be given back. They
 * name the window, so that nothing is given back to a later window, and who settled the use, so that nobody gives back what another took.
 */
export function limitNames(
  { decisionId, by, spends }: Pick<UnsentUse, 'decisionId' | 'by' | 'spends'>,
  nowMs: number,
): readonly string[] {
  return [...returnable(spends).values()].map((of) => {
    const taken = of.map((spend) => [counterText(counterAt(spend, nowMs)), spend.amount]);
    const digest = createHash('sha256').update(JSON.stringify([decisionId, by ?? '', taken]));
    return `${decisionId} took limits ${digest.digest('hex')}`;
  });
}

/**
 * Gives back what a use took from the windows that are still running. Returns whether that was anything.
 * @param left how much of each is given back, at most its amount; absent, all of it
 */
export function giveBackLimits(rows: StateRows, use: UnsentUse, left?: readonly number[]): boolean {
  const nowMs = rows.nowMs();
  const names = limitNames(use, nowMs);
  const limits = limitSpendsOf(use.spends);
  let isGiven = false;
  for (const [at, of] of [...returnable(use.spends).values()].entries()) {
    if (!rows.isSettled(names[at] ?? '')) continue;
    isGiven = true;
    for (const spend of of) {
      const counter = counterAt(spend, nowMs);
      const back = left === undefined ? spend.amount : Math.min(spend.amount, left[limits.indexOf(spend)] ?? 0);
      rows.setLimitUsed(counter, Math.max(0, rows.limitUsed(counter) - back), spend.max);
    }
  }
  return isGiven;
}

/** The spends with the digests of their values under the key of a state. */
export const withDigests = <S extends { readonly kind: string }>(
  spends: readonly (S | LimitSpend)[],
  digestOf: (secret: string) => string,
): readonly (S | LimitSpend)[] =>
  spends.some((spend) => 'value' in spend)
    ? spends.map((spend) =>
        'value' in spend && spend.value !== undefined
          ? { ...spend, value: digestOf(`limit value ${spend.value}`) }
          : spend,
      )
    : spends;
