import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { FeedChange } from '../../../core/state/feed.ts';
import type { AuthorityEngine } from '../engine.ts';

/** A change that may have holders here. */
interface PendingChange {
  readonly seq: number;
  readonly root: string;
}

/**
 * Most changes that are noted. Beyond it the oldest are dropped: their receipts are not published, and nothing waits for them.
 */
const MAX_PENDING = 4_096;

/** The changes whose enforcement this authority has not yet published to the others, in the order of the feed. Pure. */
export class PendingChanges {
  #pending: PendingChange[] = [];

  /** Notes changes as they are processed, the last of them at `position`. */
  processed(changes: readonly FeedChange[], position: number): void {
    const first = position - changes.length + 1;
    for (const [at, { part, root }] of changes.entries())
      if (part !== 'history') this.#pending.push({ seq: first + at, root });
    this.#pending = this.#pending.slice(-MAX_PENDING);
  }

  /** Takes those that are enforced here. */
  takeUpTo(enforcedSeq: number): readonly PendingChange[] {
    const taken = this.#pending.filter(({ seq }) => seq <= enforcedSeq);
    this.#pending = this.#pending.filter(({ seq }) => seq > enforcedSeq);
    return taken;
  }
}

/** The same engine, which also notes the changes that are read from it. */
export const noting = <E extends Pick<AuthorityEngine, 'feedAfter'>>(engine: E, pending: PendingChanges): E => ({
  ...engine,
  feedAfter: async (position) => {
    const found = await engine.feedAfter(position);
    if (found !== null && !isStoreFailure(found)) pending.processed(found.changes, found.position);
    return found;
  },
});
