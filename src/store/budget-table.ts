import { stateAt, tokenProblem } from '../task/task.ts';
import type { Connection } from './connection.ts';
import type { Spend, SpendProblem, TaskKey } from './store.ts';
import { useStateAt } from './token-table.ts';

/** What a spend adds to which counter, and how far that may go. */
interface Charge {
  readonly task: string | undefined;
  readonly name: string;
  readonly amount: number;
  readonly limit: number;
  readonly problem: SpendProblem;
}

function chargeOf(spend: Spend): Charge {
  const counter = { task: spend.task, name: `${spend.kind}:${spend.name ?? ''}` };
  switch (spend.kind) {
    case 'calls':
      return { ...counter, amount: 1, limit: spend.limit, problem: 'exhausted' };
    case 'amount':
      return { ...counter, amount: spend.amount, limit: spend.limit, problem: 'exhausted' };
    case 'single-use':
      return { ...counter, amount: 1, limit: 1, problem: 'replayed' };
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
export const namesOf = (spends: readonly Spend[]): readonly string[] =>
  spends.flatMap(({ name = '', task = '' }) => [name, task]);

/** Within a transaction: counts every spend, or none. Spends of one counter add up. */
export function spendFor(
  connection: Connection,
  key: TaskKey,
  { jtiDigest, spends }: { readonly jtiDigest: string; readonly spends: readonly Spend[] },
): SpendProblem | null {
  const use = useStateAt(connection, key, jtiDigest);
  if (use?.issued === undefined || stateAt(use.task, connection.nowMs()) !== 'active') return 'ended';
  if (tokenProblem(use.task, use.issued) !== null) return 'ended';
  const counters = new Map<string, Counter>();
  for (const { task = key.id, name, amount, limit, problem } of spends.map(chargeOf)) {
    const counter = { issuer: key.issuer, task, name };
    const { spent } = counters.get(`${task} ${name}`) ?? { spent: spentOf(connection, counter) };
    // Not `spent + amount > limit`: the sum may be past what a number holds.
    if (spent > limit - amount) return problem;
    counters.set(`${task} ${name}`, { ...counter, spent: spent + amount });
  }
  for (const counter of counters.values()) setSpent(connection, counter);
  return null;
}

interface Counter {
  readonly issuer: string;
  readonly task: string;
  readonly name: string;
  readonly spent: number;
}

function spentOf(connection: Connection, { issuer, task, name }: Omit<Counter, 'spent'>): number {
  const sql = 'SELECT spent FROM budgets WHERE issuer = ? AND task = ? AND name = ?';
  return Number(connection.statement(sql).get(issuer, task, name)?.['spent'] ?? 0);
}

function setSpent(connection: Connection, { issuer, task, name, spent }: Counter): void {
  const sql = 'INSERT INTO budgets VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET spent = excluded.spent';
  connection.statement(sql).run(issuer, task, name, spent);
}
