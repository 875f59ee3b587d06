import { messageOfFault } from '../runtime/repeatedly.ts';
import type { Cause } from '../task/cause.ts';
import type { After } from '../runtime/timers.ts';
import { SecretNotes } from './sqlite/secret-table.ts';
import { SideLane } from './side-lane.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { DueSecret, SeenSecret, Store, TaskKey } from './store.ts';

/** What is written beside the decisions: the inventory of static secrets, what stolen tokens bring about, when tasks were used. */
const SIDE_KINDS = ['secrets', 'revocation', 'idle'] as const;
export type SideKind = (typeof SIDE_KINDS)[number];

/** What became of a side write: it is on disk; it failed and is tried again; it was given up, since there was no room or time. */
export type SideResult = 'written' | 'failed' | 'dropped';

/** What side writes work with. */
export interface SideWriteOptions {
  readonly after: After;
  /** Told, a line each: once when a kind cannot be written, once when it can be again, and of what is given up at the end. */
  readonly log: (line: string) => void;
  /** Told of each try and of what was given up, for metrics. */
  readonly onResult?: (kind: SideKind, result: SideResult, count: number) => void;
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

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
/** So many transactions in one turn of the event loop; what is left waits for the next. */
const MAX_AT_ONCE = 16;

/**
 * Writes of the state that no decision waits for, each kind in transactions of its own, after the answers of a turn: one that fails
 * denies nobody, is tried again (after 100 ms, then twice as long each time, 30 s at most), logged once until it goes on, and counted.
 * Bounded in all and by whom they come from; one more is dropped and counted.
 *
 * A stolen token is dead in this process from `revoke` on, whether that is written yet or not; other processes see it once it is.
 *
 * Lifecycle: any method at any time; `flush` tries all that waits once; `close` once, before the store is closed, gives up what
 * cannot be written then.
 */
export class SideWrites {
  readonly #store: Store;
  readonly #options: SideWriteOptions;
  readonly #notes = new SecretNotes();
  readonly #secrets = new SideLane<DueSecret>({ max: 1_024, maxPerOwner: 64, batch: 64, merge: summed });
  readonly #revocations = new SideLane<Revocation>({ max: 4_096, maxPerOwner: 64, batch: 1, merge: first });
  readonly #used = new SideLane<readonly [task: string, atMs: number]>({
    max: 16_384,
    maxPerOwner: 16_384,
    batch: 1_024,
    merge: later,
  });
  readonly #faults = new Map<SideKind, { failures: number; cancel: () => void }>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(store: Store, options: SideWriteOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Writes that wait. */
  get queued(): number {
    return this.#secrets.size + this.#revocations.size + this.#used.size;
  }

  /** Static secrets were seen in a call. Each is written once a minute at most, new ones ten a second at most. */
  seen(seen: readonly SeenSecret[]): void {
    for (const due of this.#notes.due(seen, this.#store.nowMs())) {
      const { digest, action, agent } = due.secret;
      this.#added('secrets', this.#secrets.add(`${digest} ${action} ${agent}`, due, agent));
    }
  }

  /** A stolen token: refused in this process from now on, and revoked in the file soon. */
  revoke(revocation: Revocation): void {
    this.#store.refuseToken(revocation.jtiDigest);
    this.#added('revocation', this.#revocations.add(revocation.jtiDigest, revocation, revocation.presentedBy));
  }

  /** The tasks were used at these instants. */
  used(used: ReadonlyMap<string, number>): void {
    for (const entry of used) this.#added('idle', this.#used.add(entry[0], entry, ''));
  }

  /** Tries once to write all that waits. */
  flush(): void {
    for (const kind of SIDE_KINDS) while (this.#wrote(kind)) continue;
  }

  close(): void {
    this.#cancel?.();
    for (const { cancel } of this.#faults.values()) cancel();
    this.flush();
    this.#isClosed = true;
    for (const [kind, lane] of this.#lanes()) {
      if (lane.size === 0) continue;
      this.#options.onResult?.(kind, 'dropped', lane.size);
      this.#options.log(`${lane.size} ${texts[kind]} could not be written and are given up`);
      lane.clear();
    }
  }

  #lanes() {
    return [
      ['secrets', this.#secrets],
      ['revocation', this.#revocations],
      ['idle', this.#used],
    ] as const;
  }

  #added(kind: SideKind, isAdded: boolean): void {
    if (!isAdded) this.#options.onResult?.(kind, 'dropped', 1);
    if (!this.#isClosed) this.#cancel ??= this.#options.after(0, this.#run);
  }

  readonly #run = (): void => {
    this.#cancel = null;
    let left = MAX_AT_ONCE;
    for (const kind of SIDE_KINDS) {
      if (this.#faults.has(kind)) continue;
      while (left > 0 && this.#wrote(kind)) left -= 1;
    }
    if (left === 0) this.#cancel = this.#options.after(0, this.#run);
  };

  /** Whether a transaction of a kind was written, so that there may be another. */
  #wrote(kind: SideKind): boolean {
    switch (kind) {
      case 'secrets':
        return this.#tried(kind, this.#secrets, (due) => this.#store.writeSecrets(due));
      case 'revocation':
        return this.#tried(kind, this.#revocations, ([revocation]) => revocation && this.#revoked(revocation));
      case 'idle':
        return this.#tried(kind, this.#used, (used) => this.#store.touchTasks(new Map(used)));
      default:
        return kind satisfies never;
    }
  }

  #tried<T>(kind: SideKind, lane: SideLane<T>, write: (items: readonly T[]) => unknown): boolean {
    const batch = lane.take();
    if (batch.length === 0) return false;
    const problem = problemOf(() => write(batch.map(({ item }) => item)));
    this.#options.onResult?.(kind, problem === null ? 'written' : 'failed', batch.length);
    if (problem === null) {
      this.#recovered(kind);
      return true;
    }
    // At the end, so that what cannot be written for its own sake holds up no other.
    for (const { key, item, owner } of batch) lane.add(key, item, owner);
    this.#failed(kind, problem);
    return false;
  }

  /** The task last: whoever finds the token revoked finds what this did, or does it again. */
  #revoked({ key, jtiDigest, isOfTask, cause }: Revocation): unknown {
    const revoked = this.#store.revokeToken(jtiDigest, cause, 'remit');
    if (isStoreFailure(revoked) || !isOfTask) return revoked;
    return this.#store.applyTaskEvent(key, { kind: 'revoke', cause }, 'remit');
  }

  #failed(kind: SideKind, problem: string): void {
    const before = this.#faults.get(kind);
    before?.cancel();
    if (before === undefined) this.#options.log(`${texts[kind]} cannot be written, and are tried again: ${problem}`);
    const failures = (before?.failures ?? 0) + 1;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), MAX_RETRY_MS);
    const cancel = this.#options.after(delayMs, () => {
      while (this.#wrote(kind)) continue;
    });
    this.#faults.set(kind, { failures, cancel });
  }

  #recovered(kind: SideKind): void {
    const fault = this.#faults.get(kind);
    if (fault === undefined) return;
    fault.cancel();
    this.#faults.delete(kind);
    this.#options.log(`${texts[kind]} are written again`);
  }
}

const texts: Readonly<Record<SideKind, string>> = {
  secrets: 'the static secrets that were seen',
  revocation: 'revocations of stolen tokens',
  idle: 'idle times of tasks',
};

const summed = (before: DueSecret, now: DueSecret): DueSecret => ({ ...now, times: before.times + now.times });
const first = <T>(before: T): T => before;
const later = (before: readonly [string, number], now: readonly [string, number]) =>
  before[1] > now[1] ? before : now;

function problemOf(write: () => unknown): string | null {
  try {
    const answer = write();
    return isStoreFailure(answer) ? answer.detail : null;
  } catch (error) {
    return messageOfFault(error);
  }
}
