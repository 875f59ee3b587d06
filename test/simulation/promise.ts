import { serverOf } from './order-rows.ts';
import type { Schedule } from './schedule.ts';
import { EPOCH_MS, WINDOW_CALLS, windowAt } from './terms.ts';

/** What an agent does with a token. `send` is forbidden once the history has what `read` adds. */
export type UseKind = 'plain' | 'call' | 'once' | 'read' | 'send';

/** A use that was allowed. */
export interface AllowedUse {
  readonly sidecar: string;
  readonly taskId: string;
  readonly root: string;
  readonly jtiDigest: string;
  /** Of the token. */
  readonly generation: number;
  readonly kind: UseKind;
  /** When it was decided, before it was settled. */
  readonly decidedMs: number;
}

/** What an operator must not be told of an ended task. */
const UNENDED: ReadonlySet<string> = new Set(['active', 'suspended', 'none']);

/** Most calls of a task. */
const MAX_CALLS = 4;
/** The same if sidecars are lent shares of them. */
export const SHARED_CALLS = 120;

/** An authority, as far as it can notice a loss. */
interface Witness {
  /** When it began. */
  readonly bornMs: number;
  /** When its last beat began of which it knew at an instant that it was committed. */
  readonly beatBefore: (ms: number) => number;
}

/** What is promised, checked with each use that is allowed. It knows what was acknowledged, and nothing of how the fleet works. */
export class FleetPromise {
  readonly #schedule: Schedule;
  /** By task: tokens up to this generation may no longer be used. `Infinity` for an ended task. */
  readonly #ended = new Map<string, number>();
  readonly #revoked = new Set<string>();
  readonly #forged = new Set<string>();
  readonly #risky = new Set<string>();
  readonly #calls = new Map<string, number>();
  /** Calls of all tasks, by window. */
  readonly #inWindows = new Map<number, number>();
  readonly #once = new Set<string>();
  /** By root task: when the first `read` was allowed. */
  readonly #read = new Map<string, number>();
  /** By sidecar: the last instant at which anything of an authority arrived, or could have. */
  readonly #reached = new Map<string, number>();
  readonly violations: string[] = [];
  /** Texts of the records of what was acknowledged. */
  readonly #records = new Set<string>();
  #recordsLostMs = -Infinity;
  /** Servers of the stops that are acknowledged, and not being lifted, by the ids of the stops. */
  readonly #stopped = new Map<string, string>();
  #stopsLostMs = -Infinity;
  /** Tasks whose end is committed, in a database that was not restored since, with when that was acknowledged. */
  readonly #ends = new Map<string, number>();
  /** The same of tasks that are declared. */
  readonly #declared = new Map<string, number>();
  #restoredMs = -Infinity;
  /** Since when the database has lacked commits, which nobody has noticed. */
  #lossyFromMs = Infinity;
  #isLossy = false;
  /** What was decided until then may be spent again. */
  #lossyUntilMs = -Infinity;
  allowed = 0;
  acknowledged = 0;
  /** Most calls of a task. */
  maxCalls = MAX_CALLS;
  /** Whether a process is left that has seen what the database lacks. */
  isLossWitnessed = (): boolean => true;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** The database has lost commits, which nobody has noticed yet, or an operator has made that safe. Until then what was spent may be spent again. */
  loss(isUnnoticed: boolean): void {
    if (!isUnnoticed) {
      this.#ends.clear();
      this.#declared.clear();
      this.#restoredMs = this.#schedule.nowMs;
    }
    // Of several losses in a row, who began after the first has not seen what that one lacks.
    this.#lossyFromMs = isUnnoticed ? Math.min(this.#lossyFromMs, this.#schedule.nowMs) : Infinity;
    this.#isLossy = isUnnoticed;
    this.#lossyUntilMs = this.#schedule.nowMs;
  }

  broken(what: string): void {
    if (this.violations.length < 3) this.violations.push(`at ${Math.round(this.#schedule.nowMs)} ms ${what}`);
  }

  /** It is acknowledged that tokens of the task up to this generation are refused everywhere; parts are ended with their root. */
  taskEnded(taskId: string, generation: number): void {
    this.acknowledged += 1;
    this.#ended.set(taskId, Math.max(generation, this.#ended.get(taskId) ?? 0));
  }

  tokenRevoked(jtiDigest: string): void {
    this.acknowledged += 1;
    this.#revoked.add(jtiDigest);
  }

  /** It is acknowledged that the task is of high risk, which forbids plain uses. */
  taskRisky(taskId: string): void {
    this.acknowledged += 1;
    this.#risky.add(taskId);
  }

  /** It is acknowledged that a server is stopped; it was asked for at an instant. */
  stopped(id: string, server: string, askedMs: number): void {
    this.acknowledged += 1;
    if (askedMs > this.#stopsLostMs) this.#stopped.set(id, server);
  }

  /** An operator asks to lift a stop. */
  lifting(id: string): void {
    this.#stopped.delete(id);
  }

  /** A backup is put in place, which may lack stops: also those that are acknowledged a little later. */
  stopsLost(): void {
    this.#stopsLostMs = this.#schedule.nowMs;
    this.#stopped.clear();
  }

  /** A call to a server without a task is allowed. */
  bareUse(sidecar: string, server: string): void {
    this.allowed += 1;
    this.#checkStop(server, () => `${sidecar} allows a call to \`${server}\` without a task`);
  }

  /** A token that no authority has issued. */
  forged(jtiDigest: string): void {
    this.#forged.add(jtiDigest);
  }

  /** What has this record is acknowledged; it was asked for at an instant. */
  recorded(text: string, askedMs: number): void {
    if (askedMs > this.#recordsLostMs) this.#records.add(text);
  }

  /** A task is declared; it was asked for at an instant. */
  declarationCommitted(taskId: string, askedMs: number): void {
    if (askedMs > this.#restoredMs) this.#declared.set(taskId, this.#schedule.nowMs);
  }

  /** The end of a task is committed; it was asked for at an instant. */
  endCommitted(taskId: string, askedMs: number): void {
    if (askedMs > this.#restoredMs && !this.#ends.has(taskId)) this.#ends.set(taskId, this.#schedule.nowMs);
  }

  /** The database has lost records, with all else that was committed of late: also what is acknowledged a little later. */
  recordsLost(): void {
    this.#recordsLostMs = this.#schedule.nowMs;
    this.#records.clear();
  }

  /** All is well again, and the ledgers have all there is. */
  recordsKept(kept: ReadonlySet<string>): void {
    for (const text of this.#records) if (!kept.has(text)) this.broken(`no ledger has the record ${text}`);
  }

  /** An operator who asked at an instant is told the state of a task by an authority. */
  onAnswer(
    taskId: string,
    state: string,
    { askedMs, authority }: { readonly askedMs: number; readonly authority: Witness },
  ): void {
    // Without a loss an old primary may still be asked. One that began later has not seen what an older copy lacks.
    if (!this.#isLossy) return;
    if (authority.bornMs >= this.#lossyFromMs) return;
    if (UNENDED.has(state) && (this.#ends.get(taskId) ?? Infinity) < askedMs)
      this.broken(`an operator is told \`${state}\` of task \`${taskId}\` after its end was acknowledged`);
    // A new task is no change of the feed: a copy that lacks nothing but tasks since the last beat looks like the database to this authority.
    const knownMs = authority.beatBefore(this.#lossyFromMs);
    if (state === 'none' && (this.#declared.get(taskId) ?? Infinity) < Math.min(askedMs, knownMs))
      this.broken(`an operator is told that there is no task \`${taskId}\` although it was acknowledged`);
  }

  /**
   * What each authority tells of a loss, once it had time to: of what one has noticed, all have.
   * @param options.isWitnessed whether a process is left that has seen what is lost
   */
  toldCauses(
    onAnswer: readonly (readonly [authority: string, cause: string | null])[],
    { isWitnessed }: { readonly isWitnessed: boolean },
  ): void {
    const silent = onAnswer.filter(([, cause]) => cause === null).map(([name]) => name);
    if (silent.length > 0 && (isWitnessed || silent.length < onAnswer.length))
      this.broken(`${silent.join(', ')} does not tell that the database lacks commits`);
  }

  heard(sidecar: string): void {
    this.#reached.set(sidecar, this.#schedule.nowMs);
  }

  /** Whether it is counted among the calls of its task or window. */
  use(use: AllowedUse, leaseMs: number): boolean {
    this.allowed += 1;
    if (this.#isLossy && !this.isLossWitnessed()) this.#nobodyKnows();
    const { taskId, root, jtiDigest, generation, kind, sidecar } = use;
    const by = (): string => `${sidecar} allows \`${kind}\` with token \`${jtiDigest}\``;
    if (this.#forged.has(jtiDigest)) this.broken(`${by()}, which no authority has issued`);
    if (generation <= (this.#ended.get(taskId) ?? 0))
      this.broken(`${by()} after the end of task \`${taskId}\` was acknowledged`);
    if (generation <= (this.#ended.get(root) === Infinity ? Infinity : 0))
      this.broken(`${by()} after the end of its root task was acknowledged`);
    if (this.#revoked.has(jtiDigest)) this.broken(`${by()} after the revocation of the token was acknowledged`);
    if (kind === 'plain' && this.#risky.has(taskId))
      this.broken(`${by()} after the risk of task \`${taskId}\` was acknowledged`);
    this.#checkStop(serverOf(root), by);
    const silentMs = this.#schedule.nowMs - (this.#reached.get(sidecar) ?? -Infinity);
    if (silentMs > leaseMs) this.broken(`${by()} ${Math.round(silentMs)} ms after it last heard from an authority`);
    return this.#count(use, by);
  }

  /** A call that was counted was not sent, and what it took is put back. It was decided at an instant. */
  unsent(taskId: string, decidedMs: number): void {
    const window = windowAt(EPOCH_MS + decidedMs);
    if (this.maxCalls === Infinity) this.#inWindows.set(window, (this.#inWindows.get(window) ?? 0) - 1);
    this.#calls.set(taskId, (this.#calls.get(taskId) ?? 0) - 1);
  }

  /** The last process has ended that could notice what the database lacks: nothing that was acknowledged before holds any more. */
  #nobodyKnows(): void {
    this.#ended.clear();
    this.#revoked.clear();
    this.#risky.clear();
  }

  #checkStop(server: string, by: () => string): void {
    const isStopped = [...this.#stopped.values()].includes(server);
    if (isStopped) this.broken(`${by()} after the stop of server \`${server}\` was acknowledged`);
  }

  /** A use that is decided in one window and allowed in the next may count in either. */
  #countInWindow(decidedMs: number, by: () => string): void {
    const window = windowAt(EPOCH_MS + this.#schedule.nowMs);
    if (windowAt(EPOCH_MS + decidedMs) !== window) return;
    const calls = (this.#inWindows.get(window) ?? 0) + 1;
    this.#inWindows.set(window, calls);
    if (calls > WINDOW_CALLS) this.broken(`${by()}, which is call ${calls} of ${WINDOW_CALLS} in a window`);
  }

  #count({ kind, taskId, root, jtiDigest, decidedMs }: AllowedUse, by: () => string): boolean {
    if (this.#isLossy || decidedMs <= this.#lossyUntilMs) return false;
    if (kind === 'call' && this.maxCalls === Infinity) this.#countInWindow(decidedMs, by);
    if (kind === 'call') {
      const calls = (this.#calls.get(taskId) ?? 0) + 1;
      this.#calls.set(taskId, calls);
      if (calls > this.maxCalls) this.broken(`${by()}, which is call ${calls} of ${this.maxCalls}`);
    }
    if (kind === 'once') {
      if (this.#once.has(jtiDigest)) this.broken(`${by()}, which was used before`);
      this.#once.add(jtiDigest);
    }
    if (kind === 'read' && !this.#read.has(root)) this.#read.set(root, this.#schedule.nowMs);
    if (kind === 'send' && (this.#read.get(root) ?? Infinity) < decidedMs)
      this.broken(`${by()}, which the history of \`${root}\` forbids`);
    return true;
  }
}
