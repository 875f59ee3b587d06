import { SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import type { Link } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { tellWithin } from './attribute-limits.ts';
import type { SpanAttributeValue, EndedSpan, SpanLink } from './ended-span.ts';
import { hrTimeFrom, nanosFrom } from './hr-time.ts';
import type { SpanOrigin } from './span-origin.ts';

/** A span in the form that OpenTelemetry's own exporters read. */
export function readableSpan(span: EndedSpan, { resource, scopeName, limits }: SpanOrigin): ReadableSpan {
  const attributes: Record<string, SpanAttributeValue> = {};
  const droppedAttributesCount = tellWithin(limits, span, (name, value) => {
    attributes[name] = value;
  });
  const { traceId, spanId, name, parent, links, isError } = span;
  const [start, end] = [nanosFrom(span.startMs), nanosFrom(span.endMs)];
  return {
    name,
    kind: SpanKind.SERVER,
    spanContext: () => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED }),
    ...(parent === null ? {} : { parentSpanContext: parent }),
    startTime: hrTimeFrom(start),
    endTime: hrTimeFrom(end),
    duration: hrTimeFrom(end - start),
    ended: true,
    status: { code: isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes,
    links: links.map(readableLink),
    events: [],
    resource,
    instrumentationScope: { name: scopeName },
    droppedAttributesCount,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const readableLink = ({ to, kind }: SpanLink): Link => ({ context: to, attributes: { 'remit.link': kind } });
