/** The table of what was allowed to each task. */
import type { SQLOutputValue } from 'node:sqlite';
import { noHistory } from '../../../../core/task/history.ts';
import type { TaskHistory } from '../../../../core/task/history.ts';
import type { Connection } from '../connection.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { storedHistory } from '../../../../core/state/writes/history-row.ts';
import { ROOT_TASK, rootTaskOf } from '../root-task.ts';

/** Joins the history to a row of `tasks`, in the columns of `HISTORY_COLUMNS`. */
export const JOIN_HISTORY = `LEFT JOIN histories ON histories.issuer = tasks.issuer AND histories.task = ${ROOT_TASK}`;

export const HISTORY_COLUMNS =
  'histories.version AS history_version, histories.actions AS history_actions, histories.labels AS history_labels';

/** The history in a row of `HISTORY_COLUMNS`; `null` if it cannot be read. */
export const historyFrom = (row: Readonly<Record<string, SQLOutputValue>>): TaskHistory | null =>
  row['history_version'] === null
    ? noHistory
    : storedHistory(row['history_version'], { actions: row['history_actions'], labels: row['history_labels'] });

const WRITE_HISTORY = `INSERT INTO histories SELECT tasks.issuer, ${ROOT_TASK}, ?, ?, ? FROM tasks WHERE issuer = ? AND id = ?
  ON CONFLICT DO UPDATE SET version = excluded.version, actions = excluded.actions, labels = excluded.labels`;

/** Within a transaction: replaces the history of the task, which all tasks of its family share. */
export function writeHistory(connection: Connection, { issuer, id }: TaskKey, history: TaskHistory): void {
  const { version, actions, labels } = history;
  connection.changed(rootTaskOf(connection, { issuer, id }), 'history');
  connection.statement(WRITE_HISTORY).run(version, JSON.stringify(actions), JSON.stringify(labels), issuer, id);
}
