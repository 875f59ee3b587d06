import type { LedgerRecord } from './record.ts';

/** A stored record: its place and its bytes, as `encodedRecord` made them. */
export interface StoredRecord {
  /** From 1, without a gap in the ledger; `null` for one on its way there. */
  readonly seq: number | null;
  readonly bytes: Uint8Array;
}

/** A record with its place. */
export type TimelineEntry = LedgerRecord & { readonly seq: number | null };

/** The records of a task, in the order of the ledger. Only bytes that `encodedRecord` made may come in here. */
export const timelineFrom = (records: readonly StoredRecord[]): readonly TimelineEntry[] =>
  records.map(({ seq, bytes }) => {
    const record = JSON.parse(Buffer.from(bytes).toString('utf8')) as LedgerRecord;
    return { ...record, seq };
  });
