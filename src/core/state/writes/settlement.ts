/** What a use takes from budgets and history, and what is given back: pure. */
import { createHash } from 'node:crypto';
import { historyWith } from '../../task/history.ts';
import type { HistoryEntry, TaskHistory } from '../../task/history.ts';
import { stateAt, tokenProblem } from '../../task/task.ts';
import type { SettledUse } from '../settling.ts';
import { limitSpendProblem } from '../../limit/limit-spend.ts';
import type { LimitSpend } from '../../limit/limit-spend.ts';
import type { ExceededBudget, Spend, SpendProblem, TaskSpend } from '../spend.ts';
import type { TaskKey } from '../store.ts';
import type { UseState } from '../store-reader.ts';

/** How much a spend adds to which counter, and the limit of that counter. */
interface Charge {
  readonly counter: string;
  readonly amount: number;
  readonly limit: number;
  readonly problem: SpendProblem;
  /** Whether more than a use takes can be lent ahead. */
  readonly isLent: boolean;
}

/** The counter of a spend, among those of its task. */
export const counterOf = ({ kind, name = '' }: TaskSpend): string => `${kind}:${name}`;

/** How much a spend takes from its counter. */
export const chargedBy = (spend: TaskSpend): number => chargeOf(spend).amount;

function chargeOf(spend: TaskSpend): Charge {
  const counter = counterOf(spend);
  switch (spend.kind) {
    case 'calls':
      return { counter, amount: spend.count ?? 1, limit: spend.limit, problem: 'exhausted', isLent: true };
    case 'amount':
    case 'decimal':
      return { counter, amount: spend.amount, limit: spend.limit, problem: 'exhausted', isLent: true };
    case 'single-use':
      return { counter, amount: 1, limit: 1, problem: 'replayed', isLent: false };
    default:
      return spend satisfies never;
  }
}

const isOfTask = (spend: Spend): spend is TaskSpend => spend.kind !== 'limit';
const isOfLimit = (spend: Spend): spend is LimitSpend => spend.kind === 'limit';

/** The spends on budgets of the task. */
export const taskSpendsOf = (spends: readonly Spend[]): readonly TaskSpend[] => spends.filter(isOfTask);

/** The spends on limits over all tasks. */
export const limitSpendsOf = (spends: readonly Spend[]): readonly LimitSpend[] => spends.filter(isOfLimit);

/** Splits numbers that belong to spends, one each, into those of budgets and those of limits; a missing number is 0. */
export function numbersOf(
  spends: readonly Spend[],
  numbers: readonly number[] | undefined,
): { readonly ofTask: readonly number[] | undefined; readonly ofLimits: readonly number[] | undefined } {
  if (numbers === undefined) return { ofTask: undefined, ofLimits: undefined };
  const of = (is: (spend: Spend) => boolean): readonly number[] =>
    spends.flatMap((spend, at) => (is(spend) ? [numbers[at] ?? 0] : []));
  return { ofTask: of(isOfTask), ofLimits: of(isOfLimit) };
}

/**
 * Why spends cannot be counted at all; `null` if they can.
 * @param more what is wanted ahead of each, or given back of each
 */
export function spendsProblem(spends: readonly Spend[], more: readonly number[] = []): string | null {
  for (const spend of limitSpendsOf(spends)) {
    const problem = limitSpendProblem(spend);
    if (problem !== null) return problem;
  }
  const charges = taskSpendsOf(spends).map(chargeOf);
  const numbers = [...charges.flatMap(({ amount, limit }) => [amount, limit]), ...more];
  return numbers.every((number) => Number.isSafeInteger(number) && number >= 0)
    ? null
    : 'an amount of a budget must be a whole number from 0 to 2^53 - 1';
}

/** The rows from which a use is settled. */
export interface UseRows {
  /** The task with its token and history; `undefined` if the task does not exist. */
  readonly use: UseState | undefined;
  /** The value of a counter of the task; 0 if there is no such counter. */
  readonly spent: (counter: string) => number;
}

/** What a use takes from its task. */
export interface Taking {
  readonly spends: readonly TaskSpend[];
  readonly entry?: HistoryEntry | undefined;
  /** `SettledUse.ahead`. */
  readonly ahead?: readonly number[] | undefined;
}

/** The rows that a use changes. */
export interface TakenRows {
  /** New values of counters. */
  readonly spent: ReadonlyMap<string, number>;
  /** The new history; `null` if the use adds nothing to it. */
  readonly history: TaskHistory | null;
  /** How much each counter got beyond the amount of its spend, in the order of the spends. */
  readonly lent: readonly number[];
}

/** A counter lends at most this part of what it has left, so that shares shrink as the limit comes near. */
const LENT_PART = 8;
/** A counter that could lend no more than this lends nothing: every use is settled by itself. So nothing is lent of less than 16. */
const TOO_LITTLE = 1;

/**
 * The amounts that may be lent of what is wanted, largest first: all of it, a half, a quarter and so on. They are few, so that a
 * state can look each up.
 */
export function lendableOf(wanted: number): readonly number[] {
  const amounts: number[] = [];
  for (let amount = wanted; amount > 0; amount = Math.floor(amount / 2)) amounts.push(amount);
  return amounts;
}

/** What a counter lends to a process that wants so much ahead. */
export function lentOf(left: number, wanted: number): number {
  const most = Math.floor(left / LENT_PART);
  return most <= TOO_LITTLE ? 0 : (lendableOf(wanted).find((amount) => amount <= most) ?? 0);
}

/**
 * The rows of a task after a use: all spends and the history entry are applied, or none and the problem is returned. Spends on one counter
 * add up. INVARIANT: nothing is added to a history that has changed since the decision, since the change might forbid the use. A pure
 * function: every implementation of the state calls it within its transaction.
 * @param nowMs `Store.nowMs`
 */
export function taken(
  { use, spent }: UseRows,
  { spends, entry, ahead }: Taking,
  nowMs: number,
): TakenRows | SpendProblem {
  if (use?.issued === undefined || stateAt(use.task, nowMs) !== 'active') return 'ended';
  if (tokenProblem(use.task, use.issued) !== null) return 'ended';
  const totals = new Map<string, number>();
  const lent: number[] = [];
  for (const [at, { counter, amount, limit, problem, isLent }] of spends.map(chargeOf).entries()) {
    const before = totals.get(counter) ?? spent(counter);
    // Not `before + amount > limit`: the sum may exceed the largest exact integer.
    if (before > limit - amount) return problem;
    const more = isLent ? lentOf(limit - before - amount, ahead?.[at] ?? 0) : 0;
    lent.push(more);
    totals.set(counter, before + amount + more);
  }
  if (entry === undefined) return { spent: totals, history: null, lent };
  if (entry.version !== use.history.version) return 'history-changed';
  if (entry.action === '') return { spent: totals, history: null, lent };
  const history = historyWith(use.history, entry);
  if (history === 'full') return 'history-full';
  return { spent: totals, history: history === 'same' ? null : history, lent };
}

/**
 * New values of counters once spends are given back: never below 0. A pure function.
 * @param left how much of each is given back, at most its amount; absent, all of it
 */
export function givenBack(
  spent: UseRows['spent'],
  spends: readonly TaskSpend[],
  left?: readonly number[],
): TakenRows['spent'] {
  const totals = new Map<string, number>();
  for (const [at, { counter, amount }] of spends.map(chargeOf).entries()) {
    const back = left === undefined ? amount : Math.min(amount, left[at] ?? 0);
    totals.set(counter, Math.max(0, (totals.get(counter) ?? spent(counter)) - back));
  }
  return totals;
}

/** The spends with what was lent beyond them: what a process that has a share gives back from. */
export const withLent = (spends: readonly Spend[], lent: readonly number[]): readonly Spend[] =>
  spends.map((spend, at) => {
    const more = lent[at] ?? 0;
    if (more === 0 || spend.kind === 'single-use') return spend;
    return spend.kind === 'calls'
      ? { ...spend, count: (spend.count ?? 1) + more }
      : { ...spend, amount: spend.amount + more };
  });

/**
 * The key under which the spends of a use are stored, so that they can be given back. For a sidecar, a digest of the spends and of who
 * settled them: a sidecar must not give back more than it took, or what another sidecar took. For this process, the id of its decision.
 */
export function takenName({
  decisionId,
  by,
  key,
  spends,
}: Pick<SettledUse, 'decisionId' | 'by' | 'spends'> & { readonly key: TaskKey }): string {
  if (by === undefined) return decisionId;
  const taken = taskSpendsOf(spends)
    .map(chargeOf)
    .map(({ counter, amount }) => [counter, amount]);
  const digest = createHash('sha256').update(JSON.stringify([decisionId, by, key.issuer, key.id, taken]));
  return `${decisionId} took ${digest.digest('hex')}`;
}

/** The first budget that has less left than is taken, before it is taken; `null` if all have enough. */
export function exceededBudget(spends: readonly TaskSpend[], spent: UseRows['spent']): ExceededBudget | null {
  const totals = new Map<string, number>();
  for (const spend of spends) {
    const { counter, amount, limit } = chargeOf(spend);
    const used = totals.get(counter) ?? spent(counter);
    if (used > limit - amount) return { limit, used, ...(spend.kind === 'decimal' ? { decimal: true } : {}) };
    totals.set(counter, used + amount);
  }
  return null;
}

/** Texts in spends that a state must validate before it stores them. */
export const namesOf = (spends: readonly Spend[]): readonly string[] =>
  spends.flatMap((spend) =>
    spend.kind === 'limit' ? [spend.limit, spend.who, spend.value ?? ''] : [spend.name ?? ''],
  );
