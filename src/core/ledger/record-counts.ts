import { isProblem } from '../runtime/problem.ts';
import { leafFrom } from './proof/leaf.ts';
import { aligned, printable } from './timeline-text.ts';

/** A group of records with equal members, and their number. */
export interface RecordCount {
  readonly kind: string;
  readonly decision: string | null;
  readonly reason: string | null;
  /** Set for uses that were only observed. */
  readonly mode: 'observe' | null;
  /** What enforcing would have answered to them. */
  readonly would: string | null;
  readonly wouldReason: string | null;
  readonly count: number;
}

/** Most groups; records of further groups are of the kind `other`. */
const MAX_GROUPS = 1_000;
const MAX_TEXT = 64;

type Members = { readonly [name: string]: unknown };

/** Counts records by kind, decision, reason and mode. Bounded; what cannot be parsed is of the kind `unreadable`. */
export class RecordCounts {
  /** Number of all records. */
  all = 0;
  readonly #groups = new Map<string, RecordCount>();

  add({ bytes }: { readonly bytes: Uint8Array }): void {
    this.all += 1;
    const leaf = leafFrom(bytes);
    const group = isProblem(leaf) ? plain('unreadable') : groupOf(leaf.record);
    const key = JSON.stringify(group);
    if (this.#groups.has(key) || this.#groups.size < MAX_GROUPS) this.#add(key, group);
    else this.#add('other', plain('other'));
  }

  /** The groups, the largest first. */
  get groups(): readonly RecordCount[] {
    return [...this.#groups.values()].toSorted((one, other) => other.count - one.count);
  }

  #add(key: string, group: Omit<RecordCount, 'count'>): void {
    this.#groups.set(key, { ...group, count: (this.#groups.get(key)?.count ?? 0) + 1 });
  }
}

const plain = (kind: string): Omit<RecordCount, 'count'> => ({
  kind,
  decision: null,
  reason: null,
  mode: null,
  would: null,
  wouldReason: null,
});

function groupOf(record: Members): Omit<RecordCount, 'count'> {
  const isObserved = record['kind'] === 'use' && record['mode'] === 'observe';
  const would: unknown = isObserved ? record['would'] : null;
  // Safe: an object of parsed JSON.
  const answer = typeof would === 'object' && would !== null ? (would as Members) : {};
  return {
    kind: textIn(record['kind']) ?? 'unreadable',
    decision: textIn(record['decision']),
    reason: textIn(record['reason']),
    mode: isObserved ? 'observe' : null,
    would: textIn(answer['decision']),
    wouldReason: textIn(answer['reason']),
  };
}

const textIn = (value: unknown): string | null => (typeof value === 'string' ? value.slice(0, MAX_TEXT) : null);

/** The groups as a table for people, with the sum. */
export function countTable({ all, groups }: Pick<RecordCounts, 'all' | 'groups'>): readonly string[] {
  const rows = groups.map(({ kind, decision, reason, mode, would, wouldReason, count }) =>
    [
      kind,
      decision ?? '-',
      reason ?? '-',
      mode === null ? '-' : `observed, would ${would ?? '?'}`,
      wouldReason ?? '-',
      String(count),
    ].map(printable),
  );
  return aligned([
    ['KIND', 'DECISION', 'REASON', 'MODE', 'WOULD REASON', 'RECORDS'],
    ...rows,
    ['', '', '', '', 'all', String(all)],
  ]);
}
