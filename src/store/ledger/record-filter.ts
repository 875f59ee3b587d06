import { indexKey } from '../../ledger/index-key.ts';
import { recordBytesIn } from '../../ledger/leaf.ts';

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

/** A condition on rows of `records`. */
export interface Condition {
  readonly where: string;
  readonly values: readonly (string | number)[];
}

const LEAF = 'CAST(bytes AS TEXT)';

/** A member of a record where it is of a type, and NULL else: also where the leaf was damaged, which is no failure of a query. */
const member = (name: string, types: string): string => {
  const path = `'$.record.${name}'`;
  const value = `CASE WHEN json_type(${LEAF}, ${path}) IN (${types}) THEN json_extract(${LEAF}, ${path}) END`;
  return `CASE WHEN json_valid(${LEAF}) THEN ${value} END`;
};

const text = (name: string): string => member(name, "'text'");
const instant = member('at', "'integer', 'real'");

const terms: readonly (readonly [keyof RecordFilter, string])[] = [
  ['task', `${text('task')} = ?`],
  ['agent', `${text('agent')} = ?`],
  ['action', `${text('action')} = ?`],
  ['decision', `${text('decision')} = ?`],
  ['decisionId', `${text('decisionId')} = ?`],
  ['kind', `${text('kind')} = ?`],
  ['traceId', `${text('traceId')} = ?`],
  ['sinceMs', `${instant} >= ?`],
  ['untilMs', `${instant} < ?`],
  ['fromSeq', 'seq >= ?'],
];

/** What of a filter SQLite can tell of a row. */
export function conditionOf(filter: RecordFilter): Condition {
  const named = terms.flatMap(([name, sql]) => {
    const value = filter[name];
    return value === undefined ? [] : [{ sql, value }];
  });
  return { where: named.map(({ sql }) => sql).join(' AND ') || 'TRUE', values: named.map(({ value }) => value) };
}

/** The key under which all records that are asked for are in the index; `null` where none of them has to be. */
export function keyOf({ decisionId, traceId, task }: RecordFilter): number | null {
  // The one with the fewest records first.
  if (decisionId !== undefined) return indexKey('decisionId', decisionId);
  if (traceId !== undefined) return indexKey('traceId', traceId);
  return task === undefined ? null : indexKey('task', task);
}

/** Whether a leaf that meets the condition is one that is asked for: the reason is one of several members. */
export function isAskedFor({ reason }: RecordFilter, { bytes }: { readonly bytes: Uint8Array }): boolean {
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
