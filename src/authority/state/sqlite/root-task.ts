import type { Connection } from './connection.ts';
import type { TaskKey } from '../../../core/state/store.ts';

/** SQL for the id of the root task of a row of `tasks`: its own id if it has no parent. */
export const ROOT_TASK = `CASE WHEN tasks.parent IS NULL THEN tasks.id ELSE (
  WITH RECURSIVE above (id, parent) AS (
    SELECT tasks.id, tasks.parent
    UNION ALL
    SELECT whole.id, whole.parent FROM above CROSS JOIN tasks AS whole
    ON whole.issuer = tasks.issuer AND whole.id = above.parent)
  SELECT id FROM above WHERE parent IS NULL) END`;

const SELECT_ROOT = `SELECT ${ROOT_TASK} AS root FROM tasks WHERE issuer = ? AND id = ?`;

/** The id of the root task of a task; its own id if the task does not exist. */
export const rootTaskOf = (connection: Connection, { issuer, id }: TaskKey): string =>
  String(connection.statement(SELECT_ROOT).get(issuer, id)?.['root'] ?? id);
