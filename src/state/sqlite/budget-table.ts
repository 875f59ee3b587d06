import { stateAt, tokenProblem } from '../../task/task.ts';
import type { HistoryEntry } from '../../task/history.ts';
import type { Connection } from './connection.ts';
import { addToHistory } from './history-table.ts';
import type { Spend, SpendProblem, TaskKey, UseState } from '../store.ts';

/** What a spend adds to which counter, and how far that may go. */
interface Charge {
  readonly name: string;
  readonly amount: number;
  readonly limit: number;
  readonly problem: SpendProblem;
}

function chargeOf(spend: Spend): Charge {
  const name = `${spend.kind}:${spend.name ?? ''}`;
  switch (spend.kind) {
    case 'calls':
      return { name, amount: spend.count ?? 1, limit: spend.limit, problem: 'exhausted' };
    case 'amount':
      return { name, amount: spend.amount, limit: spend.limit, problem: 'exhausted' };
    case 'single-use':
      return { name, amount: 1, limit: 1, problem: 'replayed' };
    default:
      return spend satisfies never;
  }
}

/** Why spends cannot be counted at all; `null` where they can. */
export function spendsProblem(spends: readonly Spend[]): string | null {
  const numbers = spends.map(chargeOf).flatMap(({ amount, limit }) => [amount, limit]);
  return numbers.every((number) => Number.isSafeInteger(number) && number >= 0)
    ? null
    : 'a budget is counted in whole numbers from 0 to 2^53 - 1';
}

/** Text of the spends, for the store to prove. */
export const namesOf = (spends: readonly Spend[]): readonly string[] => spends.map(({ name = '' }) => name);

/** Within a transaction: counts every spend and adds the entry, or does neither. Spends of one counter add up. */
export function spendFor(
  connection: Connection,
  key: TaskKey,
  {
    use,
    spends,
    entry,
  }: {
    /** As the transaction finds it. */
    readonly use: UseState | undefined;
    readonly spends: readonly Spend[];
    readonly entry?: HistoryEntry | undefined;
  },
): SpendProblem | null {
  if (use?.issued === undefined || stateAt(use.task, connection.nowMs()) !== 'active') return 'ended';
  if (tokenProblem(use.task, use.issued) !== null) return 'ended';
  const totals = new Map<string, number>();
  for (const { name, amount, limit, problem } of spends.map(chargeOf)) {
    const spent = totals.get(name) ?? spentOf(connection, key, name);
    // Not `spent + amount > limit`: the sum may be past what a number holds.
    if (spent > limit - amount) return problem;
    totals.set(name, spent + amount);
  }
  const full = entry === undefined ? null : addToHistory(connection, key, { entry, now: use.history });
  if (full !== null) return full;
  for (const [name, spent] of totals) setSpent(connection, key, { name, spent });
  return null;
}

function spentOf(connection: Connection, { issuer, id }: TaskKey, name: string): number {
  const sql = 'SELECT spent FROM budgets WHERE issuer = ? AND task = ? AND name = ?';
  return Number(connection.statement(sql).get(issuer, id, name)?.['spent'] ?? 0);
}

function setSpent(
  connection: Connection,
  { issuer, id }: TaskKey,
  { name, spent }: { readonly name: string; readonly spent: number },
): void {
  const sql = 'INSERT INTO budgets VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET spent = excluded.spent';
  connection.statement(sql).run(issuer, id, name, spent);
}
