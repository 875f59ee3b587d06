import type { StoreFailure } from '../sqlite/store-failure.ts';

/** What became of a change at the sidecars that held the task. */
export interface Receipt {
  /** Whether no sidecar can use an older state any more. */
  readonly enforced: boolean;
  readonly holders: number;
  /** Sidecars that have applied the change. */
  readonly acknowledged: number;
  /** Sidecars whose lease has run out instead. */
  readonly fenced: number;
}

/** Where sidecars in other processes use tasks. */
export interface Enforcement {
  /** Waits until no sidecar can use an older state of these root tasks, whose changes are committed, for a bounded time. */
  readonly enforced: (roots: readonly string[]) => Promise<Receipt | StoreFailure>;
  readonly monotonicMs: () => number;
}
