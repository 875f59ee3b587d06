/** What each write of the state decides and changes, in a transaction of any implementation. */
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
import { taken, exceededBudget, givenBack, takenName, withLent } from './settlement.ts';
import type { Taking } from './settlement.ts';
import { addRecord } from './state-rows.ts';
import type { StateRows } from './state-rows.ts';
import type { HandedOn, Lent, SettleProblem, SpendProblem } from '../spend.ts';
import type { IssuedToken, TaskEnd, TaskKey, UnsentUse } from '../store.ts';

// What each write of `Store` decides and changes, within a transaction. Every implementation of the state calls these with its rows.

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

/** What a use of a token takes, with its record if that is committed with it. */
interface SettledTaking extends Taking {
  readonly key: TaskKey;
  readonly jtiDigest: string;
  readonly record?: EncodedRecord | undefined;
  /** `SettledUse.by`. */
  readonly by?: string | undefined;
}

/** `Store.insertTask`. */
export function addTask(rows: StateRows, made: NewTask, decidedBy: Premises | undefined): null | StoreFailure {
  return placeProblem(rows, made.task) ?? premiseProblem(rows, decidedBy) ?? writeTask(rows, made);
}

/** `Store.insertPart`. The caller has refused tokens and spends that cannot be counted (`spendsProblem`). */
export function addPart(
  rows: StateRows,
  made: NewTask & { readonly parentId: string },
  { jtiDigest, spends }: HandedOn,
  decidedBy: Premises | undefined,
): null | SpendProblem | StoreFailure {
  const unfit = placeProblem(rows, made.task) ?? premiseProblem(rows, decidedBy);
  if (unfit !== null) return unfit;
  // INVARIANT: the spends are the last step that can refuse, so that nothing is taken for a part that is not written.
  const key = { issuer: made.task.issuer, id: made.parentId };
  return takeFrom(rows, { key, jtiDigest }, { spends }) ?? writeTask(rows, made);
}

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

/** `Store.settle`. The caller has refused spends that cannot be counted (`spendsProblem`). */
export function settleUse(
  rows: StateRows,
  decisionId: string,
  { key, jtiDigest, spends, entry, record, ahead, by }: SettledTaking,
): SettleProblem | Lent | null {
  if (rows.isSettled(decisionId)) return null;
  const changes = changesBy(rows, { key, jtiDigest }, { spends, entry, ahead });
  if (changes === 'exhausted')
    return { problem: changes, budget: exceededBudget(spends, (counter) => rows.spent(key, counter)) };
  if (typeof changes === 'string') return changes;
  const { changed, lent } = changes;
  // INVARIANT: with what the use takes, in one transaction: a settled use always has its record on disk.
  if (record !== undefined) rows.addRecords([record]);
  // A use that changes nothing is already idempotent: sent again, it is evaluated again. So the stored uses are bounded by budgets,
  // histories and records, whatever a sidecar sends.
  if (changed || record !== undefined) rows.setSettled(decisionId);
  if (changed && by !== undefined && spends.length > 0)
    rows.setSettled(takenName({ decisionId, by, key, spends: withLent(spends, lent) }));
  return ahead === undefined ? null : { lent };
}

/** The keys under which `giveBackUse` finds the spends of a use, and whether they were given back. */
export const namesOfUnsent = (use: UnsentUse): readonly [taken: string, undone: string] => [
  takenName(use),
  `${use.decisionId} given back`,
];

/** `Store.giveBack`. INVARIANT: once, and only what was settled under that id, so that no budget is given back that was not taken. */
export function giveBackUse(rows: StateRows, use: UnsentUse): boolean {
  const { key, spends, left } = use;
  const [taken, undone] = namesOfUnsent(use);
  if (!rows.isSettled(taken) || rows.isSettled(undone)) return false;
  for (const [counter, spent] of givenBack((name) => rows.spent(key, name), spends, left))
    rows.setSpent(key, counter, spent);
  rows.setSettled(undone);
  return true;
}

/** `Store.keepRecord`. */
export function keepRecord(rows: StateRows, decisionId: string, record: EncodedRecord): null {
  if (rows.isSettled(decisionId)) return null;
  rows.addRecords([record]);
  rows.setSettled(decisionId);
  return null;
}

/** Ends a task that is past its deadline or idle limit by the floor, with its parts. Returns whether it did. */
export function expire(rows: StateRows, key: TaskKey): boolean {
  // Read again: the expiry of a task also ends its parts.
  const task = rows.task(key);
  if (task === undefined || task.endedAtMs !== null || stateAt(task, rows.floorMs()) !== 'expired') return false;
  const ended = changeTask(rows, task, { kind: 'expire', cause: expiryOf(task).cause }, 'remit');
  return !('problem' in ended) && ended.changed;
}

/** Counts every spend and adds the history entry, or does neither and gives the problem. */
export function takeFrom(
  rows: StateRows,
  { key, jtiDigest }: { readonly key: TaskKey; readonly jtiDigest: string },
  taking: Taking,
): SpendProblem | null {
  const changes = changesBy(rows, { key, jtiDigest }, taking);
  return typeof changes === 'string' ? changes : null;
}

/** As `takeFrom`, and whether any row changed, and what was lent. */
function changesBy(
  rows: StateRows,
  { key, jtiDigest }: { readonly key: TaskKey; readonly jtiDigest: string },
  taking: Taking,
): SpendProblem | (Lent & { readonly changed: boolean }) {
  const use = rows.useState(key, jtiDigest);
  const after = taken({ use, spent: (counter) => rows.spent(key, counter) }, taking, rows.nowMs());
  if (typeof after === 'string') return after;
  const spent = [...after.spent].filter(([counter, total]) => rows.spent(key, counter) !== total);
  for (const [counter, total] of spent) rows.setSpent(key, counter, total);
  if (after.history !== null) rows.setHistory(key, after.history);
  return { changed: spent.length > 0 || after.history !== null, lent: after.lent };
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
