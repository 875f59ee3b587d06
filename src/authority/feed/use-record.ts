import { canonicalFrom, canonicalJson } from '../../core/ledger/canonical-json.ts';
import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import { encodedRecordFrom, MAX_RECORD_BYTES } from '../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import { useFrom } from '../../core/ledger/recorded-use.ts';
import { originProblem } from '../records/emitter.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { ReceivedRecords } from './received-records.ts';

/** The use that a record must be of. */
export interface RecordedUse {
  readonly decisionId: string;
  /** Its task and token; `null` for a use without a task token. */
  readonly task: string | null;
  readonly jtiDigest: string | null;
}

/** The sender of a record, and what is known of its log. */
export interface RecordSender {
  /** SPIFFE ID, or `unix`. */
  readonly peer: string;
  readonly records: ReceivedRecords | null;
}

/**
 * The record that a sidecar sends with a use of high risk, as the ledger of the authority has it: with the identity by which the sidecar has
 * authenticated. Refused if it is not the record of exactly this use, allowed, from a log that this sidecar may write.
 */
export function useRecordFrom(
  bytes: Uint8Array,
  { decisionId, task, jtiDigest }: RecordedUse,
  { peer, records }: RecordSender,
): EncodedRecord | Problem {
  if (records === null) return { problem: 'this authority receives no records' };
  if (bytes.length > MAX_RECORD_BYTES) return { problem: `it has more than ${MAX_RECORD_BYTES} bytes` };
  const read = canonicalFrom(bytes);
  if (isProblem(read)) return { problem: `it ${read.problem}` };
  const { value } = read;
  if (!isObject(value) || value['kind'] !== 'use') return { problem: 'it is not the record of a use' };
  const use = useFrom(value);
  if (isProblem(use)) return { problem: `it ${use.problem}` };
  if (use.by !== undefined) return { problem: 'it names its sidecar, which only the authority may' };
  if (use.limits?.some(({ left, share }) => left !== undefined || share !== undefined) === true)
    return { problem: 'it says what limits have left, which only the authority may' };
  if (use.decision !== 'allow' || use.withdraws !== undefined)
    return { problem: 'it is not the record of an allowed use' };
  if (use.decisionId !== decisionId) return { problem: 'it is the record of another decision' };
  if (use.task !== task || use.jtiDigest !== jtiDigest) return { problem: 'it is the record of another task or token' };
  const origin = use.origin ?? '';
  const unfit = originProblem(origin, records.trustDomain);
  if (unfit !== null) return { problem: unfit };
  const owner = records.receiver.ownerOf(origin);
  if (owner !== null && owner !== peer) return { problem: `the log \`${origin}\` belongs to \`${owner}\`` };
  const text = canonicalJson({ ...value, by: peer });
  if (typeof text !== 'string') return { problem: `it ${text.problem}` };
  const stamped = Buffer.from(text, 'utf8');
  return stamped.length > MAX_RECORD_BYTES
    ? { problem: `it has more than ${MAX_RECORD_BYTES} bytes` }
    : encodedRecordFrom(stamped);
}

const isObject = (value: JsonValue): value is { readonly [name: string]: JsonValue } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
