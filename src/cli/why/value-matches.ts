/** The recorded calls that a value names. */
import { isUuid } from '../../core/decision/uuid.ts';
import { enforcedUse } from '../../core/ledger/enforced-use.ts';
import { useFrom } from '../../core/ledger/recorded-use.ts';
import type { UseRecord } from '../../core/ledger/record.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { readAll } from './read-record.ts';
import type { PlacedRecord, SearchedLogs } from './searched-logs.ts';

/** A recorded call. */
export interface Match {
  /** For an observed call, with the decision that enforcing would have made. */
  readonly use: UseRecord;
  /** Whether it passed although enforcing would have denied it, because it was only observed. */
  readonly hasPassed: boolean;
  readonly placed: PlacedRecord;
}

/** What is asked for. */
export interface AskedValue {
  readonly value: string;
  /** The argument that has it; `null` for any, or a segment of the path. */
  readonly argument: string | null;
  readonly within: Pick<RecordFilter, 'sinceMs' | 'untilMs'>;
}

/** The newest calls that a value names, and whether there are more. */
export interface Matches {
  readonly calls: readonly Match[];
  readonly isMore: boolean;
}

/** Most calls that are listed. */
const MAX_MATCHES = 50;

const isTraceId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);

/**
 * The newest calls that a value names: a call with this decision id, else the calls of this trace, else those of this task, else those that have the
 * value as a recorded argument or as a segment of their path. An id of an upstream can look like ours, so the first that names any call counts.
 */
export function matchesOf({ value, argument, within }: AskedValue, logs: SearchedLogs): Matches {
  const id = value.toLowerCase();
  const byValue: RecordFilter = argument === null ? { value } : { args: [{ name: argument, value }] };
  const ids =
    argument !== null ? [] : isUuid(id) ? [{ decisionId: id }, { task: id }] : isTraceId(id) ? [{ traceId: id }] : [];
  for (const filter of [...ids, byValue]) {
    const found = callsOf({ ...filter, ...within, kind: 'use' }, logs);
    if (found.calls.length > 0) return found;
  }
  return NONE;
}

const NONE: Matches = { calls: [], isMore: false };

function callsOf(filter: RecordFilter, logs: SearchedLogs): Matches {
  const found = logs.found(filter, { limit: MAX_MATCHES + 1, isNewestFirst: true });
  const calls = readAll(logs, found.slice(0, MAX_MATCHES), useFrom).map(({ value: use, placed }) =>
    matchOf(use, placed),
  );
  // A denial that withdrew an allow is the answer to the same call.
  const withdrawn = new Set(calls.flatMap(({ use }) => use.withdraws ?? []));
  return { calls: calls.filter(({ use }) => !withdrawn.has(use.decisionId)), isMore: found.length > MAX_MATCHES };
}

function matchOf(use: UseRecord, placed: PlacedRecord): Match {
  const enforced = enforcedUse(use);
  return { use: enforced, hasPassed: use.decision === 'allow' && enforced.decision === 'deny', placed };
}

/**
 * The call to explain: the only match, or if all are of one task, whose intent is the same, the newest that was allowed, else the newest. `null` if
 * they are of several tasks, or of none.
 */
export function meantOf({ calls, isMore }: Matches): Match | null {
  const [newest] = calls;
  if (newest === undefined || (calls.length === 1 && !isMore)) return newest ?? null;
  const tasks = new Set(calls.map(({ use }) => use.task));
  if (isMore || tasks.size > 1 || newest.use.task === null) return null;
  return calls.find(({ use, hasPassed }) => use.decision === 'allow' || hasPassed) ?? newest;
}
