import { messageOfFault } from '../runtime/repeatedly.ts';
import type { Cause } from '../task/cause.ts';
import type { After } from '../runtime/timers.ts';
import type { Authority, Upkeep } from './authority.ts';
import { ReportLane } from './report-lane.ts';
import type { LaneEntry } from './report-lane.ts';
import type { UsesOfToken } from './reported-uses.ts';
import { SecretNotes } from './secret-notes.ts';
import { isStoreFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { TaskKey } from './store.ts';
import type { DueSecret, SeenSecret } from './secret-sighting.ts';
import type { TaskStates } from './task-states.ts';

/** Kinds of reports: sightings of static secrets, revocations after stolen tokens, uses of tasks, and uses of tokens. */
const REPORT_KINDS = ['secrets', 'revocation', 'idle', 'uses'] as const;
/** A kind of report. */
export type ReportKind = (typeof REPORT_KINDS)[number];

/** Result of a report: written to disk, failed and to be retried, or dropped for lack of room or time. */
export type ReportResult = 'written' | 'failed' | 'dropped';

/** The writes that revoke stolen tokens: two writes, or a single write that does both. */
type Revoking =
  | Pick<Authority, 'revokeToken' | 'applyTaskEvent'>
  | { readonly revokeStolen: (revocation: Revocation) => Promise<null | StoreFailure> };

/** The writes of reports. */
export interface ReportTarget {
  readonly authority: Pick<Authority & Upkeep, 'nowMs' | 'writeSecrets' | 'touchTasks'> & Revoking;
  readonly states: Pick<TaskStates, 'refuse'>;
  /** Writes the uses of tokens that this process knows; absent if no other process reads them. */
  readonly writeUses?: ((uses: readonly UsesOfToken[]) => Promise<null | StoreFailure>) | undefined;
}

/** Options of reports. */
export interface ReportOptions {
  readonly after: After;
  /** Receives a line when a kind cannot be written, when it can again, and for what is dropped at the end. */
  readonly log: (line: string) => void;
  /** Receives each try and each drop, for metrics. */
  readonly onResult?: (kind: ReportKind, result: ReportResult, count: number) => void;
}

/** A stolen token and what to do about it. */
export interface Revocation {
  readonly key: TaskKey;
  readonly jtiDigest: string;
  /** Whether to revoke the task too. */
  readonly isOfTask: boolean;
  readonly cause: Cause;
  /** The workload that presented the token. */
  readonly presentedBy: string;
}

type UsedTask = readonly [task: string, atMs: number];

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
/** Most writes of one kind in a row. The rest waits for a later turn of the event loop. */
const MAX_IN_A_ROW = 16;

/**
 * Background writes. They are queued and written after the answers of a turn, each kind in its own transactions, at most one
 * transaction of a kind at a time. A failed write denies nobody: it is retried with back-off (100 ms, doubled each time, at most
 * 30 s), logged once until it succeeds, and counted. Queues are bounded in total and for each owner (the agent that causes the
 * reports). A report beyond that is dropped and counted.
 *
 * `revoke` refuses a stolen token in this process at once, before it is written. Other processes see it once it is written.
 *
 * Lifecycle: any method at any time. `flush` tries once to write all that waits. `close` once, before the authority is closed: it
 * tries once more and drops the rest.
 */
export class Reports {
  readonly #target: ReportTarget;
  readonly #options: ReportOptions;
  readonly #notes = new SecretNotes();
  readonly #lanes = {
    secrets: new ReportLane<DueSecret>({ max: 1_024, maxPerOwner: 64, batch: 64, merge: summed }),
    revocation: new ReportLane<Revocation>({ max: 4_096, maxPerOwner: 64, batch: 1, merge: first }),
    idle: new ReportLane<UsedTask>({ max: 16_384, maxPerOwner: 16_384, batch: 1_024, merge: later }),
    uses: new ReportLane<UsesOfToken>({ max: 16_384, maxPerOwner: 16_384, batch: 256, merge: latest }),
  };
  readonly #faults = new Map<ReportKind, { failures: number; cancel: () => void }>();
  /** Writes in progress, at most one of each kind. Each resolves to whether all succeeded. */
  readonly #underWay = new Map<ReportKind, Promise<boolean>>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(target: ReportTarget, options: ReportOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Number of reports that wait for a write to begin. */
  get queued(): number {
    return REPORT_KINDS.reduce((sum, kind) => sum + this.#lanes[kind].size, 0);
  }

  /** Reports static secrets seen in a call. Each is written at most once a minute, and at most ten new secrets a second. */
  seen(seen: readonly SeenSecret[]): void {
    for (const due of this.#notes.due(seen, this.#target.authority.nowMs())) {
      const { digest, action, agent } = due.secret;
      this.#added('secrets', this.#lanes.secrets.add(`${digest} ${action} ${agent}`, due, agent));
    }
  }

  /** Refuses a stolen token in this process from now on, and revokes it in the file soon. */
  revoke(revocation: Revocation): void {
    this.#target.states.refuse(revocation.jtiDigest);
    this.#added('revocation', this.#lanes.revocation.add(revocation.jtiDigest, revocation, revocation.presentedBy));
  }

  /** Reports when the tasks were last used. */
  used(used: ReadonlyMap<string, number>): void {
    for (const entry of used) this.#added('idle', this.#lanes.idle.add(entry[0], entry, ''));
  }

  /** Reports what this process knows of the uses of a token. */
  usesOf(uses: UsesOfToken): void {
    this.#added('uses', this.#lanes.uses.add(uses.jtiDigest, uses, ''));
  }

  /** Tries once to write everything that waits, after the writes in progress. Never rejects. */
  async flush(): Promise<void> {
    await Promise.all(REPORT_KINDS.map((kind) => this.#flush(kind)));
  }

  /** Tries once more to write what waits, and drops the rest. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    for (const { cancel } of this.#faults.values()) cancel();
    await this.flush();
    for (const { cancel } of this.#faults.values()) cancel();
    for (const kind of REPORT_KINDS) {
      const lane = this.#lanes[kind];
      if (lane.size === 0) continue;
      this.#options.onResult?.(kind, 'dropped', lane.size);
      this.#options.log(`${lane.size} ${texts[kind]} could not be written and are dropped`);
      lane.clear();
    }
  }

  #added(kind: ReportKind, isAdded: boolean): void {
    if (!isAdded) this.#options.onResult?.(kind, 'dropped', 1);
    this.#wake();
  }

  #wake(): void {
    if (!this.#isClosed) this.#cancel ??= this.#options.after(0, this.#run);
  }

  readonly #run = (): void => {
    this.#cancel = null;
    // A kind that failed waits for its own retry.
    for (const kind of REPORT_KINDS) if (!this.#faults.has(kind)) void this.#write(kind);
  };

  async #flush(kind: ReportKind): Promise<void> {
    await this.#underWay.get(kind);
    while (this.#lanes[kind].size > 0 && (await this.#write(kind))) continue;
  }

  /** Starts to write a kind, or joins its write in progress. Resolves to whether all succeeded; never rejects. */
  #write(kind: ReportKind): Promise<boolean> {
    const underWay = this.#underWay.get(kind);
    if (underWay !== undefined) return underWay;
    const begun = this.#writeSome(kind).finally(() => this.#underWay.delete(kind));
    this.#underWay.set(kind, begun);
    return begun;
  }

  async #writeSome(kind: ReportKind): Promise<boolean> {
    for (let left = MAX_IN_A_ROW; left > 0 && this.#lanes[kind].size > 0; left -= 1) {
      if (!(await this.#writeBatch(kind))) return false;
    }
    if (this.#lanes[kind].size > 0) this.#wake();
    return true;
  }

  #writeBatch(kind: ReportKind): Promise<boolean> {
    const { authority } = this.#target;
    switch (kind) {
      case 'secrets':
        return this.#tried(kind, this.#lanes.secrets, (due) => authority.writeSecrets(due));
      case 'revocation':
        return this.#tried(kind, this.#lanes.revocation, ([revocation]) => revocation && this.#revoked(revocation));
      case 'idle':
        return this.#tried(kind, this.#lanes.idle, (used) => authority.touchTasks(new Map(used)));
      case 'uses':
        return this.#tried(kind, this.#lanes.uses, (uses) => this.#target.writeUses?.(uses));
      default:
        return kind satisfies never;
    }
  }

  async #tried<T>(kind: ReportKind, lane: ReportLane<T>, write: (items: readonly T[]) => unknown): Promise<boolean> {
    const batch = lane.take();
    const problem = await writeProblem(() => write(batch.map(({ item }) => item)));
    this.#options.onResult?.(kind, problem === null ? 'written' : 'failed', batch.length);
    if (problem === null) {
      this.#recovered(kind);
      return true;
    }
    this.#putBack(kind, lane, batch);
    this.#failed(kind, problem);
    return false;
  }

  /** Puts failed reports back at the end, so that a report which cannot be written delays no other. Their room may be taken by now. */
  #putBack<T>(kind: ReportKind, lane: ReportLane<T>, batch: readonly LaneEntry<T>[]): void {
    const dropped = batch.filter(({ key, item, owner }) => !lane.add(key, item, owner)).length;
    if (dropped > 0) this.#options.onResult?.(kind, 'dropped', dropped);
  }

  /**
   * Revokes the token and then, if the operator chose that, its task. Both writes are idempotent: a failed report is repeated
   * whole.
   */
  async #revoked(revocation: Revocation): Promise<unknown> {
    const { authority } = this.#target;
    if ('revokeStolen' in authority) return authority.revokeStolen(revocation);
    const { key, jtiDigest, isOfTask, cause } = revocation;
    const revoked = await authority.revokeToken(jtiDigest, cause, 'remit');
    if (isStoreFailure(revoked) || !isOfTask) return revoked;
    return authority.applyTaskEvent(key, { kind: 'revoke', cause }, 'remit');
  }

  #failed(kind: ReportKind, problem: string): void {
    const before = this.#faults.get(kind);
    before?.cancel();
    if (before === undefined) this.#options.log(`${texts[kind]} cannot be written and will be retried: ${problem}`);
    const failures = (before?.failures ?? 0) + 1;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), MAX_RETRY_MS);
    const cancel = this.#isClosed ? () => undefined : this.#options.after(delayMs, () => void this.#write(kind));
    this.#faults.set(kind, { failures, cancel });
  }

  #recovered(kind: ReportKind): void {
    const fault = this.#faults.get(kind);
    if (fault === undefined) return;
    fault.cancel();
    this.#faults.delete(kind);
    this.#options.log(`${texts[kind]} are written again`);
  }
}

const texts: Readonly<Record<ReportKind, string>> = {
  secrets: 'the static secrets that were seen',
  revocation: 'revocations of stolen tokens',
  idle: 'idle times of tasks',
  uses: 'uses of tokens, for sidecars that see them later',
};

const summed = (before: DueSecret, now: DueSecret): DueSecret => ({ ...now, times: before.times + now.times });
const latest = (before: UsesOfToken, now: UsesOfToken): UsesOfToken => (before.uses > now.uses ? before : now);
const first = <T>(before: T): T => before;
const later = (before: UsedTask, now: UsedTask): UsedTask => (before[1] > now[1] ? before : now);

async function writeProblem(write: () => unknown): Promise<string | null> {
  try {
    const answer = await write();
    return isStoreFailure(answer) ? answer.detail : null;
  } catch (error) {
    return messageOfFault(error);
  }
}
