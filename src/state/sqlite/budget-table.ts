import { taken } from '../settlement.ts';
import type { Taking } from '../settlement.ts';
import type { Connection } from './connection.ts';
import { writeHistory } from './history-table.ts';
import type { Spend, SpendProblem, TaskKey, UseState } from '../store.ts';

/** Texts in spends that the store must validate. */
export const namesOf = (spends: readonly Spend[]): readonly string[] => spends.map(({ name = '' }) => name);

/**
 * Within a transaction: counts every spend and adds the history entry, or does neither.
 * @param use as read within the transaction
 */
export function spendFor(
  connection: Connection,
  key: TaskKey,
  { use, ...taking }: Taking & { readonly use: UseState | undefined },
): SpendProblem | null {
  const rows = taken({ use, spent: (counter) => spentOf(connection, key, counter) }, taking, connection.nowMs());
  if (typeof rows === 'string') return rows;
  if (rows.history !== null) writeHistory(connection, key, rows.history);
  for (const [name, spent] of rows.spent) setSpent(connection, key, { name, spent });
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
