/**
 * What each write of tasks and tokens decides and changes; every implementation of the state calls it in a transaction, with its
 * rows.
 */
import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import { recordText } from '../../ledger/record.ts';
import { isProblem } from '../../runtime/problem.ts';
import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { type Cause, causeOf } from '../../task/cause.ts';
import { contextAfter } from '../../task/context-change.ts';
import type { Saying } from '../../task/context-change.ts';
import { expiryOf, stateAt } from '../../task/task.ts';
import type { Task, TaskConflict, TaskEvent, TaskRisk } from '../../task/task.ts';
import { amendTask, changeTask } from './family-change.ts';
import { partProblem } from './part-admission.ts';
import { changedSince, EXCHANGED, isAsDecided, isSameStop } from './premises.ts';
import type { Premises } from './premises.ts';
import { carryOut } from './limit-effects.ts';
import { isLimitRefusal, taskLimitsTaken, writeLimits } from './limit-settlement.ts';
import { addRecord } from './state-rows.ts';
import type { StateRows } from './state-rows.ts';
import type { OverLimit } from '../../limit/limit-spend.ts';
import type { HandedOn, SpendProblem } from '../spend.ts';
import type { IssuedToken, TaskEnd, TaskKey } from '../store.ts';
import { takeFrom } from './use-writes.ts';

/** A new task with its first token and their records. */
export interface NewTask {
  readonly task: Task;
  readonly token: IssuedToken;
  readonly records: readonly EncodedRecord[];
}

/** Who did something, and why. */
export interface Reasoned {
  readonly cause: Cause;
  readonly by: string;
}

/** `Store.insertTask`. */
export function addTask(
  rows: StateRows,
  made: NewTask,
  decidedBy: Premises | undefined,
): null | OverLimit | StoreFailure {
  const unfit = placeProblem(rows, made.task) ?? premiseProblem(rows, decidedBy);
  if (unfit !== null) return unfit;
  return withinLimits(rows, made, decidedBy, () => null);
}

/** `Store.insertPart`. The caller has refused tokens and spends that cannot be counted (`spendsProblem`). */
export function addPart(
  rows: StateRows,
  made: NewTask & { readonly parentId: string },
  { jtiDigest, spends }: HandedOn,
  decidedBy: Premises | undefined,
): null | SpendProblem | OverLimit | StoreFailure {
  const unfit = placeProblem(rows, made.task) ?? premiseProblem(rows, decidedBy);
  if (unfit !== null) return unfit;
  // INVARIANT: the spends are the last step that can refuse, so that nothing is taken for a part that is not written.
  const key = { issuer: made.task.issuer, id: made.parentId };
  return withinLimits(rows, made, decidedBy, () => takeFrom(rows, { key, jtiDigest }, { spends }));
}

/**
 * Writes a task if limits over all tasks have room for it, and `take` takes what it needs.
 * @param take the last step that can refuse, so that nothing is taken for a task that is not written
 */
function withinLimits<Problem>(
  rows: StateRows,
  made: NewTask,
  decidedBy: Premises | undefined,
  take: () => Problem | null,
): null | Problem | OverLimit {
  const taking = taskLimitsTaken(rows, decidedBy?.limits ?? NO_LIMITS);
  if (isLimitRefusal(taking)) {
    // There is no task yet that could be suspended, but a part has a parent.
    const { agent, id, issuer, parentId } = made.task;
    const key = parentId === null ? null : { issuer, id: parentId };
    carryOut(rows, taking, { decisionId: id, key, agent });
    return taking.over;
  }
  const problem = take();
  if (problem !== null) return problem;
  writeLimits(rows, taking);
  return writeTask(rows, made);
}

const NO_LIMITS = { spends: [], open: [] };

/** `Store.insertToken`. */
export function addToken(
  rows: StateRows,
  key: TaskKey,
  { token, records }: Omit<NewTask, 'task'>,
  decidedBy: Premises | undefined,
): null | StoreFailure {
  const task = rows.task(key);
  if (task === undefined) return storeFailure('conflict', 'there is no such task');
  const state = stateAt(task, rows.nowMs());
  if (state !== 'active') return storeFailure('conflict', `the task is \`${state}\``);
  if (task.generation !== token.generation) return storeFailure('conflict', 'the task was suspended and resumed');
  const changed = premiseProblem(rows, decidedBy);
  if (changed !== null) return changed;
  rows.addToken(key, token);
  rows.addRecords(records);
  return null;
}

/** `Store.applyTaskEvent`. */
export function applyEvent(
  rows: StateRows,
  key: TaskKey,
  { event, by }: { readonly event: TaskEvent; readonly by: string },
  decidedBy: Premises | undefined,
): TaskEnd | TaskConflict | undefined | StoreFailure {
  const task = rows.task(key);
  return task === undefined ? undefined : (premiseProblem(rows, decidedBy) ?? changeTask(rows, task, event, by));
}

/** `Store.setContext`. */
export function changeContext(
  rows: StateRows,
  key: TaskKey,
  { saying, event }: { readonly saying: Saying; readonly event: TaskEvent | undefined },
  decidedBy: Premises | undefined,
): Task | TaskConflict | undefined | StoreFailure {
  const task = rows.task(key);
  if (task === undefined) return undefined;
  const changed = premiseProblem(rows, decidedBy);
  if (changed !== null) return changed;
  const { by, kind } = saying;
  const facts = contextAfter(task, saying);
  if (isProblem(facts)) return storeFailure('refused', `the task ${facts.problem}`);
  const cause = event?.cause ?? causeOf('context.changed', '');
  const amended = amendTask(rows, task, { facts, event: 'context', kind, cause, by });
  if ('problem' in amended || event === undefined) return amended;
  const ended = changeTask(rows, amended, event, by);
  return 'problem' in ended ? ended : ended.task;
}

/** `Store.setRisk`. */
export function changeRisk(
  rows: StateRows,
  key: TaskKey,
  { risk, cause, by }: Reasoned & { readonly risk: TaskRisk },
  decidedBy: Premises | undefined,
): Task | TaskConflict | undefined | StoreFailure {
  const task = rows.task(key);
  if (task === undefined) return undefined;
  return premiseProblem(rows, decidedBy) ?? amendTask(rows, task, { facts: { risk }, event: 'risk', cause, by });
}

/** `Store.revokeToken`: with a record the first time. */
export function revokeToken(rows: StateRows, jtiDigest: string, { cause, by }: Reasoned): boolean {
  const token = rows.token(jtiDigest);
  if (token === undefined) return false;
  if (token.revokedAtMs !== null) return true;
  const nowMs = rows.nowMs();
  rows.setRevoked(token, nowMs);
  addRecord(rows, {
    kind: 'event',
    at: nowMs,
    task: token.taskId,
    event: 'token-revoked',
    cause: cause.code,
    note: recordText(cause.note),
    by: recordText(by),
    details: { jtiDigest },
  });
  return true;
}

/** Ends a task that is past its deadline or idle limit by the floor, with its parts. Returns whether it did. */
export function expire(rows: StateRows, key: TaskKey): boolean {
  // Read again: the expiry of a task also ends its parts.
  const task = rows.task(key);
  if (task === undefined || task.endedAtMs !== null || stateAt(task, rows.floorMs()) !== 'expired') return false;
  const ended = changeTask(rows, task, { kind: 'expire', cause: expiryOf(task).cause }, 'remit');
  return !('problem' in ended) && ended.changed;
}

function writeTask(rows: StateRows, { task, token, records }: NewTask): null {
  rows.addTask(task);
  rows.addToken(task, token);
  rows.addRecords(records);
  return null;
}

/** Why the new task cannot be a part of its parent; `null` if it can, or has no parent. */
function placeProblem(rows: StateRows, task: Task): StoreFailure | null {
  const { issuer, parentId } = task;
  if (parentId === null) return null;
  const parent = rows.task({ issuer, id: parentId });
  const above = parent === undefined ? [] : ancestorsOf(rows, parent);
  const root = above.at(-1) ?? parent;
  const openParts = root === undefined ? 0 : rows.countOpenParts(root);
  return partProblem({ parent, depth: above.length, openParts }, task, rows.nowMs());
}

/** The ancestors of a task, nearest first. */
function ancestorsOf(rows: StateRows, task: Task): readonly Task[] {
  const above: Task[] = [];
  let next: Task | undefined = task;
  while (next.parentId !== null) {
    next = rows.task({ issuer: task.issuer, id: next.parentId });
    if (next === undefined) break;
    above.push(next);
  }
  return above;
}

/** Before anything is written: `changed` if a premise of the write no longer holds. */
function premiseProblem(rows: StateRows, premises: Premises | undefined): StoreFailure | null {
  if (premises === undefined) return null;
  const { tasks, jtiDigest, stop } = premises;
  for (const was of tasks) {
    const now = rows.task(was);
    if (now === undefined || !isAsDecided(was, now)) return changedSince(`task \`${was.id}\``);
  }
  if (stop !== undefined && !isSameStop(rows.stop(stop.query), stop.was)) return changedSince('what stops the agent');
  const token = jtiDigest === undefined ? undefined : rows.token(jtiDigest);
  return jtiDigest === undefined || token?.revokedAtMs === null ? null : changedSince(EXCHANGED);
}
