/** Options of a hub. Instants are of the monotonic clock of this process. */
export interface FeedHubOptions {
  readonly epoch: string;
  /** The head of the feed when the hub is made. */
  readonly position: number;
  /** Its mark. Default none. */
  readonly mark?: string;
  readonly leaseMs: number;
  /** Added to each lease before its sidecar counts as fenced. */
  readonly marginMs: number;
  /** Most tasks and tokens that a sidecar holds. */
  readonly maxHeld: number;
  /** The same of all sidecars together. */
  readonly maxHeldInAll: number;
  /**
   * When every lease has run out that an earlier process gave. Before that no change is enforced: sidecars may hold cards of which this hub
   * knows nothing.
   */
  readonly inheritedUntilMs: number;
}

/** Most tasks and tokens that a sidecar holds, and all together. */
export const HELD_BOUNDS: Pick<FeedHubOptions, 'maxHeld' | 'maxHeldInAll'> = {
  maxHeld: 262_144,
  maxHeldInAll: 4_194_304,
};
