/** The table of tokens. */
import type { SQLOutputValue } from 'node:sqlite';
import { noHistory } from '../../../../core/task/history.ts';
import type { IssuedTokenState } from '../../../../core/task/issued-token.ts';
import type { Connection } from '../connection.ts';
import { HISTORY_COLUMNS, historyFrom, JOIN_HISTORY } from './history-table.ts';
import type { IssuedToken, TaskKey } from '../../../../core/state/store.ts';
import type { TokenOfTask, UseState } from '../../../../core/state/store-reader.ts';
import { numberOrNull, pastDeadline, TASK_COLUMNS, taskFrom } from '../../../../core/state/writes/task-row.ts';
import { ROOT_TASK, rootTaskOf } from '../root-task.ts';

type Row = Readonly<Record<string, SQLOutputValue>>;

const TOKEN_COLUMNS =
  'jti_digest, audience, issued_ms, expires_ms, tokens.generation AS issued_in, revoked_ms, bound_to';

const tokenFrom = (row: Row): IssuedTokenState => ({
  jtiDigest: String(row['jti_digest']),
  audience: String(row['audience']),
  issuedAtMs: Number(row['issued_ms']),
  expiresAtMs: Number(row['expires_ms']),
  generation: Number(row['issued_in']),
  revokedAtMs: numberOrNull(row['revoked_ms']),
  boundTo: String(row['bound_to']),
});

/** The query for a use state. A constant, so that its text is hashed once. */
const SELECT_USE_STATE = `SELECT ${TASK_COLUMNS}, ${TOKEN_COLUMNS}, ${HISTORY_COLUMNS}, ${ROOT_TASK} AS root FROM tasks
  LEFT JOIN tokens ON tokens.jti_digest = ?3 AND tokens.issuer = tasks.issuer AND tokens.task = tasks.id
  ${JOIN_HISTORY}
  WHERE tasks.issuer = ?1 AND tasks.id = ?2`;

/** A state as read, with the id of the root task. */
export interface ReadState {
  readonly state: UseState;
  readonly root: string;
}

/** The task with its token and history. Read on every use. */
export function useStateAt(connection: Connection, key: TaskKey, jtiDigest: string): ReadState | undefined {
  const row = connection.statement(SELECT_USE_STATE).get(key.issuer, key.id, jtiDigest);
  if (row === undefined) return undefined;
  const [task, history] = [taskFrom(row), historyFrom(row)];
  const state = {
    task: history === null ? pastDeadline(task) : task,
    issued: row['jti_digest'] === null ? undefined : tokenFrom(row),
    history: history ?? noHistory,
  };
  const { id } = state.task;
  return { state, root: row['root'] === id ? id : String(row['root']) };
}

/** The token with that digest, and its task. */
export function tokenAt(connection: Connection, jtiDigest: string): TokenOfTask | undefined {
  const sql = `SELECT issuer, task, ${TOKEN_COLUMNS} FROM tokens WHERE jti_digest = ?`;
  const row = connection.statement(sql).get(jtiDigest);
  return row === undefined
    ? undefined
    : { ...tokenFrom(row), issuer: String(row['issuer']), taskId: String(row['task']) };
}

/** Inserts a new token of a task. */
export function insertTokenRow(connection: Connection, { issuer, id }: TaskKey, token: IssuedToken): void {
  connection
    .statement('INSERT INTO tokens VALUES (?,?,?,?,?,?,?,NULL,?)')
    .run(
      token.jtiDigest,
      issuer,
      id,
      token.audience,
      token.issuedAtMs,
      token.expiresAtMs,
      token.generation,
      token.boundTo,
    );
}

/** Within a transaction: marks a token as revoked. */
export function setRevoked(connection: Connection, { issuer, taskId, jtiDigest }: TokenOfTask, atMs: number): void {
  connection.changed(rootTaskOf(connection, { issuer, id: taskId }), 'task');
  connection.statement('UPDATE tokens SET revoked_ms = ? WHERE jti_digest = ?').run(atMs, jtiDigest);
}
