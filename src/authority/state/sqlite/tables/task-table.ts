/** The table of tasks. */
import type { Task } from '../../../../core/task/task.ts';
import type { Connection } from '../connection.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import type { OpenTaskFilter, TaskCounts, TaskFilter } from '../../../../core/state/store-reader.ts';
import { rootTaskOf } from '../root-task.ts';
import { TASK_COLUMNS, taskColumns, taskFrom, taskValues } from '../../../../core/state/writes/task-row.ts';

/** Most rows of a listing and of a sweep. */
export const MAX_ROWS = 1_000;

const SELECT_TASK = `SELECT ${TASK_COLUMNS} FROM tasks`;

/** Whether the open task of a row is past its deadline or idle limit at `?1`; the same rule as `expiryOf`. */
const IS_DUE =
  "tasks.ended_ms IS NULL AND (tasks.deadline_ms <= ?1 OR (tasks.state = 'active' AND tasks.idle_ms IS NOT NULL AND tasks.last_used_ms + tasks.idle_ms <= ?1))";

const SELECT_ONE = `${SELECT_TASK} WHERE issuer = ? AND id = ?`;

/** The task with that key. */
export function taskAt(connection: Connection, key: TaskKey): Task | undefined {
  const row = connection.statement(SELECT_ONE).get(key.issuer, key.id);
  return row === undefined ? undefined : taskFrom(row);
}

/** A limit, brought into the range of a listing. */
export const bounded = (limit: number): number => Math.max(0, Math.min(MAX_ROWS, Math.trunc(limit)));

const STATE_NOW = `CASE WHEN ${IS_DUE} THEN 'expired' ELSE state END`;

/** Lists tasks in any state, newest first. Only the given conditions are in the statement, so that the index on ids is used. */
export function listTasks(
  connection: Connection,
  { id, agent, state, parent, limit = MAX_ROWS }: TaskFilter,
): readonly Task[] {
  const conditions = [
    ...(id === undefined ? [] : ['id = ?2']),
    ...(agent === undefined ? [] : ['agent = ?3']),
    ...(state === undefined ? [] : [`${STATE_NOW} = ?4`]),
    ...(parent === undefined ? [] : ['issuer = ?6 AND parent = ?7']),
  ];
  const where = ['?1 IS NOT NULL', ...conditions].join(' AND ');
  const sql = `${SELECT_TASK} WHERE ${where} ORDER BY created_ms DESC, id DESC LIMIT ?5`;
  const of = parent === undefined ? [] : [parent.issuer, parent.id];
  const values = [connection.nowMs(), id ?? null, agent ?? null, state ?? null, bounded(limit), ...of] as const;
  return connection
    .statement(sql)
    .all(...values)
    .map(taskFrom);
}

const openConditions = {
  agent: 'tasks.agent = ?',
  subject: 'tasks.subject = ?',
  id: 'tasks.id = ?',
  jtiDigest: '(tasks.issuer, tasks.id) IN (SELECT issuer, task FROM tokens WHERE jti_digest = ?)',
} as const satisfies Record<Exclude<keyof OpenTaskFilter, 'olderThan'>, string>;

/**
 * Lists tasks whose end is not written, newest first, independent of the clock. Only the given conditions are in the statement, so that their
 * index is used.
 */
export function listOpenTasks(connection: Connection, filter: OpenTaskFilter, limit: number): readonly Task[] {
  const { agent, subject, id, jtiDigest, olderThan } = filter;
  const given = Object.entries({ agent, subject, id, jtiDigest }).filter(
    (entry): entry is [keyof typeof openConditions, string] => entry[1] !== undefined,
  );
  const conditions = given.map(([name]) => ` AND ${openConditions[name]}`);
  if (olderThan !== undefined) conditions.push(' AND (tasks.created_ms, tasks.id) < (?, ?)');
  const where = conditions.join('');
  const sql = `${SELECT_TASK} WHERE ended_ms IS NULL${where} ORDER BY created_ms DESC, id DESC LIMIT ?`;
  const values = given.map(([, value]) => value);
  return connection
    .statement(sql)
    .all(...values, ...(olderThan === undefined ? [] : [olderThan.createdAtMs, olderThan.id]), bounded(limit))
    .map(taskFrom);
}

/** Number of tasks by state. */
export function countTasks(connection: Connection): TaskCounts {
  const rows = connection.statement('SELECT state, count FROM task_counts').all();
  const count = (state: string): number => Number(rows.find((row) => row['state'] === state)?.['count'] ?? 0);
  return { active: count('active'), suspended: count('suspended'), ended: count('ended') };
}

/** Tasks that are due to expire by the floor, at most `MAX_ROWS`. A task may occur twice. */
export function dueTasks(connection: Connection): readonly TaskKey[] {
  const sql = `SELECT issuer, id FROM tasks INDEXED BY tasks_due WHERE ended_ms IS NULL AND deadline_ms <= ?1
    UNION ALL SELECT issuer, id FROM tasks INDEXED BY tasks_idle_due
    WHERE ended_ms IS NULL AND idle_ms IS NOT NULL AND last_used_ms + idle_ms <= ?1 AND state = 'active'
    LIMIT ${MAX_ROWS}`;
  const rows = connection.statement(sql).all(connection.floorMs());
  return rows.map((row) => ({ issuer: String(row['issuer']), id: String(row['id']) }));
}

/** The keys of the open descendants of task `?2` of issuer `?1`. */
const PARTS = `WITH RECURSIVE part (issuer, id, depth) AS (
  SELECT issuer, id, 1 FROM tasks INDEXED BY tasks_parent
  WHERE issuer = ?1 AND parent = ?2 AND ended_ms IS NULL AND parent IS NOT NULL
  UNION ALL
  SELECT tasks.issuer, tasks.id, depth + 1 FROM part CROSS JOIN tasks INDEXED BY tasks_parent
  ON tasks.issuer = part.issuer AND tasks.parent = part.id
  WHERE tasks.ended_ms IS NULL AND tasks.parent IS NOT NULL)`;

const COUNT_PARTS = `${PARTS} SELECT count(*) AS parts FROM part`;
const SELECT_PARTS = `${PARTS} SELECT ${TASK_COLUMNS} FROM part
  CROSS JOIN tasks ON tasks.issuer = part.issuer AND tasks.id = part.id ORDER BY depth`;

/** The open descendants of the task, nearest first. */
export const openPartsOf = (connection: Connection, { issuer, id }: TaskKey): readonly Task[] =>
  connection.statement(SELECT_PARTS).all(issuer, id).map(taskFrom);

/** Number of open descendants. */
export const countOpenParts = (connection: Connection, { issuer, id }: TaskKey): number =>
  Number(connection.statement(COUNT_PARTS).get(issuer, id)?.['parts']);

const INSERT_TASK = `INSERT INTO tasks (${taskColumns.join(', ')}) VALUES (${taskColumns.map(() => '?').join(', ')})`;

/** Inserts a new task. */
export function insertTaskRow(connection: Connection, task: Task): void {
  connection.statement(INSERT_TASK).run(...taskValues(task));
}

/** Updates the columns of a task that can change. */
export function updateTaskRow(connection: Connection, task: Task): void {
  connection.changed(task.parentId === null ? task.id : rootTaskOf(connection, task), 'task');
  connection
    .statement(
      `UPDATE tasks SET state = ?, ended_ms = ?, cause = ?, cause_note = ?, last_used_ms = ?, generation = ?, claimed = ?, attested = ?, risk = ?
       WHERE issuer = ? AND id = ?`,
    )
    .run(
      task.state,
      task.endedAtMs,
      task.cause?.code ?? null,
      task.cause?.note ?? null,
      task.lastUsedMs,
      task.generation,
      JSON.stringify(task.claimed),
      JSON.stringify(task.attested),
      task.risk,
      task.issuer,
      task.id,
    );
}

const SELECT_IDLING = 'SELECT 1 FROM tasks INDEXED BY tasks_idle WHERE ended_ms IS NULL AND idle_ms IS NOT NULL';

/** The tasks among these that have an idle limit. */
export function idlingTasks(
  connection: Connection,
  used: ReadonlyMap<string, number>,
): readonly (readonly [string, number])[] {
  // Usually no task has an idle limit.
  if (connection.statement(`${SELECT_IDLING} LIMIT 1`).get() === undefined) return [];
  const find = connection.statement(`${SELECT_IDLING} AND id = ? LIMIT 1`);
  return [...used].filter(([id]) => find.get(id) !== undefined);
}

/**
 * Restarts the idle time of a task and of its ancestors after a use. Does nothing if the task has no idle limit, since then no ancestor has
 * an idle limit either. The age of a use is measured by the wall clock, and noted by the floor. INVARIANT: a task that expired by being idle
 * stays expired, however late the use is written. The change is not in the feed: a reader with the old idle time reads the state again once
 * that is over (`use-states.ts`).
 */
export function touchTask(connection: Connection, taskId: string, usedAtMs: number): void {
  const { wallMs, floorMs } = connection.clocks();
  connection
    .statement(
      `UPDATE tasks SET last_used_ms = ?2
       WHERE (issuer, id) IN (
         WITH RECURSIVE used (issuer, id) AS (
           SELECT issuer, id FROM tasks INDEXED BY tasks_idle WHERE id = ?1 AND ended_ms IS NULL AND idle_ms IS NOT NULL
           UNION ALL
           SELECT tasks.issuer, tasks.parent FROM used CROSS JOIN tasks USING (issuer, id) WHERE tasks.parent IS NOT NULL)
         SELECT issuer, id FROM used)
       AND state = 'active' AND idle_ms IS NOT NULL AND last_used_ms < ?2 AND last_used_ms + idle_ms > ?3`,
    )
    .run(taskId, floorMs - Math.max(0, wallMs - usedAtMs), floorMs);
}
