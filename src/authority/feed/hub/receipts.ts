import type { Receipt } from '../../../core/fleet/receipt.ts';
import type { StreamId } from '../sidecar-stream.ts';

/** The counts of several receipts. */
export const receiptCounts = (receipts: readonly Omit<Receipt, 'enforced'>[]): Omit<Receipt, 'enforced'> => ({
  holders: receipts.reduce((sum, { holders }) => sum + holders, 0),
  acknowledged: receipts.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
  fenced: receipts.reduce((sum, { fenced }) => sum + fenced, 0),
});

/** A combined receipt for several changes. */
export const receiptTotal = (receipts: readonly Receipt[]): Receipt => ({
  ...receiptCounts(receipts),
  enforced: receipts.every(({ enforced }) => enforced),
});

/** The sidecars that a change affects. */
interface Affected {
  readonly holders: Iterable<StreamId>;
  readonly fencedMs: number;
}

/** Until when a stream may use what it is told to hold no longer. */
interface Leaving {
  /** What it has to acknowledge. */
  readonly seq: number;
  /** When the leases are over that it got before. */
  readonly fencedMs: number;
}

/** Number of enforced changes whose receipts are kept. */
const KEPT = 4_096;

interface Entry {
  readonly seq: number;
  readonly root: string;
  readonly holders: number;
  /** Holders that have not lost their lease, each with what it has to acknowledge and has not. */
  readonly waiting: Map<StreamId, number>;
  /** When no lease can cover the state before the change any more, by the monotonic clock. */
  readonly fencedMs: number;
  fenced: number;
}

/** The receipts of changes: which holders each change waits for. Pure; no change is forgotten before it is enforced. */
export class Receipts {
  /** In the order of the feed, but for those added late. */
  readonly #entries = new Set<Entry>();
  /** The last change of each root task, if it is kept. */
  readonly #latest = new Map<string, Entry>();
  /** Changes that each stream has to acknowledge. */
  readonly #owed = new Map<StreamId, Set<Entry>>();
  /** Roots of tasks that a stream may not have heard yet that it holds no longer. */
  readonly #leaving = new Map<StreamId, Map<string, Leaving>>();

  /**
   * Notes a change of a root task with its holders, if any, all of which are fenced at `fencedMs`. INVARIANT: a sidecar that has not
   * acknowledged an earlier change of the root is waited for too, even if that change ends its holding: it has not received it yet.
   */
  changed(seq: number, root: string, { holders, fencedMs }: Affected): void {
    const waiting = new Map(this.#latest.get(root)?.waiting);
    for (const [stream, roots] of this.#leaving) {
      const leaving = roots.get(root);
      if (leaving !== undefined && !waiting.has(stream)) waiting.set(stream, leaving.seq);
    }
    for (const stream of holders) waiting.set(stream, seq);
    const entry: Entry = { seq, root, holders: waiting.size, waiting, fencedMs, fenced: 0 };
    this.#entries.add(entry);
    this.#latest.set(root, entry);
    for (const stream of waiting.keys()) this.#owedBy(stream).add(entry);
    this.#forgetOld();
  }

  /**
   * A stream is about to be told that it holds a task of a root no longer. Until it has applied `seq`, or a lease of before is over, changes of
   * the root wait for it.
   */
  leaves(root: string, stream: StreamId, until: Leaving): void {
    const roots = this.#leaving.get(stream) ?? new Map<string, Leaving>();
    this.#leaving.set(stream, roots.set(root, until));
  }

  /** The receipt of the last change of a root task, which also covers its earlier changes; `null` if none is kept. */
  of(root: string): Receipt | null {
    const entry = this.#latest.get(root);
    if (entry === undefined) return null;
    const { holders, waiting, fenced } = entry;
    return { enforced: waiting.size === 0, holders, acknowledged: holders - waiting.size - fenced, fenced };
  }

  /** The stream has applied everything up to a position. */
  acknowledged(stream: StreamId, seq: number): void {
    for (const entry of this.#owed.get(stream) ?? [])
      if ((entry.waiting.get(stream) ?? 0) <= seq) this.#settle(entry, stream);
    this.#left(stream, (leaving) => leaving.seq <= seq);
  }

  /**
   * Settles what waits for leases that have run out.
   * @param fencedMsOf when the last lease of a stream runs out; `Infinity` if it may be renewed
   */
  sweep(monotonicMs: number, fencedMsOf: (stream: StreamId) => number): void {
    for (const [stream, owed] of this.#owed) {
      const isFenced = fencedMsOf(stream) <= monotonicMs;
      for (const entry of owed) {
        if (!isFenced && entry.fencedMs > monotonicMs) continue;
        entry.fenced += 1;
        this.#settle(entry, stream);
      }
    }
    for (const stream of this.#leaving.keys()) this.#left(stream, ({ fencedMs }) => fencedMs <= monotonicMs);
  }

  /** The position of the first change that is not enforced; `null` if all are. */
  get firstWaiting(): number | null {
    let first: number | null = null;
    for (const { seq, waiting } of this.#entries) {
      if (waiting.size > 0 && (first === null || seq < first)) first = seq;
    }
    return first;
  }

  #owedBy(stream: StreamId): Set<Entry> {
    const owed = this.#owed.get(stream) ?? new Set();
    this.#owed.set(stream, owed);
    return owed;
  }

  #left(stream: StreamId, isOver: (leaving: Leaving) => boolean): void {
    const roots = this.#leaving.get(stream);
    if (roots === undefined) return;
    for (const [root, leaving] of roots) if (isOver(leaving)) roots.delete(root);
    if (roots.size === 0) this.#leaving.delete(stream);
  }

  #settle(entry: Entry, stream: StreamId): void {
    entry.waiting.delete(stream);
    const owed = this.#owed.get(stream);
    owed?.delete(entry);
    if (owed?.size === 0) this.#owed.delete(stream);
  }

  #forgetOld(): void {
    for (const entry of this.#entries) {
      if (this.#entries.size <= KEPT || entry.waiting.size > 0) return;
      this.#entries.delete(entry);
      if (this.#latest.get(entry.root) === entry) this.#latest.delete(entry.root);
    }
  }
}
