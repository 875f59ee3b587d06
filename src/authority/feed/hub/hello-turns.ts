import { FairQueue } from '../../../core/runtime/collections/fair-queue.ts';
import { QueueNode } from '../../../core/runtime/collections/linked-queue.ts';
import type { After } from '../../../core/runtime/timers.ts';
import { TokenBucket } from '../../../core/runtime/collections/token-bucket.ts';

/** Sidecars that begin a stream each second, of all identities. */
const PER_SECOND = 200;
/** Most waiting sidecars of an identity: as many as begin in a second, half of the time after which a sidecar asks another authority. */
const MAX_WAITING_OF_ONE = 200;
/** Interval at which waiting sidecars get their turn. */
const TURN_MS = 10;

/** A sidecar that waits. */
interface PendingHello {
  readonly peer: string;
  readonly begin: () => void;
}

/**
 * The turns of sidecars that say Hello. Identities take turns, so that a flood of one identity delays another by a single Hello. At most 200
 * of an identity wait.
 */
export class HelloTurns {
  readonly #bucket: TokenBucket;
  readonly #after: After;
  readonly #queue = new FairQueue<PendingHello>();
  readonly #waiting = new Map<string, number>();
  #isTurning = false;

  constructor({ monotonicMs, after }: { readonly monotonicMs: () => number; readonly after: After }) {
    this.#bucket = new TokenBucket({ burst: PER_SECOND, perSecond: PER_SECOND, monotonicMs });
    this.#after = after;
  }

  /** Waits for the turn of a sidecar. `false` at once if too many of its identity wait. */
  async turn(peer: string): Promise<boolean> {
    if (this.#queue.length === 0 && this.#bucket.take()) return true;
    const waiting = this.#waiting.get(peer) ?? 0;
    if (waiting >= MAX_WAITING_OF_ONE) return false;
    this.#waiting.set(peer, waiting + 1);
    await new Promise<void>((begin) => {
      this.#queue.join(new QueueNode({ peer, begin }), peer);
      this.#turnLater();
    });
    return true;
  }

  #turnLater(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    this.#after(TURN_MS, () => {
      this.#isTurning = false;
      while (this.#queue.length > 0 && this.#bucket.take()) this.#next();
      if (this.#queue.length > 0) this.#turnLater();
    });
  }

  #next(): void {
    const next = this.#queue.shift();
    if (next === undefined) return;
    const left = (this.#waiting.get(next.peer) ?? 1) - 1;
    if (left > 0) this.#waiting.set(next.peer, left);
    else this.#waiting.delete(next.peer);
    next.begin();
  }
}
