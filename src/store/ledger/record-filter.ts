import { recordBytesIn } from '../../ledger/leaf.ts';
import type { PlacedLeaf } from './segment.ts';

/** Which records are asked for: those that have all that is named. */
export interface RecordFilter {
  readonly task?: string | undefined;
  readonly agent?: string | undefined;
  readonly action?: string | undefined;
  readonly decision?: string | undefined;
  readonly decisionId?: string | undefined;
  readonly kind?: string | undefined;
  readonly traceId?: string | undefined;
  /** Of a decision, the error of an OAuth answer, or what a finding is about. */
  readonly reason?: string | undefined;
  /** From this instant on, before that one: milliseconds since the Unix epoch. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** From this record number on. */
  readonly fromSeq?: number | undefined;
}

/** A condition on the columns of `records`. */
export interface Condition {
  readonly where: string;
  readonly values: readonly (string | number)[];
}

const terms: readonly (readonly [keyof RecordFilter, string])[] = [
  ['task', 'task = ?'],
  ['agent', 'agent = ?'],
  ['action', 'action = ?'],
  ['decision', 'decision = ?'],
  ['decisionId', 'decision_id = ?'],
  ['kind', 'kind = ?'],
  ['traceId', 'trace_id = ?'],
  ['sinceMs', 'at_ms >= ?'],
  ['untilMs', 'at_ms < ?'],
  ['fromSeq', 'seq >= ?'],
];

/** What of a filter the columns can tell. */
export function conditionOf(filter: RecordFilter): Condition {
  const named = terms.flatMap(([name, sql]) => {
    const value = filter[name];
    return value === undefined ? [] : [{ sql, value }];
  });
  return { where: named.map(({ sql }) => sql).join(' AND ') || 'TRUE', values: named.map(({ value }) => value) };
}

/** Whether a leaf that meets the condition is one that is asked for: the reason has no column. */
export function isAskedFor({ reason }: RecordFilter, { bytes }: PlacedLeaf): boolean {
  if (reason === undefined) return true;
  try {
    const record: unknown = JSON.parse(Buffer.from(recordBytesIn(bytes)).toString('utf8'));
    if (typeof record !== 'object' || record === null) return false;
    const members = new Map<string, unknown>(Object.entries(record));
    return ['reason', 'error', 'finding'].some((name) => members.get(name) === reason);
  } catch {
    return false;
  }
}
