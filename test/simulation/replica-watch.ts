import type { ReplicaRow } from './replica-list.ts';

interface Seen extends ReplicaRow {
  /** When this beat was first seen. */
  readonly sinceMs: number;
}

/**
 * What an authority knows of the others by their rows. One whose beat does not change for lease and margin is fenced: the leases of its
 * sidecars began before its last beat, and a later beat begins after every commit that was seen since.
 */
export class ReplicaWatch {
  readonly #fencedAfterMs: number;
  #seen: ReadonlyMap<string, Seen> = new Map();

  constructor({ fencedAfterMs }: { readonly fencedAfterMs: number }) {
    this.#fencedAfterMs = fencedAfterMs;
  }

  /** Takes the rows of the others, read in one snapshot. */
  saw(rows: ReadonlyMap<string, ReplicaRow>, monotonicMs: number): void {
    this.#seen = new Map(
      [...rows].map(([id, row]) => {
        const before = this.#seen.get(id);
        return [id, { ...row, sinceMs: before?.beat === row.beat ? before.sinceMs : monotonicMs }];
      }),
    );
  }

  /** Whether the feed up to `seq` is enforced at all others. The rows must be from after its commit. */
  isEnforced(seq: number, monotonicMs: number): boolean {
    return this.#seen
      .values()
      .every(({ enforced, sinceMs }) => enforced >= seq || monotonicMs - sinceMs >= this.#fencedAfterMs);
  }
}
