import { clockSteps } from './clock-steps.ts';
import type { OpenedAnchor } from './proof/head-check.ts';
import type { LedgerLeaf } from './proof/leaf.ts';
import type { Remark } from './proof/verdict.ts';

/** Watches the instants that records claim, in log order. */
export interface ClockWatch {
  /** Skips a record whose `at` is not a number. */
  readonly see: (leaf: Pick<LedgerLeaf, 'boot' | 'mono' | 'record' | 'seq'>) => void;
  readonly found: () => { readonly remarks: readonly Remark[]; readonly remarkCount: number };
}

/** Tolerance for the delay of an anchor and for clock differences. */
const TOLERANCE_MS = 60_000;
const MAX_REMARKS = 100;

/**
 * Remarks on backward clock steps (`clockSteps`) and on instants that contradict the anchors: records covered by an anchor
 * existed when it was received, others came later, apart from the anchor's delay. A false clock can therefore go unnoticed only
 * between two anchors. Names the first record of each interval.
 *
 * @param anchors by size; those without an instant are ignored
 */
export function clockWatch(anchors: readonly OpenedAnchor[]): ClockWatch {
  const spans = spansOf(anchors);
  const remarks: Remark[] = [];
  let remarkCount = 0;
  let current = 0;
  const steps = clockSteps();
  const said = { early: -1, late: -1 };
  const add = (seq: number, remark: string): void => {
    if (remarkCount++ < MAX_REMARKS) remarks.push({ seq, remark });
  };
  return {
    see: (leaf) => {
      const { seq } = leaf;
      const { at } = leaf.record;
      if (typeof at !== 'number') return;
      const stepMs = steps.see(leaf);
      if (stepMs !== null) add(seq, `the clock stepped back by ${Math.round(stepMs)} ms`);
      while ((spans[current]?.upTo ?? Number.POSITIVE_INFINITY) < seq) current++;
      const { earliest, latest } = spans[current] ?? unbounded;
      if (at > latest + TOLERANCE_MS && said.late < current) {
        add(seq, `the clock was ahead: the record claims ${at}, its anchor was received at ${latest}`);
        said.late = current;
      }
      if (at < earliest - TOLERANCE_MS && said.early < current) {
        add(
          seq,
          `the clock was behind or an anchor late: the record claims ${at}, the anchor before it was received at ${earliest}`,
        );
        said.early = current;
      }
    },
    found: () => ({ remarks, remarkCount }),
  };
}

/** When the records between two anchors can have been written, in milliseconds since the Unix epoch. */
interface Span {
  /** The last of these records. */
  readonly upTo: number;
  readonly earliest: number;
  readonly latest: number;
}

const unbounded: Span = Object.freeze({
  upTo: Number.POSITIVE_INFINITY,
  earliest: Number.NEGATIVE_INFINITY,
  latest: Number.POSITIVE_INFINITY,
});

function spansOf(anchors: readonly OpenedAnchor[]): readonly Span[] {
  const received = new Map<number, number>();
  for (const { size, atMs } of anchors) {
    if (atMs !== null) received.set(size, Math.min(atMs, received.get(size) ?? atMs));
  }
  // The bound of a later anchor holds for earlier records too.
  let { earliest, latest } = unbounded;
  const latestBy = new Map<number, number>();
  for (const [size, atMs] of [...received].toReversed()) {
    latest = Math.min(latest, atMs);
    latestBy.set(size, latest);
  }
  const spans: Span[] = [];
  for (const [upTo, atMs] of received) {
    spans.push({ upTo, earliest, latest: latestBy.get(upTo) ?? atMs });
    earliest = Math.max(earliest, atMs);
  }
  return [...spans, { ...unbounded, earliest }];
}
