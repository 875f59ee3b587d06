import type { IncomingRecord } from './log.ts';

/** Records as they go to the thread: the bytes of all in one piece, which is handed over and not copied. */
export interface PackedRecords {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each record ends in `bytes`; it begins where the one before ends. */
  readonly ends: readonly number[];
  readonly outboxes: readonly (number | null)[];
}

/** Packs records; `bytes` has a buffer of its own, so that it can be transferred. */
export function packed(records: readonly IncomingRecord[]): PackedRecords {
  const bytes = new Uint8Array(records.reduce((sum, record) => sum + record.bytes.length, 0));
  let end = 0;
  const ends = records.map((record) => {
    bytes.set(record.bytes, end);
    end += record.bytes.length;
    return end;
  });
  return { bytes, ends, outboxes: records.map(({ outbox }) => outbox) };
}

/** The records again; their bytes are views of the one piece. */
export const unpacked = ({ bytes, ends, outboxes }: PackedRecords): readonly IncomingRecord[] =>
  ends.map((end, index) => ({ bytes: bytes.subarray(ends[index - 1] ?? 0, end), outbox: outboxes[index] ?? null }));
