import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Attributes } from '@opentelemetry/api';
import type { SpanReference } from '../token/claims.ts';
import { placeOf, spanContextFrom } from './span.ts';
import type { Tracing } from './span.ts';

/** A span that is open while something is issued or ended. */
export interface OpenSpan extends SpanReference {
  end(attributes: Attributes): void;
}

/** Starts spans of the issuer, `token.issue` and `task.end`, as children of the request's `traceparent` where it has one. */
export interface IssuerTracer {
  start(name: string, attributes: Attributes, parentTraceparent: string | null): OpenSpan;
}

/** A tracer whose spans know their place at once, so that it can be signed into a token before the span ends. */
export const issuerTracer = (tracing: Tracing): IssuerTracer => ({
  start(name, attributes, parentTraceparent) {
    const parent = spanContextFrom(parentTraceparent);
    const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    const span = tracing.tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, context);
    return {
      ...placeOf(span.spanContext(), { ...tracing, parent }),
      end: (last) => {
        span.setAttributes(last);
        span.end();
      },
    };
  },
});
