import { messageOfFault } from '../runtime/repeatedly.ts';
import type { Cause } from '../task/cause.ts';
import type { After } from '../runtime/timers.ts';
import type { Authority, Upkeep } from './authority.ts';
import { ReportLane } from './report-lane.ts';
import type { LaneEntry } from './report-lane.ts';
import { SecretNotes } from './sqlite/secret-table.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { DueSecret, SeenSecret, TaskKey } from './store.ts';
import type { TaskStates } from './task-states.ts';

/** What is reported: the inventory of static secrets, what stolen tokens bring about, when tasks were used. */
const REPORT_KINDS = ['secrets', 'revocation', 'idle'] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

/** What became of a report: it is on disk; it failed and is tried again; it was given up, since there was no room or time. */
export type ReportResult = 'written' | 'failed' | 'dropped';

/** Where reports are written. */
export interface ReportTarget {
  readonly authority: Pick<
    Authority & Upkeep,
    'nowMs' | 'revokeToken' | 'applyTaskEvent' | 'writeSecrets' | 'touchTasks'
  >;
  readonly states: Pick<TaskStates, 'refuse'>;
}

/** What reports are written with. */
export interface ReportOptions {
  readonly after: After;
  /** Told, a line each: once when a kind cannot be written, once when it can be again, and of what is given up at the end. */
  readonly log: (line: string) => void;
  /** Told of each try and of what was given up, for metrics. */
  readonly onResult?: (kind: ReportKind, result: ReportResult, count: number) => void;
}

/** A stolen token, and what is done about it. */
export interface Revocation {
  readonly key: TaskKey;
  readonly jtiDigest: string;
  /** Whether its task ends with it. */
  readonly isOfTask: boolean;
  readonly cause: Cause;
  /** Who presented it. */
  readonly presentedBy: string;
}

type UsedTask = readonly [task: string, atMs: number];

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
/** Writes of one kind in a row; the rest waits for a later turn of the event loop. */
const MAX_IN_A_ROW = 16;

/**
 * Writes that decide nothing. They are queued, and written after the answers of a turn, each kind in transactions of its own and one
 * of a kind at a time. A write that fails denies nobody: it is retried (after 100 ms, then twice as long each time, 30 s at most),
 * logged once until it succeeds, and counted. Queues are bounded in all and by who caused the report; one more is dropped and counted.
 *
 * A stolen token is dead in this process as soon as `revoke` returns, whether that is written yet or not; other processes see it once
 * it is.
 *
 * Lifecycle: any method at any time; `flush` tries once all that waits; `close` once, before the authority is closed: it tries once
 * more and gives up what cannot be written then.
 */
export class Reports {
  readonly #target: ReportTarget;
  readonly #options: ReportOptions;
  readonly #notes = new SecretNotes();
  readonly #lanes = {
    secrets: new ReportLane<DueSecret>({ max: 1_024, maxPerOwner: 64, batch: 64, merge: summed }),
    revocation: new ReportLane<Revocation>({ max: 4_096, maxPerOwner: 64, batch: 1, merge: first }),
    idle: new ReportLane<UsedTask>({ max: 16_384, maxPerOwner: 16_384, batch: 1_024, merge: later }),
  };
  readonly #faults = new Map<ReportKind, { failures: number; cancel: () => void }>();
  /** The writes under way, one of a kind at most; each resolves to whether none failed. */
  readonly #underWay = new Map<ReportKind, Promise<boolean>>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(target: ReportTarget, options: ReportOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Reports that wait for a write to begin. */
  get queued(): number {
    return REPORT_KINDS.reduce((sum, kind) => sum + this.#lanes[kind].size, 0);
  }

  /** Static secrets were seen in a call. Each is written once a minute at most, new ones ten a second at most. */
  seen(seen: readonly SeenSecret[]): void {
    for (const due of this.#notes.due(seen, this.#target.authority.nowMs())) {
      const { digest, action, agent } = due.secret;
      this.#added('secrets', this.#lanes.secrets.add(`${digest} ${action} ${agent}`, due, agent));
    }
  }

  /** A stolen token: refused in this process from now on, and revoked in the file soon. */
  revoke(revocation: Revocation): void {
    this.#target.states.refuse(revocation.jtiDigest);
    this.#added('revocation', this.#lanes.revocation.add(revocation.jtiDigest, revocation, revocation.presentedBy));
  }

  /** The tasks were used at these instants. */
  used(used: ReadonlyMap<string, number>): void {
    for (const entry of used) this.#added('idle', this.#lanes.idle.add(entry[0], entry, ''));
  }

  /** Tries once to write all that waits, after the writes under way. Never rejects. */
  async flush(): Promise<void> {
    await Promise.all(REPORT_KINDS.map((kind) => this.#flush(kind)));
  }

  /** Tries once more to write what waits, and gives up the rest. Never rejects. */
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
      this.#options.log(`${lane.size} ${texts[kind]} could not be written and are given up`);
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

  /** Begins to write what waits of a kind, or joins the writes of that kind under way. Whether none failed; never rejects. */
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
      default:
        return kind satisfies never;
    }
  }

  async #tried<T>(kind: ReportKind, lane: ReportLane<T>, write: (items: readonly T[]) => unknown): Promise<boolean> {
    const batch = lane.take();
    const problem = await problemOf(() => write(batch.map(({ item }) => item)));
    this.#options.onResult?.(kind, problem === null ? 'written' : 'failed', batch.length);
    if (problem === null) {
      this.#recovered(kind);
      return true;
    }
    this.#putBack(kind, lane, batch);
    this.#failed(kind, problem);
    return false;
  }

  /** At the end, so that a report which cannot be written holds up no other. While it was tried, others may have taken its room. */
  #putBack<T>(kind: ReportKind, lane: ReportLane<T>, batch: readonly LaneEntry<T>[]): void {
    const dropped = batch.filter(({ key, item, owner }) => !lane.add(key, item, owner)).length;
    if (dropped > 0) this.#options.onResult?.(kind, 'dropped', dropped);
  }

  /** The task last: whoever finds the token revoked finds what this did, or does it again. */
  async #revoked({ key, jtiDigest, isOfTask, cause }: Revocation): Promise<unknown> {
    const { authority } = this.#target;
    const revoked = await authority.revokeToken(jtiDigest, cause, 'remit');
    if (isStoreFailure(revoked) || !isOfTask) return revoked;
    return authority.applyTaskEvent(key, { kind: 'revoke', cause }, 'remit');
  }

  #failed(kind: ReportKind, problem: string): void {
    const before = this.#faults.get(kind);
    before?.cancel();
    if (before === undefined) this.#options.log(`${texts[kind]} cannot be written, and are tried again: ${problem}`);
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
};

const summed = (before: DueSecret, now: DueSecret): DueSecret => ({ ...now, times: before.times + now.times });
const first = <T>(before: T): T => before;
const later = (before: UsedTask, now: UsedTask): UsedTask => (before[1] > now[1] ? before : now);

async function problemOf(write: () => unknown): Promise<string | null> {
  try {
    const answer = await write();
    return isStoreFailure(answer) ? answer.detail : null;
  } catch (error) {
    return messageOfFault(error);
  }
}
