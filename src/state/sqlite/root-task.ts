import type { Connection } from './connection.ts';
import type { TaskKey } from '../store.ts';

/** The id of the task that was declared itself, of whose parts the row of `tasks` is one; its own id where it was. */
export const ROOT_TASK = `CASE WHEN tasks.parent IS NULL THEN tasks.id ELSE (
  WITH RECURSIVE above (id, parent) AS (
    SELECT tasks.id, tasks.parent
    UNION ALL
    SELECT whole.id, whole.parent FROM above CROSS JOIN tasks AS whole
    ON whole.issuer = tasks.issuer AND whole.id = above.parent)
  SELECT id FROM above WHERE parent IS NULL) END`;

const SELECT_WHOLE = `SELECT ${ROOT_TASK} AS whole FROM tasks WHERE issuer = ? AND id = ?`;

/** The same of the task with that key; its own id where there is no such task. */
export const rootTaskOf = (connection: Connection, { issuer, id }: TaskKey): string =>
  String(connection.statement(SELECT_WHOLE).get(issuer, id)?.['whole'] ?? id);
