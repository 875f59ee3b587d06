import type { ReplicaMark } from './replica-board.ts';

interface SeenMark extends ReplicaMark {
  /** When this beat was first seen, by the monotonic clock. */
  readonly sinceMs: number;
}

/**
 * How far the other authorities are, as seen by this authority. An authority whose beat has not changed for its lease and a margin has
 * renewed no lease in that time, so all of its sidecars are fenced. Pure.
 */
export class ReplicaMarks {
  readonly #self: string;
  readonly #marginMs: number;
  #seen: ReadonlyMap<string, SeenMark> = new Map();

  /** @param marginMs added to a lease before it counts as over */
  constructor(self: string, marginMs: number) {
    this.#self = self;
    this.#marginMs = marginMs;
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
    return [...this.#seen.values()].every((mark) => mark.enforcedSeq >= seq || this.#isSilent(mark, monotonicMs, 1));
  }

  /** Those whose beat has not changed for so many times lease and margin. */
  silentFor(times: number, monotonicMs: number): readonly string[] {
    return [...this.#seen.values()].filter((mark) => this.#isSilent(mark, monotonicMs, times)).map(({ id }) => id);
  }

  #isSilent({ leaseMs, sinceMs }: SeenMark, monotonicMs: number, times: number): boolean {
    return monotonicMs - sinceMs >= times * (leaseMs + this.#marginMs);
  }
}
