import { indexKey, keyBytes } from '../../index-key.ts';
import { recordBytesIn } from '../../proof/leaf.ts';

/** Which records match: those that match every given field. */
export interface RecordFilter {
  readonly task?: string | undefined;
  readonly agent?: string | undefined;
  readonly action?: string | undefined;
  readonly decision?: string | undefined;
  readonly decisionId?: string | undefined;
  readonly kind?: string | undefined;
  readonly traceId?: string | undefined;
  /** Of a decision, the error of an OAuth answer, or the subject of a finding. */
  readonly reason?: string | undefined;
  /** `observe`: uses that were only observed; `enforce`: all other uses. */
  readonly mode?: 'observe' | 'enforce' | undefined;
  /** What enforcing would have answered to an observed use: `allow`, `deny` or a reason. */
  readonly would?: string | undefined;
  /** Start inclusive, end exclusive: milliseconds since the Unix epoch. */
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

/** SQL for a member of a record, NULL if it is of another type. */
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
 * The part of a filter that SQLite can evaluate. A corrupt leaf (no longer JSON) has no members to compare, so its index
 * keys alone decide. No query fails because of it, and its reader reports the corrupt record.
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
    // A prefilter that does not read the leaf. It can match across the boundary of two keys; the condition below decides.
    ...keys.map(() => 'instr(keys, ?) > 0'),
    ...(asked === '' ? [] : [`CASE WHEN json_valid(${LEAF}) THEN ${asked} ELSE TRUE END`]),
  ];
  return {
    where: where.join(' AND '),
    values: [filter.fromSeq ?? 0, ...keys.map((key) => keyBytes([key])), ...members.map(({ value }) => value)],
  };
}

/** The keys that all matching records have, the most selective first; empty if there are none. */
export function keysOf({ decisionId, traceId, task }: RecordFilter): readonly number[] {
  return [
    ...(decisionId === undefined ? [] : [indexKey('decisionId', decisionId)]),
    ...(traceId === undefined ? [] : [indexKey('traceId', traceId)]),
    ...(task === undefined ? [] : [indexKey('task', task)]),
  ];
}

/** Whether a leaf that meets the SQL condition matches: the reason can be in several members, and observing is in none if it is not so. */
export function isAskedFor(filter: RecordFilter, { bytes }: { readonly bytes: Uint8Array }): boolean {
  const { reason, mode, would } = filter;
  if (reason === undefined && mode === undefined && would === undefined) return true;
  try {
    const record: unknown = JSON.parse(Buffer.from(recordBytesIn(bytes)).toString('utf8'));
    if (typeof record !== 'object' || record === null) return false;
    const members = new Map<string, unknown>(Object.entries(record));
    return isOfReason(members, reason) && isOfMode(members, filter);
  } catch {
    return false;
  }
}

const REASONS = ['reason', 'error', 'finding'] as const;

/** The members of a record, by name. */
export type RecordMembersByName = ReadonlyMap<string, unknown>;

/** Whether a record has a reason, in one of its members. */
export const isOfReason = (members: RecordMembersByName, reason: string | undefined): boolean =>
  reason === undefined || REASONS.some((name) => members.get(name) === reason);

/** Whether a record is of a use in a mode, and would have been answered so. */
export function isOfMode(members: RecordMembersByName, { mode, would }: RecordFilter): boolean {
  const isObserved = members.get('mode') === 'observe';
  if (mode !== undefined && (members.get('kind') !== 'use' || isObserved !== (mode === 'observe'))) return false;
  if (would === undefined) return true;
  const answer: unknown = members.get('would');
  return (
    isObserved &&
    typeof answer === 'object' &&
    answer !== null &&
    (('decision' in answer && answer.decision === would) || ('reason' in answer && answer.reason === would))
  );
}
