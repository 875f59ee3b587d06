import type { After } from '../../../core/runtime/timers.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { AuthorityEngine } from '../engine.ts';
import type { FeedHub } from './feed-hub.ts';

/** Pause between beats: each beat answers all pings that arrived before it began. */
const BEAT_MS = 50;

/** Options of beats. */
export interface BeatsOptions {
  readonly hub: FeedHub;
  readonly engine: Pick<AuthorityEngine, 'beat' | 'lost'>;
  /** Processes the feed up to a head. Gives whether it did. */
  readonly pollTo: (head: number) => Promise<boolean>;
  /** Later of wall clock and floor. */
  readonly clockMs: () => number;
  readonly after: After;
  /** Called when a beat has answered pings. */
  readonly onBeat: () => void;
  /** Called if a state file ends before what the hub has processed of it: it has lost commits. No beat follows. */
  readonly onLost: (head: number) => void;
  /** Called with each beat that fails because the database is marked as lacking commits. It may have them again later. */
  readonly onRefused: (lost: string) => void;
}

/** Makes synced commits, one after another, as long as pings wait for a commit. A failed commit is retried. */
export class Beats {
  readonly #options: BeatsOptions;
  #isRunning = false;
  #isDue = false;
  #isClosed = false;

  constructor(options: BeatsOptions) {
    this.#options = options;
  }

  /** A ping has arrived. */
  wanted(): void {
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  close(): void {
    this.#isClosed = true;
  }

  async #run(): Promise<void> {
    const { hub, engine, pollTo, clockMs, after, onBeat, onLost, onRefused } = this.#options;
    this.#isRunning = true;
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      const beat = hub.beatBegins();
      const { position } = hub;
      const head = await engine.beat();
      // INVARIANT: the hub processes only changes that no failover loses, and a commit that is synced sees all of these.
      if (!isStoreFailure(head) && head < position) return onLost(head);
      if (!isStoreFailure(head) && (await pollTo(head))) {
        hub.beatCommitted(beat, head, clockMs());
        onBeat();
      } else {
        this.#isDue = true;
        const lost = engine.lost?.() ?? null;
        if (lost !== null) onRefused(lost);
      }
      await new Promise<void>((resolve) => void after(BEAT_MS, resolve));
    }
    this.#isRunning = false;
  }
}
