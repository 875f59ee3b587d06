import { INVALID_SPANID, INVALID_TRACEID, TraceFlags } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';
import type { SpanReference } from '../token/claims.ts';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/** Reads a W3C `traceparent`; `null` for anything that is none. @see W3C Trace Context section 3.2 */
export function spanContextFrom(traceparent: string | null): SpanContext | null {
  const parts = traceparent === null ? null : /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent);
  const [, traceId = INVALID_TRACEID, spanId = INVALID_SPANID, flags = ''] = parts ?? [];
  if (traceId === INVALID_TRACEID || spanId === INVALID_SPANID) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

/**
 * A place for a new span, in the trace of its parent where it has one. A span has it whether it is recorded or not, so that a
 * use can be joined to its issuance.
 */
export function placeUnder(parent: SpanContext | null, randomBytes: (length: number) => Uint8Array): SpanReference {
  if (parent !== null) return { traceId: parent.traceId, spanId: hex(randomBytes(SPAN_ID_BYTES)) };
  const bytes = randomBytes(TRACE_ID_BYTES + SPAN_ID_BYTES);
  return { traceId: hex(bytes.subarray(0, TRACE_ID_BYTES)), spanId: hex(bytes.subarray(TRACE_ID_BYTES)) };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
