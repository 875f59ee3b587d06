/** What a use takes from budgets and history, and what is given back: pure. */
import { createHash } from 'node:crypto';
import { historyWith } from '../../task/history.ts';
import type { HistoryEntry, TaskHistory } from '../../task/history.ts';
import { stateAt, tokenProblem } from '../../task/task.ts';
import type { SettledUse } from '../settling.ts';
import type { ExceededBudget, Spend, SpendProblem } from '../spend.ts';
import type { UseState } from '../store.ts';

/** How much a spend adds to which counter, and the limit of that counter. */
interface Charge {
  readonly counter: string;
  readonly amount: number;
  readonly limit: number;
  readonly problem: SpendProblem;
}

function chargeOf(spend: Spend): Charge {
  const counter = `${spend.kind}:${spend.name ?? ''}`;
  switch (spend.kind) {
    case 'calls':
      return { counter, amount: spend.count ?? 1, limit: spend.limit, problem: 'exhausted' };
    case 'amount':
    case 'decimal':
      return { counter, amount: spend.amount, limit: spend.limit, problem: 'exhausted' };
    case 'single-use':
      return { counter, amount: 1, limit: 1, problem: 'replayed' };
    default:
      return spend satisfies never;
  }
}

/** Why spends cannot be counted at all; `null` if they can. */
export function spendsProblem(spends: readonly Spend[]): string | null {
  const numbers = spends.map(chargeOf).flatMap(({ amount, limit }) => [amount, limit]);
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
  readonly spends: readonly Spend[];
  readonly entry?: HistoryEntry | undefined;
}

/** The rows that a use changes. */
export interface TakenRows {
  /** New values of counters. */
  readonly spent: ReadonlyMap<string, number>;
  /** The new history; `null` if the use adds nothing to it. */
  readonly history: TaskHistory | null;
}

/**
 * The rows of a task after a use: all spends and the history entry are applied, or none and the problem is returned. Spends on one counter
 * add up. INVARIANT: nothing is added to a history that has changed since the decision, since the change might forbid the use. A pure
 * function: every implementation of the state calls it within its transaction.
 * @param nowMs `Store.nowMs`
 */
export function taken({ use, spent }: UseRows, { spends, entry }: Taking, nowMs: number): TakenRows | SpendProblem {
  if (use?.issued === undefined || stateAt(use.task, nowMs) !== 'active') return 'ended';
  if (tokenProblem(use.task, use.issued) !== null) return 'ended';
  const totals = new Map<string, number>();
  for (const { counter, amount, limit, problem } of spends.map(chargeOf)) {
    const before = totals.get(counter) ?? spent(counter);
    // Not `before + amount > limit`: the sum may exceed the largest exact integer.
    if (before > limit - amount) return problem;
    totals.set(counter, before + amount);
  }
  if (entry === undefined) return { spent: totals, history: null };
  if (entry.version !== use.history.version) return 'history-changed';
  if (entry.action === '') return { spent: totals, history: null };
  const history = historyWith(use.history, entry);
  if (history === 'full') return 'history-full';
  return { spent: totals, history: history === 'same' ? null : history };
}

/** New values of counters once spends are given back: never below 0. A pure function. */
export function givenBack(spent: UseRows['spent'], spends: readonly Spend[]): TakenRows['spent'] {
  const totals = new Map<string, number>();
  for (const { counter, amount } of spends.map(chargeOf)) {
    totals.set(counter, Math.max(0, (totals.get(counter) ?? spent(counter)) - amount));
  }
  return totals;
}

/**
 * The key under which the spends of a use are stored, so that they can be given back. For a sidecar, a digest of the spends and of who
 * settled them: a sidecar must not give back more than it took, or what another sidecar took. For this process, the id of its decision.
 */
export function takenName({ decisionId, by, key, spends }: Omit<SettledUse, 'jtiDigest'>): string {
  if (by === undefined) return decisionId;
  const taken = spends.map(chargeOf).map(({ counter, amount }) => [counter, amount]);
  const digest = createHash('sha256').update(JSON.stringify([decisionId, by, key.issuer, key.id, taken]));
  return `${decisionId} took ${digest.digest('hex')}`;
}

/** The first budget that has less left than is taken, before it is taken; `null` if all have enough. */
export function exceededBudget(spends: readonly Spend[], spent: UseRows['spent']): ExceededBudget | null {
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
export const namesOf = (spends: readonly Spend[]): readonly string[] => spends.map(({ name = '' }) => name);
