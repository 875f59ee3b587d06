import type { IncomingRecord } from '../log.ts';

/** A batch for the thread: all bytes in one buffer, which is transferred rather than copied. */
export interface PackedRecords {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** End offset of each record in `bytes`; each starts at the end of the previous record. */
  readonly ends: readonly number[];
  readonly outboxes: readonly (number | null)[];
}

/** Packs records; `bytes` has its own buffer, so that it can be transferred. */
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

/** Unpacks records as views of the buffer. */
export const unpacked = ({ bytes, ends, outboxes }: PackedRecords): readonly IncomingRecord[] =>
  ends.map((end, index) => ({ bytes: bytes.subarray(ends[index - 1] ?? 0, end), outbox: outboxes[index] ?? null }));
