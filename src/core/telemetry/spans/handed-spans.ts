import { SpanStatusCode } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan, Span, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { EndedSpan, SpanAttributeValue } from './ended-span.ts';
import { msFrom } from './hr-time.ts';

/**
 * A span processor that adds each ended span of the SDK's tracer to the queue of check spans: one bound, one count of dropped spans and
 * one request for both.
 */
export class HandedSpans implements SpanProcessor {
  readonly #add: (span: EndedSpan) => void;
  #resource: Resource | null = null;

  constructor(add: (span: EndedSpan) => void) {
    this.#add = add;
  }

  /** The resource that the SDK detected; `null` until the first span starts. */
  get resource(): Resource | null {
    return this.#resource;
  }

  onStart(span: Span): void {
    this.#resource ??= span.resource;
  }

  onEnd(span: ReadableSpan): void {
    this.#add(endedSpanFrom(span));
  }

  /** Nothing is queued here. */
  forceFlush(): Promise<void> {
    return Promise.resolve();
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** Spans of this process's tracer have neither links nor events. */
function endedSpanFrom(span: ReadableSpan): EndedSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    traceId,
    spanId,
    name: span.name,
    parent: span.parentSpanContext ?? null,
    startMs: msFrom(span.startTime),
    endMs: msFrom(span.endTime),
    attributes: (tell) => {
      for (const [name, value] of Object.entries(span.attributes)) if (isTold(value)) tell(name, value);
    },
    links: [],
    isError: span.status.code === SpanStatusCode.ERROR,
    isAllowedCheck: false,
  };
}

/** Whether a value has a type that `EndedSpan` accepts. */
const isTold = (value: unknown): value is SpanAttributeValue =>
  Array.isArray(value)
    ? value.every((each) => typeof each === 'string')
    : ['string', 'number', 'boolean'].includes(typeof value);
