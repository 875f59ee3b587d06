import type { EncodedRecord } from '../ledger/encoded-record.ts';
import type { Saying } from '../task/context-change.ts';
import type { Order } from '../order/order.ts';
import type { OverLimit } from '../limit/limit-spend.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import type { HistoryEntry } from '../task/history.ts';
import type { Cause } from '../task/cause.ts';
import type { Task, TaskConflict, TaskEvent, TaskRisk } from '../task/task.ts';
import type { Premises } from './writes/premises.ts';
import type { ReportedUses, Reporter, UsesOfToken } from './reported-uses.ts';
import type { SignalClaim } from './signal-queue.ts';
import type { DueSecret } from './secret-sighting.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { HandedOn, Lent, LimitsLeft, SettleProblem, Spend, SpendProblem, TaskSpend } from './spend.ts';
import type { RememberedKind } from './replay-memory.ts';
import type { StoreReader } from './store-reader.ts';

/** A token that is about to be issued, with the generation of the task at the decision. */
export type IssuedToken = Omit<IssuedTokenState, 'revokedAtMs'>;

/** A ledger among several that take the records of an outbox. */
export interface RelayingLedger {
  /** Distinguishes it from the others, and from a ledger that was lost and restarted under the same name. */
  readonly name: string;
  /** How many ledgers must have a record before it is deleted. */
  readonly copies: number;
}

/** The key of a task. A `Task` is its own key. */
export interface TaskKey {
  readonly issuer: string;
  readonly id: string;
}

/** Result of one step of pruning. */
export interface Pruned {
  /** Number of deleted tasks. Their tokens, budgets and histories are deleted too. */
  readonly tasks: number;
  /** Whether another step has more to do at once. */
  readonly isMore: boolean;
}

/** A settled use whose call was not sent to its upstream, as it was settled (`SettledUse`). */
export interface UnsentUse {
  readonly decisionId: string;
  readonly key: TaskKey | null;
  readonly jtiDigest: string;
  /** With what was lent beyond them. */
  readonly spends: readonly Spend[];
  /** How much of each is given back, at most its amount; absent, all of it. */
  readonly left?: readonly number[];
  /** Of a loan, whose only spend is given back in parts: how much the parts before gave back. Absent or 0 with the first part. */
  readonly before?: number;
  /**
   * Of a use that was settled from shares of this process (`Settling.settleNow`): from which, until when they are of this window, and of each
   * spend on a limit, in their order, what it left of its share.
   */
  readonly sharesOf?: { readonly life: number; readonly untilMs: number; readonly left: readonly number[] };
  readonly by?: string;
}

/** Result of an event: `task` is the state after it; `changed` whether this call changed it. */
export interface TaskEnd {
  readonly task: Task;
  readonly changed: boolean;
}

/**
 * Tasks, tokens and budgets in one file. Every write is one transaction with its records: when the call returns, all of it is on disk, or
 * nothing. Records wait in an outbox until the ledger has them.
 */
export interface Store extends StoreReader {
  /**
   * Writes a task, its first token and their records, before the token is signed. A part is a `conflict` if its parent is not
   * active or the root task has 1,000 open parts, and `refused` if it would outlive its parent by deadline or idle limit;
   * `changed` as in `insertToken`. An `OverLimit` if a limit over all tasks has no room for it; the effect of that limit is
   * written all the same.
   */
  insertTask(
    task: Task,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | OverLimit | StoreFailure;
  /**
   * Writes a part like `insertTask`, paid for by the budgets of its parent in the same transaction: both happen, or neither. `ended` also
   * if the parent's token is revoked; `changed` as in `insertToken`.
   */
  insertPart(
    part: Task,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    handed: HandedOn,
    decidedBy?: Premises,
  ): null | SpendProblem | OverLimit | StoreFailure;
  /**
   * Writes a further token of a task and its records, before it is signed. A `conflict` if the task does not exist, is not active, or has
   * another generation than the token; `changed` if a premise of the write no longer holds.
   */
  insertToken(
    key: TaskKey,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | StoreFailure;
  /**
   * Applies the event and writes its record. An end or a suspension also reaches every open part in the same transaction, each with its own
   * record; a resume reaches none. A resume is a conflict if its cause does not lift the suspension (`core/task/cause.ts`). `undefined`
   * if the task does not exist; `changed` as in `insertToken`.
   */
  applyTaskEvent(
    key: TaskKey,
    event: TaskEvent,
    by: string,
    decidedBy?: Premises,
  ): TaskEnd | TaskConflict | undefined | StoreFailure;
  /**
   * Updates the claimed and attested facts of the task as `contextAfter` computes them, and applies the event that follows from them, if
   * any, in the same transaction. Returns the task after both. A conflict if it has ended, `undefined` if it does not exist, `refused` if
   * there is no room; `changed` as in `insertToken`.
   */
  setContext(
    key: TaskKey,
    saying: Saying,
    event?: TaskEvent & { readonly kind: 'suspend' | 'revoke' },
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure;
  /**
   * Lets the agent of the task declare like tasks at once: forgets the stops of ended tasks with an action of this task, and records it. Stops of
   * suspended tasks stay until those are resumed. `undefined` if the task does not exist.
   */
  liftStops(key: TaskKey, cause: Cause, by: string): Task | undefined | StoreFailure;
  /**
   * Puts an order in force, with its records. Idempotent by its id for 10 minutes, also if it was lifted meanwhile. `full` if as many are in
   * force as there may be (`orderLimits`).
   */
  putOrder(order: Order, records: readonly EncodedRecord[]): null | StoreFailure;
  /** Lifts an order and writes the records. Returns the order; `undefined`, without the records, if there is none with that id. */
  liftOrder(id: string, records: readonly EncodedRecord[]): Order | undefined | StoreFailure;
  /** Sets the risk of an open task. A conflict if it has ended, `undefined` if it does not exist; `changed` as in `insertToken`. */
  setRisk(
    key: TaskKey,
    risk: TaskRisk,
    cause: Cause,
    by: string,
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure;
  /**
   * Treats one token as revoked in this process from now on, before `revokeToken` writes it. It cannot fail, and is forgotten when the
   * process ends. Of more than 16,384 tokens, the least recently used are forgotten.
   */
  refuseToken(jtiDigest: string): void;
  /** Revokes a token. Idempotent. `false` if the token is unknown. */
  revokeToken(jtiDigest: string, cause: Cause, by: string): boolean | StoreFailure;
  /**
   * Remembers a key until an instant of the floor; `seen` if it is already remembered. Expired keys are deleted. With 100,000 keys of
   * one kind it fails as `full`: the caller must refuse what cannot be remembered.
   */
  rememberOnce(kind: RememberedKind, key: string, untilMs: number): 'new' | 'seen' | StoreFailure;
  /**
   * Counts all spends and adds the history entry, or does nothing. Requires that the task is active, the token not revoked, every limit
   * holds and the history still has the version of the entry. `refused` if a number is not whole or out of range.
   */
  spend(
    key: TaskKey,
    jtiDigest: string,
    spends: readonly TaskSpend[],
    entry?: HistoryEntry,
  ): null | SpendProblem | StoreFailure;
  /** `Settling.giveBack`: within 10 minutes of the settlement. `refused` if a number is not whole or out of range. */
  giveBack(use: UnsentUse): boolean | StoreFailure;
  /**
   * Like `spend`, but idempotent by decision id for 10 minutes: a decision that is settled already takes and lends nothing more,
   * and is answered with `null`, or with what was lent to a sidecar. A problem takes nothing and is not remembered, so the use
   * may be settled later under the same id. The record, if any, goes to the outbox with what the use takes, once.
   */
  settle(
    decisionId: string,
    key: TaskKey | null,
    use: {
      readonly jtiDigest: string;
      readonly spends: readonly Spend[];
      readonly entry?: HistoryEntry | undefined;
      readonly record?: EncodedRecord | undefined;
      readonly ahead?: readonly number[] | undefined;
      readonly by?: string | undefined;
      readonly agent?: string | undefined;
    },
  ): null | Lent | LimitsLeft | SettleProblem | StoreFailure;
  /**
   * Commits everything written in `work` together: one sync for many uses. `work` must neither await nor throw. Answers given within it are
   * valid only if this returns `null`.
   */
  inOneCommit(work: () => void): null | StoreFailure;
  /** Writes sightings of static secrets. Of more than 10,000 secrets, the least recently seen are deleted. */
  writeSecrets(due: readonly DueSecret[]): null | StoreFailure;
  /** Ends open tasks past their deadline or idle limit, at most 1,000 in one call. Returns how many. */
  endExpired(): number | StoreFailure;
  /**
   * Runs a step of pruning, bounded to some hundred rows. It deletes root tasks that ended at least `keepMs` ago by both clocks, with
   * their parts, tokens, budgets and history. It keeps tasks with a token that has not expired by both clocks and a minute, tasks with a
   * record in the outbox, and the ancestors of either.
   */
  prune(keepMs: number): Pruned | StoreFailure;
  /** Returns up to 1 MiB of free space to the disk, beyond a reserve. Returns whether there is more. */
  shrink(): boolean | StoreFailure;
  /**
   * Marks the file as in use by this process, unless it is marked. The next start checks the whole file if `close` did not remove the mark.
   */
  markServing(): null | StoreFailure;
  /** Adds records to the outbox that belong to no other write. */
  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure;
  /** Adds the record of a decision that takes nothing from a task: once, however often it is sent within 10 minutes. */
  keepRecord(decisionId: string, record: EncodedRecord): null | StoreFailure;
  /**
   * Deletes the records of the outbox up to that number, since the ledger has them: if several ledgers take them, once as many have
   * them as the ledger asks for, and each ledger that was seen in the last ten minutes.
   */
  forget(upTo: number, ledger?: RelayingLedger): null | StoreFailure;
  /**
   * Claims the delivery of signals to a receiver for this process, for `signalLimits.claimMs`, unless another process has claimed
   * it. From the first claim on, each record that is a signal is queued for the receiver in the transaction of the record.
   * Deletes signals that are too many or too old.
   */
  claimSignals(receiver: string): SignalClaim | StoreFailure;
  /** Deletes signals that a receiver has, or will never take. */
  dropSignals(receiver: string, seqs: readonly number[]): null | StoreFailure;
  /** Notes when tasks were used, which restarts their idle time. Writes only if any of them has an idle limit. */
  touchTasks(used: ReadonlyMap<string, number>): null | StoreFailure;
  /**
   * Replaces the uses of tokens that a process reported, if their numbers are not lower. Tokens that do not exist, or whose audience the
   * process may not serve, are skipped. Of more than 8 reporters of a token, the first and the latest seven stay.
   */
  writeUses(uses: readonly UsesOfToken[], reporter: Reporter): null | StoreFailure;
  /** What was reported of the uses of a token: those with allowed uses first, in the order of the first of them. */
  reportedUses(jtiDigest: string): readonly ReportedUses[] | StoreFailure;
}
