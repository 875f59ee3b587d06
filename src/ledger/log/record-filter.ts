import { indexKey, keyBytes } from '../index-key.ts';
import { recordBytesIn } from '../leaf.ts';

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
export interface RecordCondition {
  readonly where: string;
  readonly values: readonly (string | number | Uint8Array)[];
}

const LEAF = 'CAST(bytes AS TEXT)';

/** A member of a record where it is of a type, and NULL else. */
const member = (name: string, types: string): string => {
  const path = `'$.record.${name}'`;
  return `CASE WHEN json_type(${LEAF}, ${path}) IN (${types}) THEN json_extract(${LEAF}, ${path}) END`;
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
];

/**
 * What of a filter SQLite can tell of a row. A leaf that is no JSON any more meets what is asked of its members, where it has
 * the keys of it: whoever asks for records is told of one that cannot be read, and no query fails of it.
 */
export function recordConditionOf(filter: RecordFilter): RecordCondition {
  const keys = keysOf(filter);
  const members = terms.flatMap(([name, sql]) => {
    const value = filter[name];
    return value === undefined ? [] : [{ sql, value }];
  });
  const asked = members.map(({ sql }) => sql).join(' AND ');
  const where = [
    'seq >= ?',
    // Without reading the leaf; the end of one key and the beginning of the next may be the same as another.
    ...keys.map(() => 'instr(keys, ?) > 0'),
    ...(asked === '' ? [] : [`CASE WHEN json_valid(${LEAF}) THEN ${asked} ELSE TRUE END`]),
  ];
  return {
    where: where.join(' AND '),
    values: [filter.fromSeq ?? 0, ...keys.map((key) => keyBytes([key])), ...members.map(({ value }) => value)],
  };
}

/** The keys of all records that are asked for, that of the fewest records first; empty where they need have none. */
export function keysOf({ decisionId, traceId, task }: RecordFilter): readonly number[] {
  return [
    ...(decisionId === undefined ? [] : [indexKey('decisionId', decisionId)]),
    ...(traceId === undefined ? [] : [indexKey('traceId', traceId)]),
    ...(task === undefined ? [] : [indexKey('task', task)]),
  ];
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
