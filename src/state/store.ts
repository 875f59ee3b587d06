import type { EncodedRecord } from '../ledger/encoded-record.ts';
import type { StoredRecord } from '../ledger/timeline.ts';
import type { Saying } from '../task/context-change.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import type { HistoryEntry, TaskHistory } from '../task/history.ts';
import type { Cause } from '../task/cause.ts';
import type { Task, TaskConflict, TaskEvent, TaskRisk, TaskState } from '../task/task.ts';
import type { Premises } from './premises.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { Feed } from './feed.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';

/** A token that is about to be issued. Its generation is the one of the task it was decided by. */
export type IssuedToken = Omit<IssuedTokenState, 'revokedAtMs'>;

/** A record that waits to be handed to the ledger. */
export interface OutboxRecord extends EncodedRecord {
  /** Its number in this file, from 1; never used again. */
  readonly outbox: number;
}

/** A record of the outbox as it is read beside those of the ledger. */
export interface WaitingRecord extends StoredRecord {
  readonly outbox: number;
}

/** What names a task. A task names itself. */
export interface TaskKey {
  readonly issuer: string;
  readonly id: string;
}

/** A token with the task it belongs to. */
export interface TokenOfTask extends IssuedTokenState {
  readonly issuer: string;
  readonly taskId: string;
}

/** What one use of a token is judged by. */
export interface UseState {
  readonly task: Task;
  /** The token, if it is one of the task's. */
  readonly issued: IssuedTokenState | undefined;
  readonly history: TaskHistory;
}

/** Which tasks to list, the newest first. */
export interface TaskFilter {
  readonly id?: string;
  readonly agent?: string;
  /** By the state that holds now, so an open task past its deadline is `expired`. */
  readonly state?: TaskState;
  /** Default and bound: 1,000. */
  readonly limit?: number;
}

/** Which open tasks are meant: those that meet all that is given. */
export interface OpenTaskFilter {
  readonly agent?: string;
  readonly subject?: string;
  readonly id?: string;
  /** The task of that token. */
  readonly jtiDigest?: string;
  /** Those that come after this one in the listing: its next page. */
  readonly olderThan?: Pick<Task, 'createdAtMs' | 'id'> | undefined;
}

/** How many tasks are in the file. Those past their deadline are open until they are written down as expired. */
export interface TaskCounts {
  readonly active: number;
  readonly suspended: number;
  readonly ended: number;
}

/** What a state file takes of the disk, without its log. */
export interface StateSize {
  readonly bytes: number;
  /** Of these, free for what is written next. */
  readonly freeBytes: number;
}

/** What one step of pruning did. */
export interface Pruned {
  /** Tasks that were deleted, with all that belonged to them. */
  readonly tasks: number;
  /** Whether the next step finds more to do at once. */
  readonly isMore: boolean;
}

/** What an event did to a task: `task` is the state after it, `changed` whether it was this call that brought it about. */
export interface TaskEnd {
  readonly task: Task;
  readonly changed: boolean;
}

/**
 * What one use takes from what its task was given, counted for the whole task: a further token brings nothing back. Each
 * `name` (default `''`) is a counter of its own within its kind. Numbers are whole, from 0 to 2^53 - 1.
 */
export type Spend =
  | {
      readonly kind: 'calls';
      readonly name?: string;
      readonly limit: number;
      /** Default 1; more where a part of the task is handed on with so many. */
      readonly count?: number;
    }
  | { readonly kind: 'amount'; readonly name: string; readonly amount: number; readonly limit: number }
  | { readonly kind: 'single-use'; readonly name?: string };

/**
 * Why nothing was spent: a limit, a second use, that the task is not active or the token dead; that the history is another
 * than the use was decided by, or has no room for it.
 */
export type SpendProblem = 'exhausted' | 'replayed' | 'ended' | 'history-changed' | 'history-full';

/** What a new part of a task takes from it: with which of its tokens, and what. */
export interface HandedOn {
  readonly jtiDigest: string;
  readonly spends: readonly Spend[];
}

/** A static secret in a call, and whose call it was. Never the secret itself. */
export interface SeenSecret {
  /** What `digestOf` gives for it. */
  readonly digest: string;
  readonly kind: string;
  /** `header authorization`, `query api_key` */
  readonly place: string;
  readonly agent: string;
  /** Id of the catalog; `''` where it names none. */
  readonly action: string;
}

/** A secret to be written, and how often it was seen since it was last. */
export interface DueSecret {
  readonly secret: SeenSecret;
  readonly times: number;
}

/** How often a secret was seen with one agent at one action. */
export interface SecretSighting extends SeenSecret {
  /** Milliseconds since the Unix epoch, as exact as it is written: once a minute. */
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly count: number;
}

/** What can be read while another process writes. */
export interface StoreReader extends Feed {
  /** One reading of all clocks. */
  clocks(): Clocks;
  /** The later of wall clock and floor, milliseconds since the Unix epoch: what tasks are judged by (`laterOf`). */
  nowMs(): number;
  /** The floor alone (`clock-floor.ts`), in the same unit: what is written for good is judged by it. */
  floorMs(): number;
  /** The task with this issuer and id, read anew each time; `undefined` where there is none. */
  taskOf(issuer: string, id: string): Task | undefined | StoreFailure;
  /** The task with the token of that digest and its history, read anew in one statement; `undefined` where there is no such task. */
  useStateOf(issuer: string, id: string, jtiDigest: string): UseState | undefined | StoreFailure;
  /**
   * Asks once what others have written, for all calls of `useStateOf` until `turnOver`, which nothing may be awaited before:
   * whatever is judged by it had been received when it was asked, so that an end that was acknowledged before counts.
   */
  turn(): void;
  turnOver(): void;
  tokenOf(jtiDigest: string): TokenOfTask | undefined | StoreFailure;
  tasks(filter: TaskFilter): readonly Task[] | StoreFailure;
  /** The tasks that are active or suspended now, the newest first; at most `limit` and 1,000. */
  openTasks(filter: OpenTaskFilter, limit: number): readonly Task[] | StoreFailure;
  /** How many tasks there are; three rows are read, however many there are. */
  taskCounts(): TaskCounts | StoreFailure;
  /** What the file takes of the disk. */
  size(): StateSize | StoreFailure;
  /** The static secrets that were seen, the last seen first; at most `limit`. */
  staticSecrets(limit: number): readonly SecretSighting[] | StoreFailure;
  /** `hmac-sha-256:` and the base64url digest of a secret under the key of this file: the same after every restart. */
  digestOf(secret: string): string;
  /** Random, made with the file: which numbers of an outbox the ledger has, it knows by file. */
  fileId(): string | StoreFailure;
  /** The number of the last record that was ever put into the outbox; 0 before the first. It never goes down. */
  outboxEnd(): number | StoreFailure;
  /** When the file was restored from a backup, milliseconds since the Unix epoch by the floor; `null` where it never was. */
  restoredAtMs(): number | null | StoreFailure;
  /** The records that wait to be handed to the ledger, with a number above `after`, in their order; at most `limit`. */
  outbox(after: number, limit: number): readonly OutboxRecord[] | StoreFailure;
  /** The first records of a task that wait in the outbox; at most `limit`. */
  recordsOf(taskId: string, limit: number): readonly WaitingRecord[] | StoreFailure;
  close(): void;
}

/**
 * Tasks, tokens and budgets in one file. Every write is one transaction with its records, on disk when its call returns, or
 * nothing of it is; the records wait in an outbox until the ledger has them.
 */
export interface Store extends StoreReader {
  /**
   * Writes a task, its first token and the records of both: before the token is signed. A part of a task is a `conflict`
   * where that task is not active or has 1,000 open parts, and `refused` where it would outlive it by deadline or idle limit.
   */
  insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null | StoreFailure;
  /**
   * The same of a part that is handed on with a token of the task it is a part of, whose budgets pay for it in the same
   * transaction: both happen, or neither. `ended` also where that token is dead, `changed` as with `insertToken`.
   */
  insertPart(
    part: Task,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    handed: HandedOn,
    decidedBy?: Premises,
  ): null | SpendProblem | StoreFailure;
  /**
   * Writes a further token of a task and its records: before it is signed. A `conflict` where there is no such task, it is
   * not active, or its generation is no longer the token's; `changed` where what it was decided by no longer holds.
   */
  insertToken(
    key: TaskKey,
    token: IssuedToken,
    records: readonly EncodedRecord[],
    decidedBy?: Premises,
  ): null | StoreFailure;
  /**
   * Applies the event and writes its record. An end or a suspension reaches every open part of the task in the same
   * transaction, each with its own record; a resume reaches none. A resume is a conflict where the code of its cause does not
   * lift what suspended the task (`task/cause.ts`). `undefined` where there is no such task, `changed` as with `insertToken`.
   */
  applyTaskEvent(
    key: TaskKey,
    event: TaskEvent,
    by: string,
    decidedBy?: Premises,
  ): TaskEnd | TaskConflict | undefined | StoreFailure;
  /**
   * Makes of what the task has what `contextAfter` says of the saying, with the event it brings about, if any, in the same
   * transaction. The task after both; a conflict where it has ended, `undefined` where there is none, `refused` where there
   * is no room for it, `changed` as with `insertToken`.
   */
  setContext(
    key: TaskKey,
    saying: Saying,
    event?: TaskEvent & { readonly kind: 'suspend' | 'revoke' },
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure;
  /**
   * Sets the risk of an open task; a conflict where it has ended, `undefined` where there is none, `changed` as with `insertToken`.
   */
  setRisk(
    key: TaskKey,
    risk: TaskRisk,
    cause: Cause,
    by: string,
    decidedBy?: Premises,
  ): Task | TaskConflict | undefined | StoreFailure;
  /**
   * Has one token count as revoked from now on, at every look of this process: what `revokeToken` writes may come later. It cannot fail,
   * is forgotten with the process, and of more than 16,384 tokens for those that were not looked at for the longest.
   */
  refuseToken(jtiDigest: string): void;
  /** Revokes one token; again is the same again. `false` where it is not known. */
  revokeToken(jtiDigest: string, cause: Cause, by: string): boolean | StoreFailure;
  /**
   * Remembers a key until an instant of the floor; `seen` where it was remembered already. Keys whose time has passed are forgotten;
   * with 100,000 of one kind it fails as `full`, so the caller must refuse what it cannot remember.
   */
  rememberOnce(kind: 'signal', key: string, untilMs: number): 'new' | 'seen' | StoreFailure;
  /**
   * Counts all of the spends and adds the entry to the history, where the task is active, the token alive, every limit
   * holds and the history is still of the version of the entry; and else does nothing. `refused` where a number is not
   * whole or out of range.
   */
  spend(
    key: TaskKey,
    jtiDigest: string,
    spends: readonly Spend[],
    entry?: HistoryEntry,
  ): null | SpendProblem | StoreFailure;
  /**
   * The same, once for each decision: one that counts already counts no second time, for 10 minutes, and the answer is `null` again. A
   * problem takes nothing, so that the same use, or one that was decided anew, may be settled by the same decision later.
   */
  settle(
    decisionId: string,
    key: TaskKey,
    use: { readonly jtiDigest: string; readonly spends: readonly Spend[]; readonly entry?: HistoryEntry | undefined },
  ): null | SpendProblem | StoreFailure;
  /**
   * Has all that is written in `work` go to disk together, when this returns: one wait for the disk for many uses. Nothing may be
   * awaited or thrown in it. What it answers meanwhile holds where this is `null`, and else none of it does.
   */
  together(work: () => void): null | StoreFailure;
  /** Writes sightings of static secrets; of more than 10,000 secrets those go that were not seen for the longest. */
  writeSecrets(due: readonly DueSecret[]): null | StoreFailure;
  /** Ends the open tasks whose deadline or idle limit has passed, at most 1,000 in one call; how many it ended. */
  endExpired(): number | StoreFailure;
  /**
   * One step of pruning, bounded to some hundred rows. It deletes tasks that were declared themselves and ended `keepMs` ago or
   * longer, by both clocks, with their parts, tokens, budgets and history. Kept are tasks with a token whose time is not over by both
   * clocks and a minute, those with a record in the outbox, and whatever such a task is a part of.
   */
  prune(keepMs: number): Pruned | StoreFailure;
  /** Gives up to 1 MiB that is free back to the disk, where more than a reserve is; whether there is more of it. */
  shrink(): boolean | StoreFailure;
  /** Marks the file as in use by this process, where the mark is not there yet; a later start checks the whole file unless `close` took it away. */
  markServing(): null | StoreFailure;
  /** Puts records into the outbox whose making is no other write. */
  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure;
  /** Forgets the records of the outbox up to that number: the ledger has them. */
  forget(upTo: number): null | StoreFailure;
  /**
   * The tasks were used at these instants, so their idle time starts anew. Costs a write only where one of them has an idle
   * limit.
   */
  touchTasks(used: ReadonlyMap<string, number>): null | StoreFailure;
}
