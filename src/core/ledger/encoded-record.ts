import type { Signalled } from '../config/issuer.ts';
import { canonicalJson } from './canonical-json.ts';
import type { LedgerRecord } from './record.ts';
import { signalledBy } from './signalled.ts';
import { plainUseText } from './use-text.ts';

/** A record as it is stored and hashed: serialised once. */
export interface EncodedRecord {
  readonly kind: LedgerRecord['kind'];
  readonly at: number;
  readonly task: string | null;
  /** Whether it is an allowed use, which resets its task's idle time. */
  readonly isAllowedUse: boolean;
  /** The event that it sends to receivers of signals; `null` for none. */
  readonly signalled: Signalled | null;
  /** Canonical JSON, UTF-8; at most `MAX_RECORD_BYTES`. */
  readonly bytes: Uint8Array;
}

/** C2SP tlog-tiles limits an entry to 65,535 bytes; the log adds less than 256 to a record. */
export const MAX_RECORD_BYTES = 65_535 - 256;

/** Why a record cannot be written. */
export interface RecordProblem {
  readonly problem: string;
}

/**
 * Encodes a record.
 *
 * @returns a problem for text that is not well-formed, a number that is not finite, more than 64 levels or `MAX_RECORD_BYTES`
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

/** Restores an encoded record from its bytes, which are not checked. */
export const encodedRecordFrom = (bytes: Uint8Array): EncodedRecord =>
  encodedAs(JSON.parse(Buffer.from(bytes).toString('utf8')) as LedgerRecord, bytes);

function encodedAs(record: LedgerRecord, bytes: Uint8Array): EncodedRecord {
  const isAllowedUse = record.kind === 'use' && record.decision === 'allow';
  return { kind: record.kind, at: record.at, task: record.task, isAllowedUse, signalled: signalledBy(record), bytes };
}
