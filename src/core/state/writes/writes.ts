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
import {
  taken,
  exceededBudget,
  givenBack,
  limitSpendsOf,
  numbersOf,
  takenName,
  taskSpendsOf,
  withLent,
} from './settlement.ts';
import type { TakenRows, Taking } from './settlement.ts';
import { carryOut } from './limit-effects.ts';
import {
  giveBackLimits,
  isInWindowsOf,
  isLimitRefusal,
  limitNames,
  limitsTaken,
  taskLimitsTaken,
  writeLimits,
} from './limit-settlement.ts';
import { possibleLoans } from './possible-loans.ts';
import { addRecord } from './state-rows.ts';
import type { StateRows } from './state-rows.ts';
import type { OverLimit } from '../../limit/limit-spend.ts';
import type { HandedOn, Lent, SettleProblem, Spend, SpendProblem } from '../spend.ts';
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

/** What a use takes, with its record if that is committed with it. */
interface SettledTaking extends Omit<Taking, 'spends'> {
  readonly spends: readonly Spend[];
  readonly key: TaskKey | null;
  readonly jtiDigest: string;
  readonly agent?: string | undefined;
  readonly record?: EncodedRecord | undefined;
  /** `SettledUse.by`. */
  readonly by?: string | undefined;
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

/**
 * `Store.settle`. The caller has refused spends that cannot be counted (`spendsProblem`).
 * @param acts whether a limit that refuses also suspends or stops, if it says so; the rows for that are needed
 */
export function settleUse(
  rows: StateRows,
  decisionId: string,
  { key, jtiDigest, spends, entry, record, ahead, by, agent }: SettledTaking,
  { acts = true }: { readonly acts?: boolean } = {},
): SettleProblem | Lent | null {
  if (rows.isSettled(decisionId))
    return lentBefore(rows, { decisionId, key, spends, ...(by === undefined ? {} : { by }), ...(ahead && { ahead }) });
  const limits = limitSpendsOf(spends);
  const budgets = taskSpendsOf(spends);
  const wanted = numbersOf(spends, ahead);
  const after =
    key === null ? null : takenBy(rows, { key, jtiDigest }, { spends: budgets, entry, ahead: wanted.ofTask });
  if (after === 'exhausted')
    return { problem: after, budget: exceededBudget(budgets, (name) => (key === null ? 0 : rows.spent(key, name))) };
  if (typeof after === 'string') return after;
  const isLent = ahead !== undefined && isInWindowsOf(decisionId, limits, rows.nowMs());
  const taking = limitsTaken(rows, limits, isLent ? wanted.ofLimits : undefined);
  if (isLimitRefusal(taking)) {
    if (acts) carryOut(rows, taking, { decisionId, key, agent });
    return taking.over;
  }
  // INVARIANT: nothing is written before this line, so that all of it is taken or none.
  const isTaken = key !== null && after !== null && writeTaken(rows, key, after);
  const isCounted = writeLimits(rows, taking);
  // INVARIANT: with what the use takes, in one transaction: a settled use always has its record on disk.
  if (record !== undefined) rows.addRecords([record]);
  // A use that changes nothing is already idempotent: sent again, it is evaluated again. So the stored uses are bounded by budgets,
  // histories and records, whatever a sidecar sends.
  if (isTaken || isCounted || record !== undefined) rows.setSettled(decisionId);
  const lent = lentOfAll(spends, after?.lent ?? [], taking.lent);
  const got = { decisionId, spends: withLent(spends, lent), ...(by === undefined ? {} : { by }) };
  if (isTaken && key !== null && by !== undefined && budgets.length > 0) rows.setSettled(takenName({ ...got, key }));
  if (isCounted) for (const name of limitNames(got, rows.nowMs())) rows.setSettled(name);
  return ahead === undefined ? null : { lent };
}

/** A loan that is asked for again: what it lent; `null` if that is not known, or nothing was wanted. */
function lentBefore(rows: StateRows, use: Parameters<typeof possibleLoans>[0]): Lent | null {
  const loan = possibleLoans(use, rows.nowMs()).find(({ name }) => rows.isSettled(name));
  return loan === undefined ? null : { lent: [loan.lent] };
}

/** What was lent for each spend, in their order. */
function lentOfAll(
  spends: readonly Spend[],
  ofTask: readonly number[],
  ofLimits: readonly number[],
): readonly number[] {
  const [task, limits] = [[...ofTask], [...ofLimits]];
  return spends.map(({ kind }) => (kind === 'limit' ? limits.shift() : task.shift()) ?? 0);
}

/** The keys under which `giveBackUse` finds the spends of a use, and whether they were given back. */
export function namesOfUnsent(use: UnsentUse, nowMs: number): readonly [taken: string, undone: string, ...string[]] {
  const { decisionId, key } = use;
  // Without a task nothing was taken from one.
  const taken = key === null ? `${decisionId} took nothing` : takenName({ ...use, key });
  return [taken, `${decisionId} given back`, ...limitNames(use, nowMs)];
}

/** `Store.giveBack`. INVARIANT: once, and only what was settled under that id, so that nothing is given back that was not taken. */
export function giveBackUse(rows: StateRows, use: UnsentUse): boolean {
  const { key } = use;
  const [taken, undone] = namesOfUnsent(use, rows.nowMs());
  if (rows.isSettled(undone)) return false;
  const { ofTask, ofLimits } = numbersOf(use.spends, use.left);
  const isTaken = key !== null && rows.isSettled(taken);
  if (isTaken)
    for (const [counter, spent] of givenBack((name) => rows.spent(key, name), taskSpendsOf(use.spends), ofTask))
      rows.setSpent(key, counter, spent);
  const isGiven = giveBackLimits(rows, use, ofLimits);
  if (!isTaken && !isGiven) return false;
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
  const after = takenBy(rows, { key, jtiDigest }, taking);
  if (typeof after === 'string') return after;
  writeTaken(rows, key, after);
  return null;
}

/** The rows of a task after what is taken; nothing is written. */
function takenBy(
  rows: StateRows,
  { key, jtiDigest }: { readonly key: TaskKey; readonly jtiDigest: string },
  taking: Taking,
): SpendProblem | TakenRows {
  const use = rows.useState(key, jtiDigest);
  return taken({ use, spent: (counter) => rows.spent(key, counter) }, taking, rows.nowMs());
}

/** Writes what was taken from a task. Returns whether any row changed. */
function writeTaken(rows: StateRows, key: TaskKey, after: TakenRows): boolean {
  const spent = [...after.spent].filter(([counter, total]) => rows.spent(key, counter) !== total);
  for (const [counter, total] of spent) rows.setSpent(key, counter, total);
  if (after.history !== null) rows.setHistory(key, after.history);
  return spent.length > 0 || after.history !== null;
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
