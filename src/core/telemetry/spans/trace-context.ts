import { INVALID_SPANID, INVALID_TRACEID, TraceFlags } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';
import type { SpanReference } from '../../token/claims.ts';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/** Parses a W3C `traceparent`; `null` if it is invalid. @see W3C Trace Context section 3.2 */
export function spanContextFrom(traceparent: string | null): SpanContext | null {
  if (traceparent === null || !/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent)) return null;
  const [traceId, spanId] = [traceparent.slice(3, 35), traceparent.slice(36, 52)];
  if (traceId === INVALID_TRACEID || spanId === INVALID_SPANID) return null;
  const traceFlags = Number.parseInt(traceparent.slice(53), 16) & TraceFlags.SAMPLED;
  return { traceId, spanId, traceFlags, isRemote: true };
}

/**
 * Ids for a new span, in the trace of its parent, if any. Allocated whether or not the span is recorded, so that a
 * use can be joined to its issuance.
 */
export function placeUnder(parent: SpanContext | null, randomBytes: (length: number) => Uint8Array): SpanReference {
  if (parent !== null) return { traceId: parent.traceId, spanId: hex(randomBytes(SPAN_ID_BYTES)) };
  const bytes = randomBytes(TRACE_ID_BYTES + SPAN_ID_BYTES);
  return { traceId: hex(bytes.subarray(0, TRACE_ID_BYTES)), spanId: hex(bytes.subarray(TRACE_ID_BYTES)) };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
