import type { HeldTask, HeldToken } from '../../src/core/fleet/card.ts';
import type { SpiffeId } from '../../src/core/identity/spiffe-id.ts';
import type { FeedChange } from '../../src/core/state/feed.ts';
import { partProblem } from '../../src/core/state/writes/part-admission.ts';
import { givenBack, taken, withLent } from '../../src/core/state/writes/settlement.ts';
import type { SettledUse } from '../../src/core/state/settling.ts';
import type { SpendProblem, TaskSpend } from '../../src/core/state/spend.ts';
import type { TaskKey } from '../../src/core/state/store.ts';
import type { UseState } from '../../src/core/state/store-reader.ts';
import { familyAfter, taskAmended } from '../../src/core/state/writes/task-event.ts';
import type { Deed } from '../../src/core/state/writes/task-event.ts';
import { causeOf } from '../../src/core/task/cause.ts';
import { noHistory } from '../../src/core/task/history.ts';
import type { TaskHistory } from '../../src/core/task/history.ts';
import { isOpen } from '../../src/core/task/task.ts';
import type { Task, TaskEvent } from '../../src/core/task/task.ts';
import { epochOf } from './database-node.ts';
import type { Rows, Write } from './database-node.ts';
import type { Done, Transaction } from './database.ts';
import type { Mistake } from './mistakes.ts';
import { numberedRecords, recordOfUse, recordsOfEnds } from './outbox-rows.ts';
import { EPOCH_MS, windowAt } from './terms.ts';
import { taskOf, taskWritten, tokenOf, tokenWritten } from './sealed-rows.ts';
import type { TaskRow } from './sealed-rows.ts';

export const ISSUER = 'https://issuer.acme.test';

/** Parts of a root task `r1` are named `r1.1`, `r1.2`, so that a name tells its root. */
export const rootOf = (id: string): string => {
  const end = id.indexOf('.');
  return end === -1 ? id : id.slice(0, end);
};

const historyOf = (rows: Rows, root: string): TaskHistory =>
  (rows.get(`history:${root}`) as TaskHistory | undefined) ?? noHistory;
const partsOf = (rows: Rows, root: string): readonly string[] =>
  (rows.get(`parts:${root}`) as readonly string[] | undefined) ?? [];
const spentOf = (rows: Rows, counter: string): number => (rows.get(`spent:${counter}`) as number | undefined) ?? 0;

/** A task as it is declared. */
export const newTask = (id: string, parentId: string | null): Task => ({
  id,
  issuer: ISSUER,
  agent: 'spiffe://acme.test/ns/agents/sa/planner' as SpiffeId,
  subject: 'alice',
  parentId,
  purpose: '',
  intentHash: '',
  state: 'active',
  createdAtMs: 0,
  deadlineMs: Number.MAX_SAFE_INTEGER,
  idleMs: null,
  lastUsedMs: 0,
  endedAtMs: null,
  cause: null,
  issuance: { traceId: '', spanId: '' },
  detailsJson: '[]',
  claimed: {},
  attested: [],
  subjectAttributes: {},
  contextRules: {},
  risk: 'low',
  generation: 1,
});

/** The digest of a token of a task names the task. */
const digestOf = (taskId: string, number: number): string => `${taskId}/${number}`;

export const newToken = (
  taskId: string,
  { number, generation }: { readonly number: number; readonly generation: number },
): HeldToken => ({
  jtiDigest: digestOf(taskId, number),
  audience: '',
  issuedAtMs: 0,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  generation,
  revokedAtMs: null,
  boundTo: '',
  elsewhere: null,
});

/** The card of a task with some of its tokens; `null` where there is no such task. */
export function heldTask(rows: Rows, id: string, digests: readonly string[]): HeldTask | null {
  const task = taskOf(rows, id);
  if (task === undefined) return null;
  const root = rootOf(id);
  const tokens = new Map<string, HeldToken>();
  for (const digest of digests) {
    const token = tokenOf(rows, digest);
    if (token !== undefined) tokens.set(digest, token);
  }
  return { task, root, tokens, history: historyOf(rows, root) };
}

/** The row by which an authority writes a task. */
const written = (rows: Rows, task: Task): Write => taskWritten(rows, { task, root: rootOf(task.id) });

const deedAt = (nowMs: number): Deed => ({ by: 'operator', nowMs: Math.floor(nowMs), floorMs: Math.floor(nowMs) });
const changed = (id: string, part: FeedChange['part'] = 'task'): readonly FeedChange[] => [{ root: rootOf(id), part }];
const nothing = <T>(result: T): Done<T> => ({ result, writes: [], changes: [] });
const locked = (id: string): readonly string[] => [`root:${rootOf(id)}`];

/** Declares a task, or a part of one, with its first token. */
export const declaring = (id: string, parentId: string | null): Transaction<boolean> => ({
  locks: locked(id),
  run: (rows, nowMs) => {
    if (taskOf(rows, id) !== undefined) return nothing(true);
    const task = newTask(id, parentId);
    const parts = partsOf(rows, rootOf(id));
    const openParts = parts.filter((part) => isOpen(taskOf(rows, part)?.state ?? 'expired')).length;
    const place = { parent: parentId === null ? undefined : taskOf(rows, parentId), depth: 0, openParts };
    if (parentId !== null && partProblem(place, task, nowMs) !== null) return nothing(false);
    const token = newToken(id, { number: 0, generation: 1 });
    const family: Write[] = parentId === null ? [] : [[`parts:${rootOf(id)}`, [...parts, id]]];
    return {
      result: true,
      writes: [written(rows, task), tokenWritten(token, task), ...family],
      changes: [],
    };
  },
});

/** Issues a further token of an active task, of its generation now. */
export const issuing = (id: string, number: number): Transaction<HeldToken | null> => ({
  locks: locked(id),
  run: (rows) => {
    const task = taskOf(rows, id);
    const before = tokenOf(rows, digestOf(id, number));
    if (before !== undefined) return nothing(before);
    if (task?.state !== 'active') return nothing(null);
    const token = newToken(id, { number, generation: task.generation });
    return { result: token, writes: [tokenWritten(token, task)], changes: [] };
  },
});

const CAUSES = {
  complete: 'operator.completed',
  cancel: 'operator.cancelled',
  revoke: 'operator.revoked',
  suspend: 'operator.suspended',
  resume: 'operator.resumed',
} as const;

/** Ends, suspends or resumes a task. Gives it as it is then; `null` where the event is refused. */
export const happening = (id: string, kind: keyof typeof CAUSES): Transaction<Task | null> => ({
  locks: locked(id),
  run: (rows, nowMs) => {
    const task = taskOf(rows, id);
    if (task === undefined) return nothing(null);
    const parts = task.parentId === null ? partsOf(rows, id).flatMap((part) => taskOf(rows, part) ?? []) : [];
    const parent = task.parentId === null ? undefined : taskOf(rows, task.parentId);
    const event: TaskEvent = { kind, cause: causeOf(CAUSES[kind], '') };
    const after = familyAfter(
      { task, parent, parts: parts.filter(({ state }) => isOpen(state)) },
      event,
      deedAt(nowMs),
    );
    if ('problem' in after) return nothing(null);
    const [first] = after;
    if (first === undefined) return nothing(task);
    const tasks = after.map((one) => one.task);
    return {
      result: first.task,
      writes: tasks.map((one) => written(rows, one)),
      changes: changed(id),
      records: () => recordsOfEnds(tasks),
    };
  },
});

/** Raises the risk of a task. */
export const riskRaised = (id: string): Transaction<Task | null> => ({
  locks: locked(id),
  run: (rows, nowMs) => {
    const task = taskOf(rows, id);
    if (task === undefined) return nothing(null);
    const amended = taskAmended(
      task,
      { facts: { risk: 'high' }, event: 'risk', cause: causeOf('operator.suspended', '') },
      deedAt(nowMs),
    );
    if (amended === null) return nothing(task);
    if ('problem' in amended) return nothing(null);
    return { result: amended.task, writes: [written(rows, amended.task)], changes: changed(id) };
  },
});

/** Revokes one token. */
export const tokenRevoked = (id: string, digest: string): Transaction<boolean> => ({
  locks: locked(id),
  run: (rows, nowMs) => {
    const token = tokenOf(rows, digest);
    if (token === undefined || token.revokedAtMs !== null) return nothing(token !== undefined);
    const revoked = { ...token, revokedAtMs: Math.floor(nowMs) };
    return { result: true, writes: [tokenWritten(revoked, { id, issuer: ISSUER })], changes: changed(id) };
  },
});

/** The state of a task, as an operator is told it. */
export const stateIn = (rows: Rows, id: string): string => taskOf(rows, id)?.state ?? 'none';

const revokedByRestore = (task: Task): Task => ({
  ...task,
  state: 'revoked',
  endedAtMs: 0,
  cause: causeOf('operator.restored'),
});

/** What the command after a restored backup writes: all open tasks end, with their records, and another epoch begins. */
export function restoring(
  rows: Rows,
  { mistake, epoch }: { readonly mistake: Mistake | null; readonly epoch: number },
): readonly Write[] {
  const life: readonly Write[] = [
    ['epoch', `epoch-${epoch}`],
    ['lost', false],
  ];
  if (mistake === 'restore-keeps-tasks') return life;
  // Whoever wrote them: the command has no key of seals.
  const tasks = taskIdsIn(rows).map((id) => (rows.get(`task:${id}`) as TaskRow).task);
  const ended = tasks.filter(({ state }) => isOpen(state)).map(revokedByRestore);
  return [...life, ...ended.map((task) => written(rows, task)), ...numberedRecords(rows, recordsOfEnds(ended))];
}

/** The ids of all tasks. */
export const taskIdsIn = (rows: Rows): readonly string[] =>
  [...rows.keys()].filter((name) => name.startsWith('task:')).map((name) => name.slice('task:'.length));

/** Says that the database lacks commits. */
export const losing = (epoch: string): Transaction<null> => ({
  locks: ['lost'],
  // It may come after the command that has made the database safe.
  run: (rows) => ({ result: null, writes: epochOf(rows) === epoch ? [['lost', true]] : [], changes: [] }),
});

/** A use of a task, which takes from no limit over all tasks. */
export type TaskUse = SettledUse & {
  readonly key: TaskKey;
  readonly spends: readonly TaskSpend[];
  /** Whether its calls are those of the limit over all tasks, in the window of the transaction. */
  readonly isOfLimit?: boolean;
  /** Of a loan: the wall clock of the sidecar, which the id of a loan says. */
  readonly askedMs?: number;
};

/** Whose counters a use takes from. */
const countersOf = ({ key, isOfLimit = false }: TaskUse, nowMs: number): string =>
  isOfLimit ? `limit-${windowAt(EPOCH_MS + nowMs)}` : key.id;

/** Whether a loan may be lent: of a limit only if the sidecar is in the window of the transaction. */
const isLent = ({ askedMs, isOfLimit = false }: TaskUse, nowMs: number): boolean =>
  !isOfLimit || askedMs === undefined || windowAt(askedMs) === windowAt(EPOCH_MS + nowMs);

/** A limit over all tasks has a lock of its own. */
const lockedBy = ({ key, isOfLimit = false }: TaskUse): readonly string[] =>
  isOfLimit ? [...locked(key.id), 'limit'] : locked(key.id);

/** Whether the record of a use is committed with it. */
const isOfHighRisk = ({ spends }: TaskUse): boolean => spends.some(({ kind }) => kind === 'single-use');

/** Why a use is not settled; else what was lent, which is nothing to most. */
export type SettledRows = SpendProblem | { readonly lent: number };

const NOTHING_LENT: SettledRows = { lent: 0 };

/** Settles a use, once for each decision. */
export const settling = (use: TaskUse, mistake: Mistake | null): Transaction<SettledRows> => ({
  locks: lockedBy(use),
  run: (rows, nowMs) => {
    const { id } = use.key;
    // A loan that is asked for again lends the same.
    if (rows.has(`settled:${use.decisionId}`)) return nothing({ lent: lentIn(rows, use.decisionId) });
    const root = rootOf(id);
    const counters = countersOf(use, nowMs);
    const isAlwaysLent = mistake === 'share-of-window-before';
    const held = heldTask(rows, id, [use.jtiDigest]);
    const issued = held?.tokens.get(use.jtiDigest);
    const state: UseState | undefined = held === null ? undefined : { task: held.task, issued, history: held.history };
    const entry =
      mistake === 'history-unchecked' && use.entry !== undefined
        ? { ...use.entry, version: historyOf(rows, root).version }
        : use.entry;
    const after = taken(
      { use: state, spent: (counter) => spentOf(rows, `${counters}:${counter}`) },
      { spends: use.spends, entry, ahead: isAlwaysLent || isLent(use, nowMs) ? use.ahead : undefined },
      nowMs,
    );
    if (typeof after === 'string') return nothing<SettledRows>(after);
    const [lent = 0] = after.lent;
    const isUncounted = mistake === 'share-given-twice' && lent > 0;
    return {
      result: lent === 0 ? NOTHING_LENT : { lent },
      writes: [
        [`settled:${use.decisionId}`, true],
        ...(lent > 0
          ? [[`lent:${use.decisionId}`, lent] as const, [`lent by:${use.decisionId}`, counters] as const]
          : []),
        ...[...(isUncounted ? [] : after.spent)].map(([counter, value]): Write => [
          `spent:${counters}:${counter}`,
          value,
        ]),
        ...(after.history === null ? [] : [[`history:${root}`, after.history] as const]),
      ],
      changes: after.history === null ? [] : changed(id, 'history'),
      records: () => (isOfHighRisk(use) ? [recordOfUse(use.decisionId)] : []),
    };
  },
});

const lentIn = (rows: Rows, id: string): number => (rows.get(`lent:${id}`) as number | undefined) ?? 0;

/** How much of a loan is given back, and how much of it was before. */
export interface GivenPart {
  readonly left: number;
  readonly before: number;
}

/** Gives back what is left of a loan: a part, once, after the parts before it. */
export const returning = (
  use: TaskUse,
  { left, before }: GivenPart,
  mistake: Mistake | null,
): Transaction<boolean> => ({
  locks: lockedBy(use),
  run: (rows, nowMs) => {
    const lent = lentIn(rows, use.decisionId);
    const counters = countersOf(use, nowMs);
    // Nothing is given back to a later window.
    if (rows.get(`lent by:${use.decisionId}`) !== counters) return nothing(false);
    const returned = (rows.get(`returned:${use.decisionId}`) as number | undefined) ?? 0;
    if (lent === 0 || (returned !== before && mistake !== 'share-returned-twice')) return nothing(false);
    if (before + left > lent) return nothing(false);
    const spends = withLent(use.spends, [lent]).filter((spend) => spend.kind !== 'limit');
    const after = givenBack((counter) => spentOf(rows, `${counters}:${counter}`), spends, [left]);
    const spent = [...after].map(([counter, value]): Write => [`spent:${counters}:${counter}`, value]);
    return { result: true, writes: [[`returned:${use.decisionId}`, before + left], ...spent], changes: [] };
  },
});
