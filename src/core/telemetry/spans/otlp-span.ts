import { SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';
import { tellWithin } from './attribute-limits.ts';
import type { AttributeLimits } from './attribute-limits.ts';
import type { EndedSpan, LinkKind, SpanLink } from './ended-span.ts';
import { attributesOf } from './otlp-attribute.ts';
import { fieldsBy } from '../../protobuf/writer.ts';
import type { ProtobufWriter } from '../../protobuf/writer.ts';

/** `SPAN_KIND_SERVER`. */
const SERVER = 2;
/** `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`. */
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

/**
 * Writes a span as a field of an OTLP message, byte for byte like OpenTelemetry's own serialiser.
 *
 * @see opentelemetry/proto/trace/v1/trace.proto, Span
 */
export function writeSpan(
  into: ProtobufWriter,
  { field, span, limits }: { readonly field: number; readonly span: EndedSpan; readonly limits: AttributeLimits },
): void {
  const { parent } = span;
  const start = into.open(field);
  into.hex(1, span.traceId);
  into.hex(2, span.spanId);
  if (parent !== null) into.hex(4, parent.spanId);
  into.text(5, span.name);
  into.integer(6, SERVER);
  writeTime(into, 7, span.startMs);
  writeTime(into, 8, span.endMs);
  into.integer(10, tellWithin(limits, span, attributesOf(into, 9)));
  into.integer(12, 0);
  for (const link of span.links) writeLink(into, link);
  into.integer(14, 0);
  const status = into.open(15);
  into.integer(3, span.isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET);
  into.close(status);
  into.fixed32(16, flagsOf({ traceFlags: TraceFlags.SAMPLED, isRemote: parent?.isRemote === true }));
  into.close(start);
}

/** Milliseconds as 64-bit nanoseconds in two halves, which avoids a bigint per span. */
function writeTime(into: ProtobufWriter, field: number, ms: number): void {
  const whole = Math.floor(ms);
  const [upper, lower] = [Math.floor(whole / HALF), whole % HALF];
  const high = upper * NANOS_OF_MS;
  const low = lower * NANOS_OF_MS + Math.round((ms - whole) * NANOS_OF_MS);
  into.fixed64(field, Math.floor(high / HALF), (high % HALF) * HALF + low);
}

const NANOS_OF_MS = 1_000_000;
const HALF = 2 ** 16;

const linkAttribute = (kind: LinkKind): Uint8Array => fieldsBy((into) => attributesOf(into, 4)('remit.link', kind));

/** The attribute of a link, by kind. */
const linkAttributes: Readonly<Record<LinkKind, Uint8Array>> = {
  issued_by: linkAttribute('issued_by'),
  previous_use: linkAttribute('previous_use'),
  withdraws: linkAttribute('withdraws'),
  application: linkAttribute('application'),
};

function writeLink(into: ProtobufWriter, { to, kind }: SpanLink): void {
  const start = into.open(13);
  into.hex(1, to.traceId);
  into.hex(2, to.spanId);
  into.raw(linkAttributes[kind]);
  into.integer(5, 0);
  into.fixed32(6, flagsOf(to));
  into.close(start);
}

const flagsOf = ({ traceFlags, isRemote }: Pick<SpanContext, 'traceFlags' | 'isRemote'>): number =>
  traceFlags | HAS_IS_REMOTE | (isRemote === true ? IS_REMOTE : 0);
