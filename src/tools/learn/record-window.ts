import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import type { PlacedLeaf } from '../../core/ledger/log/segment/segment.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import type { StoredLog } from '../../core/ledger/proof/verification.ts';
import { isObject } from '../../core/runtime/fields.ts';

/** A span of time, in milliseconds since the Unix epoch; the end is exclusive. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Counts of what was read of a ledger and of the logs of its sidecars. */
export interface ReadCounts {
  /** Records in the span, of every kind. */
  records: number;
  uses: number;
  /** Records that could not be parsed. */
  foreign: number;
  /** Record numbers that are missing between others. */
  missing: number;
}

/** Parsed members of a record, which anyone may have written. */
export type ReadRecord = { readonly [name: string]: JsonValue };

/** The records of one log, in order. */
export type RecordSource = (span: Span) => Iterable<PlacedLeaf>;

/** How far the instant of a record may be out of order: a clock may have been set. */
const SLACK_MS = 24 * 3_600_000;
/** Reading ends after this many records in a row past the span. A single late record may be a wrong clock, or a lie. */
const LATE_RECORDS = 10_000;

/** The records of a ledger from the start of a span on, read a few at a time, so that no open statement blocks the writer. */
export const ledgerSource =
  (log: LogReader): RecordSource =>
  ({ fromMs }) => {
    const [first] = log.found({ sinceMs: fromMs }, { isNewestFirst: false }).take(1);
    return first === undefined ? [] : log.found({ fromSeq: first.seq }, { isNewestFirst: false });
  };

/** The records of the log of a sidecar. */
export const receivedSource = ({ stored }: { readonly stored: StoredLog }): RecordSource =>
  function* received() {
    for (const entry of stored.entries()) if ('seq' in entry) yield entry;
  };

/** The counts to add to, and a callback for the progress. */
export interface Reading {
  readonly counts: ReadCounts;
  /** Called with the number of records read so far. */
  readonly onRecord: (read: number) => void;
  /**
   * The number of the last record that was read of each log, for readings of several spans: readings overlap beyond their spans, and what
   * one has counted as missing or foreign, the next does not count again.
   */
  readonly reached?: Map<RecordSource, number>;
}

/** The records of a span, log by log, each as soon as it is read: nothing of them is kept. Gaps and what cannot be parsed are counted. */
export function* recordsIn(
  sources: readonly RecordSource[],
  span: Span,
  { counts, onRecord, reached = new Map<RecordSource, number>() }: Reading,
): Generator<ReadRecord> {
  for (const source of sources) {
    const before = reached.get(source) ?? -1;
    let next: number | null = null;
    let late = 0;
    for (const { seq, bytes } of source(span)) {
      if (next !== null) counts.missing += Math.max(0, seq - Math.max(next, before + 1));
      next = seq + 1;
      if (seq > before) reached.set(source, seq);
      const record = recordFrom(bytes);
      const at = record?.['at'];
      if (record === null || typeof at !== 'number') {
        if (seq > before) counts.foreign += 1;
        continue;
      }
      late = at >= span.toMs + SLACK_MS ? late + 1 : 0;
      if (late >= LATE_RECORDS) break;
      if (at < span.fromMs || at >= span.toMs) continue;
      counts.records += 1;
      onRecord(counts.records);
      if (record['kind'] === 'use') counts.uses += 1;
      yield record;
    }
  }
}

/** The uses among the records of a span. */
export function* usesIn(sources: readonly RecordSource[], span: Span, reading: Reading): Generator<ReadRecord> {
  for (const record of recordsIn(sources, span, reading)) if (record['kind'] === 'use') yield record;
}

/** When the first and the last use of a span were; `null` without uses. */
export function boundsOf(sources: readonly RecordSource[], span: Span): Span | null {
  let [fromMs, toMs] = [Infinity, -Infinity];
  const counts: ReadCounts = { records: 0, uses: 0, foreign: 0, missing: 0 };
  for (const { at } of usesIn(sources, span, { counts, onRecord: () => undefined })) {
    if (typeof at !== 'number') continue;
    fromMs = Math.min(fromMs, at);
    toMs = Math.max(toMs, at + 1);
  }
  return fromMs === Infinity ? null : { fromMs, toMs };
}

/** When the first and the last use of a span were, by the index of a ledger; `null` without uses. */
export function ledgerBounds(log: LogReader, { fromMs, toMs }: Span): Span | null {
  const ends = [false, true].flatMap((isNewestFirst) =>
    [...log.found({ kind: 'use', sinceMs: fromMs, untilMs: toMs }, { isNewestFirst }).take(1)].map(
      ({ bytes }) => recordFrom(bytes)?.['at'],
    ),
  );
  const instants = ends.filter((at) => typeof at === 'number');
  return instants.length === 0 ? null : { fromMs: Math.min(...instants), toMs: Math.max(...instants) + 1 };
}

/** The smallest span that contains both; `null` if both are `null`. */
export const bothSpans = (one: Span | null, other: Span | null): Span | null =>
  one === null || other === null
    ? (one ?? other)
    : { fromMs: Math.min(one.fromMs, other.fromMs), toMs: Math.max(one.toMs, other.toMs) };

function recordFrom(leaf: Uint8Array): ReadRecord | null {
  try {
    const record: unknown = JSON.parse(Buffer.from(recordBytesIn(leaf)).toString('utf8'));
    // Safe: an object that was parsed from JSON.
    return isObject(record) ? (record as ReadRecord) : null;
  } catch {
    return null;
  }
}
