import { indexKey, keyBytes } from '../../index-key.ts';
import { recordMembersIn } from '../../search/index-builder.ts';
import { hasAsked, isQuery, needlesOf } from '../../search/record-query.ts';
import type { RecordQuery } from '../../search/record-query.ts';
import type { RecordMembers } from '../../search/query-member.ts';

/** Which records match: those that match every given field. */
export interface RecordFilter extends RecordQuery {
  readonly task?: string | undefined;
  readonly agent?: string | undefined;
  readonly action?: string | undefined;
  readonly decision?: string | undefined;
  readonly decisionId?: string | undefined;
  readonly kind?: string | undefined;
  readonly traceId?: string | undefined;
  /** The reason of a decision, the error of an OAuth answer, or the kind of a finding. */
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

const IN_BYTES = 'instr(bytes, ?) > 0';
const IN_BYTES_OR_PERCENT = `(${IN_BYTES} OR instr(bytes, x'25') > 0)`;

/** SQL for a member of a record, NULL if it is of another type. */
const member = (name: string, types: string): string => {
  const path = `'$.record.${name}'`;
  return `CASE WHEN json_type(${LEAF}, ${path}) IN (${types}) THEN json_extract(${LEAF}, ${path}) END`;
};

const text = (name: string): string => member(name, "'text'");
const instant = member('at', "'integer', 'real'");

type ComparedField =
  'task' | 'agent' | 'action' | 'decision' | 'decisionId' | 'kind' | 'traceId' | 'sinceMs' | 'untilMs';

const terms: readonly (readonly [ComparedField, string])[] = [
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
 * keys and the needles decide. No query fails because of it, and its reader reports the corrupt record.
 */
export function recordConditionOf(filter: RecordFilter): RecordCondition {
  const keys = keysOf(filter);
  const members = terms.flatMap(([name, sql]) => {
    const value = filter[name];
    return value === undefined ? [] : [{ sql, value }];
  });
  const asked = members.map(({ sql }) => sql).join(' AND ');
  const needles = needlesOf(filter);
  const where = [
    'seq >= ?',
    // A prefilter that does not read the leaf. It can match across the boundary of two keys; the condition below decides.
    ...keys.map(() => 'instr(keys, ?) > 0'),
    ...needles.map(({ orPercent }) => (orPercent ? IN_BYTES_OR_PERCENT : IN_BYTES)),
    ...(asked === '' ? [] : [`CASE WHEN json_valid(${LEAF}) THEN ${asked} ELSE TRUE END`]),
  ];
  return {
    where: where.join(' AND '),
    values: [
      filter.fromSeq ?? 0,
      ...keys.map((key) => keyBytes([key])),
      ...needles.map(({ text: needle }) => Buffer.from(needle, 'utf8')),
      ...members.map(({ value }) => value),
    ],
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

/**
 * Whether a leaf that meets the SQL condition matches. SQL does not decide on the reason, which can be in several members, on the
 * mode, which enforced uses lack, nor on the conditions of a `RecordQuery`. A damaged leaf matches unless `reason`, `mode` or
 * `would` is given, so that its reader reports it.
 */
export function isAskedFor(filter: RecordFilter, { bytes }: { readonly bytes: Uint8Array }): boolean {
  const { reason, mode, would } = filter;
  const isPlain = reason === undefined && mode === undefined && would === undefined;
  const isAsked = isQuery(filter);
  if (isPlain && !isAsked) return true;
  const record = recordMembersIn(bytes);
  if (record === null) return isPlain;
  return isOfReason(record, reason) && isOfMode(record, filter) && (!isAsked || hasAsked(record, filter));
}

const TEXTS = ['task', 'agent', 'action', 'decision', 'decisionId', 'kind', 'traceId'] as const;

/**
 * Whether a leaf matches by its bytes alone: what a search finds in an intact log, without the columns and the indexes that no
 * checkpoint covers.
 */
export function isMatchingLeaf(
  filter: RecordFilter,
  leaf: { readonly seq: number; readonly bytes: Uint8Array },
): boolean {
  const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY, fromSeq = 1 } = filter;
  if (leaf.seq < fromSeq || !isAskedFor(filter, leaf)) return false;
  const record = recordMembersIn(leaf.bytes);
  if (record === null) return true;
  const { at } = record;
  const isTimed = filter.sinceMs !== undefined || filter.untilMs !== undefined;
  return (
    TEXTS.every((name) => filter[name] === undefined || record[name] === filter[name]) &&
    (!isTimed || (typeof at === 'number' && at >= sinceMs && at < untilMs))
  );
}

const REASONS = ['reason', 'error', 'finding'] as const;

/** Whether a record has a reason, in one of its members. */
export const isOfReason = (members: RecordMembers, reason: string | undefined): boolean =>
  reason === undefined || REASONS.some((name) => members[name] === reason);

/** Whether a record is of a use in the given mode, to which enforcing would have answered `would`. */
export function isOfMode(members: RecordMembers, { mode, would }: RecordFilter): boolean {
  const isObserved = members['mode'] === 'observe';
  if (mode !== undefined && (members['kind'] !== 'use' || isObserved !== (mode === 'observe'))) return false;
  if (would === undefined) return true;
  const answer: unknown = members['would'];
  return (
    isObserved &&
    typeof answer === 'object' &&
    answer !== null &&
    (('decision' in answer && answer.decision === would) || ('reason' in answer && answer.reason === would))
  );
}
