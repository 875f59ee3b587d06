import type { EncodedRecord } from '../ledger/encoded-record.ts';
import type { HistoryEntry } from '../task/history.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { Lent, LimitsLeft, SettleProblem, Spend } from './spend.ts';
import type { TaskKey, UnsentUse } from './store.ts';

/**
 * A use that takes something: from its task a budget, the single use of its token, or a new history entry; or from a limit over all tasks. At
 * a sidecar also a use that must be decided by the current state: of high risk, or by the history.
 */
export interface SettledUse {
  /** Id of the decision, a UUID. It is the idempotency key: the same id settles once. A use that changes nothing is evaluated each time. */
  readonly decisionId: string;
  /** Its task; `null` for a credential without a task, which takes from limits alone and has no history. */
  readonly key: TaskKey | null;
  /** `''` without a task. */
  readonly jtiDigest: string;
  /** The SPIFFE ID of the caller, who is stopped if a limit says so. Absent if no limit concerns the use. */
  readonly agent?: string;
  readonly spends: readonly Spend[];
  /** The history entry, with the version of the history used for the decision. */
  readonly entry?: HistoryEntry;
  /** Its record, which goes to the outbox in the same commit: of a use of high risk at a sidecar. */
  readonly record?: EncodedRecord;
  /**
   * For each spend, how much more than its own amount is wanted: a share that the process spends by itself. A counter lends at most an eighth
   * of what it has left: what is wanted, or a half, a quarter and so on of that.
   */
  readonly ahead?: readonly number[];
  /** Who decided it: the identity of a sidecar. Absent if this process did. */
  readonly by?: string;
}

/**
 * Result of settling: `null`, what was lent or what limits have left, if the use is settled and on disk; a problem, and nothing
 * was taken; or a failure, after which the result is unknown until the same use is settled again. A use that was settled before
 * is answered with `null`; a loan of a sidecar that is asked for again, with what it lent.
 */
export type Settlement = null | Lent | LimitsLeft | SettleProblem | StoreFailure;

/** Whether a use is settled. */
export const isSettlement = (settlement: Settlement): settlement is null | Lent | LimitsLeft =>
  settlement === null || (typeof settlement === 'object' && ('lent' in settlement || 'left' in settlement));

/** Settles uses. The uses of one turn of the event loop share a transaction, in call order. */
export interface Settling {
  settle(use: SettledUse): Promise<Settlement>;
  /**
   * Settles a use without waiting, from what this process was lent of its budgets, and gives what to give back if its call is not sent; `null`
   * if that does not cover all of it, and nothing was taken. For uses with neither a history entry nor a record. Absent, nothing is lent to
   * this process.
   */
  settleNow?(use: SettledUse): UnsentUse | null;
  /**
   * Gives back the spends of a settled use whose call was not sent, once and within ten minutes; its history entry stays. Returns whether
   * it did: only if the same use was settled for the same sidecar, so that no sidecar gives back what another took, or more than it took itself.
   * What was lent may be given back in parts, one after the other.
   */
  giveBack(use: UnsentUse): Promise<boolean | StoreFailure>;
}
