/** What an authority adds to the record of a use of high risk that a sidecar has sent. */
import { countedLimits } from '../limit/counted-limit.ts';
import type { LimitSpend } from '../limit/limit-spend.ts';
import { canonicalFrom, canonicalJson } from './canonical-json.ts';
import type { JsonValue } from './canonical-json.ts';
import { MAX_RECORD_BYTES } from './encoded-record.ts';
import type { EncodedRecord } from './encoded-record.ts';
import { isProblem } from '../runtime/problem.ts';

type RecordValue = { readonly [name: string]: JsonValue };

/**
 * The record with what each of its counters has left after the use, which only the transaction knows that commits both. Unchanged if its
 * `limits` are not the counters that were counted, or it would exceed `MAX_RECORD_BYTES`.
 *
 * @param spends those on limits that were settled, in their order
 * @param left what each left of its counter, in the unit of the spend
 */
export function withLimitsLeft(
  record: EncodedRecord,
  { spends, left }: { readonly spends: readonly LimitSpend[]; readonly left: readonly number[] },
): EncodedRecord {
  const read = spends.length === 0 ? null : canonicalFrom(record.bytes);
  if (read === null || isProblem(read) || !isObject(read.value)) return record;
  const { value } = read;
  const counted = countedLimits(spends, [], { of: 'left', numbers: left });
  const recorded = isList(value['limits']) ? value['limits'] : [];
  const limits = recorded.flatMap((entry, at) => {
    const counter = counted[at];
    if (counter?.left === undefined || !isObject(entry) || entry['id'] !== counter.id) return [];
    return [{ ...entry, left: counter.left }];
  });
  if (limits.length === 0 || limits.length !== recorded.length || limits.length !== counted.length) return record;
  const text = canonicalJson({ ...value, limits });
  if (typeof text !== 'string') return record;
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length > MAX_RECORD_BYTES ? record : { ...record, bytes };
}

/** A committed record as its sidecar sent it: without `by`, and without what limits have left. */
export function asSent({ by: _by, ...record }: RecordValue): RecordValue {
  const { limits } = record;
  return isList(limits) ? { ...record, limits: limits.map(withoutLeft) } : record;
}

function withoutLeft(limit: JsonValue): JsonValue {
  if (!isObject(limit)) return limit;
  const { left: _left, ...sent } = limit;
  return sent;
}

const isList = (value: JsonValue | undefined): value is readonly JsonValue[] => Array.isArray(value);
const isObject = (value: JsonValue): value is RecordValue =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
