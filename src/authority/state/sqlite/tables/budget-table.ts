/** The table of counters of budgets. */
import type { Connection } from '../connection.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { loanIn, LOANS, MAX_LOANS } from '../../../../core/state/task-loan.ts';
import type { TaskLoan } from '../../../../core/state/task-loan.ts';

/** The value of a counter of a task; 0 if there is no such counter. */
export function spentOf(connection: Connection, { issuer, id }: TaskKey, name: string): number {
  const sql = 'SELECT spent FROM budgets WHERE issuer = ? AND task = ? AND name = ?';
  return Number(connection.statement(sql).get(issuer, id, name)?.['spent'] ?? 0);
}

/** Within a transaction: sets a counter of a task. */
export function setSpent(
  connection: Connection,
  { issuer, id }: TaskKey,
  { name, spent }: { readonly name: string; readonly spent: number },
): void {
  const sql = 'INSERT INTO budgets VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET spent = excluded.spent';
  connection.statement(sql).run(issuer, id, name, spent);
}

/** `StoreReader.loansOf`. */
export function listLoans(connection: Connection, { issuer, id }: TaskKey): readonly TaskLoan[] {
  const sql = `SELECT name, spent FROM budgets WHERE issuer = ? AND task = ? AND substr(name, 1, ${LOANS.length}) = ? AND spent > 0
    ORDER BY spent DESC, name LIMIT ${MAX_LOANS}`;
  const rows = connection.statement(sql).all(issuer, id, LOANS);
  return rows.flatMap(({ name, spent }) => loanIn(String(name), Number(spent)) ?? []);
}
