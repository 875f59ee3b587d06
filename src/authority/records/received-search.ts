import { isProblem } from '../../core/runtime/problem.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import type { LedgerLeaf } from '../../core/ledger/proof/leaf.ts';
import { isOfMode, isOfReason } from '../../core/ledger/log/segment/record-filter.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { allNeedlesOf, hasAsked, hasNeedles } from '../../core/ledger/search/record-query.ts';
import type { ReceivedLog } from './received-logs.ts';

/** A record of a received log. */
export interface ReceivedRecord {
  /** Origin of the log. */
  readonly log: string;
  readonly seq: number;
  /** The leaf. */
  readonly bytes: Uint8Array;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The limit and the order of a search. */
export interface ReceivedOrder {
  readonly limit: number;
  readonly isNewestFirst: boolean;
}

/**
 * The matching records of received logs by time: the last, newest first, or the first. Reads all records, without the index of
 * `SearchedReceived`. A malformed record matches nothing; verification finds it.
 */
export function foundInReceived(
  logs: Iterable<ReceivedLog>,
  filter: RecordFilter,
  order: ReceivedOrder,
): readonly ReceivedRecord[] {
  let found: ReceivedRecord[] = [];
  for (const record of matchingInReceived(logs, filter)) {
    found.push(record);
    if (found.length >= 2 * order.limit + SLACK) found = byTime(found, order);
  }
  return byTime(found, order);
}

/** The matching records of received logs, log by log; nothing of them is kept. */
export function* matchingInReceived(logs: Iterable<ReceivedLog>, filter: RecordFilter): Generator<ReceivedRecord> {
  const needles = allNeedlesOf(filter);
  for (const { origin, stored } of logs) {
    for (const entry of stored.entries()) {
      // Compares bytes first: parsing every record would take ten times as long.
      if (!('seq' in entry) || !hasNeedles(entry.bytes, needles)) continue;
      const leaf = leafFrom(entry.bytes);
      if (isProblem(leaf) || !isMatch(leaf, filter)) continue;
      yield { log: origin, seq: leaf.seq, bytes: entry.bytes, at: recordInstantOf(leaf) };
    }
  }
}

/** The first of these records in an order, at most `limit`. */
export const byTime = <T extends { readonly at: number }>(
  records: readonly T[],
  { limit, isNewestFirst }: ReceivedOrder,
): T[] => records.toSorted((a, b) => (isNewestFirst ? b.at - a.at : a.at - b.at)).slice(0, limit);

/** Records beyond twice the limit after which they are sorted and cut, which bounds the memory. */
const SLACK = 1_000;

const compared = ['task', 'agent', 'action', 'decision', 'decisionId', 'kind', 'traceId'] as const;

/**
 * Whether a record matches. Of `isUnexecuted` it checks only that the record is an allowed use: the caller looks for its outcome.
 */
export function isMatch({ record, seq }: LedgerLeaf, filter: RecordFilter): boolean {
  const { sinceMs, untilMs, reason, fromSeq = 1 } = filter;
  const { at } = record;
  return (
    seq >= fromSeq &&
    compared.every((name) => filter[name] === undefined || record[name] === filter[name]) &&
    isOfReason(record, reason) &&
    isOfMode(record, filter) &&
    hasAsked(record, filter) &&
    (sinceMs === undefined || (typeof at === 'number' && at >= sinceMs)) &&
    (untilMs === undefined || (typeof at === 'number' && at < untilMs))
  );
}

/** When a record was made, in milliseconds since the Unix epoch; 0 if it does not say. */
export const recordInstantOf = ({ record: { at } }: LedgerLeaf): number => (typeof at === 'number' ? at : 0);
