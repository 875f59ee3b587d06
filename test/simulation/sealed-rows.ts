import type { HeldToken } from '../../src/core/fleet/card.ts';
import { RowSeal } from '../../src/authority/state/postgres/rows/row-seal.ts';
import type { Task } from '../../src/core/task/task.ts';
import type { Rows, Write } from './database-node.ts';

/** A row of a task, as somebody wrote it. */
export interface TaskRow {
  readonly task: Task;
  readonly root: string;
  /** How often it was written. */
  readonly revision: number;
  readonly seal: string;
}

/** A row of a token, as somebody wrote it. */
export interface TokenRow {
  readonly token: HeldToken;
  readonly task: Pick<Task, 'id' | 'issuer'>;
  readonly seal: string;
}

/** By a key that authorities have and the database has not. */
const SEAL = new RowSeal(Buffer.alloc(32, 1), () => undefined);
/** Whether an authority wrote a row. Rows are never changed in place, so each is looked at once. */
const asWritten = new WeakMap<TaskRow | TokenRow, boolean>();

export const sealOfTask = (row: Omit<TaskRow, 'seal'>): string => SEAL.ofTask(row);

export const sealOfToken = ({ token, task }: Omit<TokenRow, 'seal'>): string =>
  SEAL.ofToken({ ...token, issuer: task.issuer, taskId: task.id });

/** The row of a task, whoever wrote it. */
export const taskRowAt = (rows: Rows, id: string): TaskRow | undefined => rows.get(`task:${id}`) as TaskRow | undefined;

/** A task as authorities read it: one that none of them wrote is not there. */
export function taskOf(rows: Rows, id: string): Task | undefined {
  const row = taskRowAt(rows, id);
  return row !== undefined && isSealed(row, () => sealOfTask(row)) ? row.task : undefined;
}

/** A token as authorities read it. */
export function tokenOf(rows: Rows, digest: string): HeldToken | undefined {
  const row = rows.get(`token:${digest}`) as TokenRow | undefined;
  return row !== undefined && isSealed(row, () => sealOfToken(row)) ? row.token : undefined;
}

/** The row by which an authority writes a task. */
export function taskWritten(rows: Rows, { task, root }: { readonly task: Task; readonly root: string }): Write {
  const row = { task, root, revision: (taskRowAt(rows, task.id)?.revision ?? 0) + 1 };
  return [`task:${task.id}`, { ...row, seal: sealOfTask(row) }];
}

/** The row by which an authority writes a token. */
export function tokenWritten(token: HeldToken, task: TokenRow['task']): Write {
  const row = { token, task: { id: task.id, issuer: task.issuer } };
  return [`token:${token.jtiDigest}`, { ...row, seal: sealOfToken(row) }];
}

function isSealed(row: TaskRow | TokenRow, seal: () => string): boolean {
  const known = asWritten.get(row) ?? row.seal === seal();
  asWritten.set(row, known);
  return known;
}
