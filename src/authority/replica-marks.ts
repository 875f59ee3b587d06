import type { ReplicaMark } from './replica-board.ts';

interface SeenMark extends ReplicaMark {
  /** When this beat was first seen, by the monotonic clock. */
  readonly sinceMs: number;
}

/**
 * How far the other authorities are, as seen by this one. One whose beat has not changed for a lease and its margin has renewed no lease in
 * that time, so that all of its sidecars are fenced. Pure.
 */
export class ReplicaMarks {
  readonly #self: string;
  readonly #fencedAfterMs: number;
  #seen: ReadonlyMap<string, SeenMark> = new Map();

  /** @param fencedAfterMs lease and margin */
  constructor(self: string, fencedAfterMs: number) {
    this.#self = self;
    this.#fencedAfterMs = fencedAfterMs;
  }

  /** Notes the marks as read at an instant. */
  seen(marks: readonly ReplicaMark[], monotonicMs: number): void {
    const others = marks.filter(({ id }) => id !== this.#self);
    this.#seen = new Map(
      others.map((mark) => {
        const before = this.#seen.get(mark.id);
        return [mark.id, { ...mark, sinceMs: before?.beat === mark.beat ? before.sinceMs : monotonicMs }];
      }),
    );
  }

  /** Whether no sidecar of another authority can use the state before a change. */
  isEnforced(seq: number, monotonicMs: number): boolean {
    return [...this.#seen.values()].every(
      ({ enforcedSeq, sinceMs }) => enforcedSeq >= seq || monotonicMs - sinceMs >= this.#fencedAfterMs,
    );
  }

  /** Those whose beat has not changed for so long. */
  silentFor(ms: number, monotonicMs: number): readonly string[] {
    return [...this.#seen.values()].filter(({ sinceMs }) => monotonicMs - sinceMs >= ms).map(({ id }) => id);
  }
}
