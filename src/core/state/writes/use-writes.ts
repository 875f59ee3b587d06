/** What a use of a token or of a limit takes and gives back, in a transaction of any implementation. */
import { withLimitsLeft } from '../../ledger/committed-use.ts';
import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import {
  chargedBy,
  counterOf,
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
  writeLimits,
} from './limit-settlement.ts';
import { possibleLoans } from './possible-loans.ts';
import type { StateRows } from './state-rows.ts';
import { loanName } from '../task-loan.ts';
import type { Lent, LimitsLeft, SettleProblem, Spend, SpendProblem, TaskSpend } from '../spend.ts';
import type { TaskKey, UnsentUse } from '../store.ts';

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

/**
 * `Store.settle`. The caller has refused spends that cannot be counted (`spendsProblem`).
 * @param acts whether a limit that refuses also suspends or stops, if it says so; the rows for that are needed
 */
export function settleUse(
  rows: StateRows,
  decisionId: string,
  { key, jtiDigest, spends, entry, record, ahead, by, agent }: SettledTaking,
  { acts = true }: { readonly acts?: boolean } = {},
): SettleProblem | Lent | LimitsLeft | null {
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
  if (key !== null && after !== null) writeLoans(rows, key, { spends: budgets, by, more: after.lent });
  const isCounted = writeLimits(rows, taking);
  // INVARIANT: with what the use takes, in one transaction: a settled use always has its record on disk.
  if (record !== undefined) rows.addRecords([withLimitsLeft(record, { spends: limits, left: taking.left })]);
  // A use that changes nothing is already idempotent: sent again, it is evaluated again. So the stored uses are bounded by budgets,
  // histories and records, whatever a sidecar sends.
  if (isTaken || isCounted || record !== undefined) rows.setSettled(decisionId);
  const lent = lentOfAll(spends, after?.lent ?? [], taking.lent);
  const got = { decisionId, spends: withLent(spends, lent), ...(by === undefined ? {} : { by }) };
  if (isTaken && key !== null && by !== undefined && budgets.length > 0) rows.setSettled(takenName({ ...got, key }));
  if (isCounted) for (const name of limitNames(got, rows.nowMs())) rows.setSettled(name);
  if (ahead !== undefined) return { lent };
  return limits.length === 0 ? null : { left: taking.left };
}

/** What a loan lent that is asked for again; `null` if that is not known, or if no loan was wanted. */
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

/** The keys under which `giveBackUse` finds the spends of a use, and whether they, or a part of them, were given back. */
export function namesOfUnsent(
  use: UnsentUse,
  nowMs: number,
): readonly [taken: string, undone: string, before: string, ...string[]] {
  const { decisionId, key, before = 0 } = use;
  // Without a task no budget of a task was used.
  const taken = key === null ? `${decisionId} took nothing` : takenName({ ...use, key });
  const undone = before === 0 ? `${decisionId} given back` : `${decisionId} given back after ${before}`;
  return [taken, undone, partName(use, before), ...limitNames(use, nowMs)];
}

/** The key under which it is remembered that parts of a loan were given back, and how much they are together. */
const partName = ({ decisionId }: UnsentUse, given: number): string => `${decisionId} given back in parts: ${given}`;

/**
 * How much of a loan is given back with this part, and how much of it is not; `null` if it is no part of a loan, or more than all of
 * it. INVARIANT: each part follows on the sum of those before, and gives back something, so that all together are at most the loan.
 */
function partOf({
  spends: [spend, ...others],
  left: [left = 0] = [],
  before = 0,
}: UnsentUse): { readonly given: number; readonly rest: number } | null {
  if (spend === undefined || others.length > 0 || left === 0) return null;
  const rest = (spend.kind === 'limit' ? spend.amount : chargedBy(spend)) - before - left;
  return rest < 0 ? null : { given: before + left, rest };
}

/** `Store.giveBack`. INVARIANT: once, and only what was settled under that id, so that nothing is given back that was not taken. */
export function giveBackUse(rows: StateRows, use: UnsentUse): boolean {
  const { key, before = 0 } = use;
  const [taken, undone, partsBefore] = namesOfUnsent(use, rows.nowMs());
  if (rows.isSettled(undone)) return false;
  const part = partOf(use);
  if (before > 0 && (part === null || !rows.isSettled(partsBefore))) return false;
  const { ofTask, ofLimits } = numbersOf(use.spends, use.left);
  const isTaken = key !== null && rows.isSettled(taken);
  if (isTaken) {
    const spends = taskSpendsOf(use.spends);
    for (const [counter, spent] of givenBack((name) => rows.spent(key, name), spends, ofTask))
      rows.setSpent(key, counter, spent);
    // `left` is given only for loans.
    const more = spends.map((spend, at) => -Math.min(chargedBy(spend), ofTask?.[at] ?? 0));
    writeLoans(rows, key, { spends, by: use.by, more });
  }
  const isGiven = giveBackLimits(rows, use, ofLimits);
  if (!isTaken && !isGiven) return false;
  rows.setSettled(undone);
  if (part !== null && part.rest > 0) rows.setSettled(partName(use, part.given));
  return true;
}

/** Loans of budgets. */
interface Loans {
  readonly spends: readonly TaskSpend[];
  readonly by: string | undefined;
  /** For each spend how much more is lent; less than 0 for what is given back. */
  readonly more: readonly number[];
}

/** Counts what a process was lent of budgets, or has given back of it, to be shown. */
function writeLoans(rows: StateRows, key: TaskKey, { spends, by, more }: Loans): void {
  for (const [at, spend] of spends.entries()) {
    const amount = more[at] ?? 0;
    if (amount === 0) continue;
    const name = loanName(counterOf(spend), by);
    rows.setSpent(key, name, Math.max(0, rows.spent(key, name) + amount));
  }
}

/** `Store.keepRecord`. */
export function keepRecord(rows: StateRows, decisionId: string, record: EncodedRecord): null {
  if (rows.isSettled(decisionId)) return null;
  rows.addRecords([record]);
  rows.setSettled(decisionId);
  return null;
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
