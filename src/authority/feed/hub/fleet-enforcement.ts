import type { ReplicaReport } from '../../../core/fleet/fleet-report.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { PendingChanges } from './pending-changes.ts';
import type { Receipt } from '../../../core/fleet/receipt.ts';
import { receiptCounts } from './receipts.ts';
import type { ReplicaBoard } from './replica-board.ts';
import { ReplicaMarks } from './replica-marks.ts';
import { detailsOf, ReplicaReports } from './replica-reports.ts';

/** Parts of an enforcement. */
export interface EnforcementOptions {
  readonly board: ReplicaBoard;
  readonly pending: PendingChanges;
  /** Every change up to here is enforced by the hub of this authority. */
  readonly enforcedHere: () => number;
  /** The receipt of this authority's hub, for a change that it has processed. */
  readonly receiptHere: (seq: number, root: string) => Receipt;
  /** A synced commit, which also publishes what was reported. Gives the head that it saw. */
  readonly beat: () => Promise<number | StoreFailure>;
  /** Processes the feed up to a head. Gives whether it could. */
  readonly pollTo: (head: number) => Promise<boolean>;
  readonly head: () => Promise<number | StoreFailure>;
  /** The receipt of this authority once it is enforced here, or after lease and margin. */
  readonly enforcedLocally: (roots: readonly string[]) => Promise<Receipt | StoreFailure>;
  readonly monotonicMs: () => number;
  readonly leaseMs: number;
  /** Added to a lease before it counts as over. */
  readonly marginMs: number;
  readonly wait: (ms: number) => Promise<void>;
  readonly version: string;
  /** Sidecars that follow this authority. */
  readonly sidecars: () => number;
}

const PUBLISH_MS = 20;
const LOOK_MS = 10;
/** An authority that is silent for so many times lease and margin is taken off the list. It joins again with its next beat. */
const FORGOTTEN_AFTER = 20;

/**
 * Ends with receipts over several authorities: each publishes how far its sidecars are, and the authority that answers waits for all of them.
 * Lifecycle: `run` once, which resolves after `close`.
 */
export class FleetEnforcement {
  readonly #options: EnforcementOptions;
  readonly #marks: ReplicaMarks;
  readonly #reports = new ReplicaReports();
  readonly #fencedAfterMs: number;
  /** When this authority last made a commit, by the monotonic clock. */
  #saidMs: number;
  #published = -1;
  #currentUntilMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: EnforcementOptions) {
    this.#options = options;
    const { board, leaseMs, marginMs, monotonicMs } = options;
    this.#saidMs = monotonicMs();
    this.#fencedAfterMs = leaseMs + marginMs;
    this.#marks = new ReplicaMarks(board.id, marginMs);
    board.givesLeases(leaseMs);
  }

  /** Publishes how far this authority is, as it changes, and at least so often that the others know that it runs. */
  async run(): Promise<void> {
    const { enforcedHere, monotonicMs, wait } = this.#options;
    const fencedAfterMs = this.#fencedAfterMs;
    let isDue = true;
    let lookedMs = Number.NEGATIVE_INFINITY;
    while (!this.#isClosed) {
      if (monotonicMs() - lookedMs > fencedAfterMs / 4) {
        lookedMs = monotonicMs();
        await this.#look(Infinity);
      }
      const enforced = enforcedHere();
      if (isDue || enforced !== this.#published || monotonicMs() - this.#saidMs > fencedAfterMs / 4) {
        isDue = !(await this.#publish(enforced));
        if (!isDue) this.#saidMs = monotonicMs();
      }
      await wait(PUBLISH_MS);
    }
  }

  /**
   * Whether this authority has processed every change that counts as enforced at all of them. INVARIANT: like the lease of a sidecar, this
   * runs from before a synced commit that this authority has caught up with, so that the others no longer wait for it once it is over.
   */
  get isCurrent(): boolean {
    return this.#options.monotonicMs() < this.#currentUntilMs;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** For how long this authority has made no commit. */
  commitAgeMs(): number {
    return this.#options.monotonicMs() - this.#saidMs;
  }

  /** Why no lease is renewed; `null` if leases are renewed. */
  problem(): string | null {
    const ageMs = this.commitAgeMs();
    return ageMs <= this.#fencedAfterMs
      ? null
      : `the database has taken no commit of this authority for ${Math.round(ageMs / 1_000)} s: no lease is renewed`;
  }

  /** All authorities as seen here, those that are longest silent or furthest behind first. */
  replicas(position: number): readonly ReplicaReport[] {
    return this.#reports.all(position, this.#options.monotonicMs());
  }

  /** As `Followers.enforced`, for the sidecars of all authorities. */
  async enforced(roots: readonly string[]): Promise<Receipt | StoreFailure> {
    const { beat, board, enforcedLocally, head, monotonicMs, wait } = this.#options;
    const seq = await head();
    if (isStoreFailure(seq)) return seq;
    const untilMs = monotonicMs() + 2 * this.#fencedAfterMs;
    let local = await enforcedLocally(roots);
    for (;;) {
      if (isStoreFailure(local)) return local;
      const isElsewhere = await this.#look(seq);
      const isDone = local.enforced && isElsewhere;
      // INVARIANT: a synced commit follows the reading, since the list of an older copy of the database may lack authorities.
      const isEnforced = isDone && !isStoreFailure(await beat());
      if (isEnforced || monotonicMs() >= untilMs || this.#isClosed) {
        const found = await board.receiptsOf(roots, seq);
        const others = isStoreFailure(found) ? [] : found.filter(({ replica }) => replica !== board.id);
        return { ...receiptCounts([local, ...others]), enforced: isEnforced };
      }
      await wait(LOOK_MS);
      // The feed could not be read for a while.
      if (!local.enforced) local = await enforcedLocally(roots);
    }
  }

  /**
   * Reads the marks of all authorities. INVARIANT: a beat counts as seen only after it was read, so that its leases began before that. Gives
   * whether a change is enforced at the others by this very reading: an earlier reading that ends later may know fewer of them.
   */
  async #look(seq: number): Promise<boolean> {
    const { board, monotonicMs } = this.#options;
    const marks = await board.marks();
    if (isStoreFailure(marks)) return false;
    this.#marks.seen(marks, monotonicMs());
    this.#reports.seen(marks, monotonicMs());
    const isEnforced = this.#marks.isEnforced(seq, monotonicMs());
    for (const id of this.#marks.silentFor(FORGOTTEN_AFTER, monotonicMs())) await board.leave(id);
    return isEnforced;
  }

  async #publish(enforced: number): Promise<boolean> {
    const { beat, board, leaseMs, monotonicMs, pending, pollTo, receiptHere, sidecars, version } = this.#options;
    const receipts = pending
      .takeUpTo(enforced)
      .map(({ root, seq }) => ({ seq, receipt: receiptHere(seq, root) }))
      .filter(({ receipt }) => receipt.holders > 0)
      .map(({ receipt: { acknowledged, fenced, holders }, seq }) => ({ seq, holders, acknowledged, fenced }));
    // INVARIANT: the receipts before the mark, so that a reader of the mark finds them.
    if (receipts.length > 0 && isStoreFailure(await board.addReceipts(receipts))) return false;
    board.report(enforced);
    board.describe(detailsOf({ version, sidecars: sidecars() }));
    const beganMs = monotonicMs();
    const head = await beat();
    if (isStoreFailure(head)) return false;
    this.#published = enforced;
    if (await pollTo(head)) this.#currentUntilMs = beganMs + leaseMs;
    return true;
  }
}
