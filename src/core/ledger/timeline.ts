import type { LedgerRecord } from './record.ts';

/** A stored record: its number and its bytes from `encodedRecord`. */
export interface StoredRecord {
  /** Contiguous from 1; `null` for a record on its way to the ledger. */
  readonly seq: number | null;
  readonly bytes: Uint8Array;
}

/** A record with its number. */
export type TimelineEntry = LedgerRecord & { readonly seq: number | null };

/** The records of a task in ledger order. Accepts only bytes from `encodedRecord`. */
export const timelineFrom = (records: readonly StoredRecord[]): readonly TimelineEntry[] =>
  records.map(({ seq, bytes }) => {
    const record = JSON.parse(Buffer.from(bytes).toString('utf8')) as LedgerRecord;
    return { ...record, seq };
  });
