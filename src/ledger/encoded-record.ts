import { canonicalJson } from './canonical-json.ts';
import type { LedgerRecord } from './record.ts';
import { plainUseText } from './use-text.ts';

/** A record as it is stored and, later, hashed: never serialised a second time. */
export interface EncodedRecord {
  readonly kind: LedgerRecord['kind'];
  readonly at: number;
  readonly task: string | null;
  /** Whether it is an allowed use: its task has not been idle. */
  readonly isAllowedUse: boolean;
  /** Canonical JSON, UTF-8; at most `MAX_RECORD_BYTES`. */
  readonly bytes: Uint8Array;
}

/** C2SP tlog-tiles counts the bytes of an entry in 16 bits; what the log puts around a record takes less than 256. */
export const MAX_RECORD_BYTES = 65_535 - 256;

/** A record that cannot be written; the text says why. */
export interface RecordProblem {
  readonly problem: string;
}

/**
 * The bytes of a record.
 *
 * @returns a problem for text that is not well-formed, a number that is not finite, or more than `MAX_RECORD_BYTES`
 */
export function encodedRecord(record: LedgerRecord): EncodedRecord | RecordProblem {
  const text = (record.kind === 'use' ? plainUseText(record) : null) ?? canonicalJson({ ...record });
  if (typeof text !== 'string') return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > MAX_RECORD_BYTES) {
    return { problem: `the record has ${bytes.length} bytes, more than ${MAX_RECORD_BYTES}` };
  }
  return encodedAs(record, bytes);
}

/** The same of bytes that `encodedRecord` made. */
export const encodedRecordFrom = (bytes: Uint8Array): EncodedRecord =>
  encodedAs(JSON.parse(Buffer.from(bytes).toString('utf8')) as LedgerRecord, bytes);

function encodedAs(record: LedgerRecord, bytes: Uint8Array): EncodedRecord {
  const isAllowedUse = record.kind === 'use' && record.decision === 'allow';
  return { kind: record.kind, at: record.at, task: record.task, isAllowedUse, bytes };
}
