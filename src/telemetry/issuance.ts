import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Attributes } from '@opentelemetry/api';
import type { SpanReference } from '../token/claims.ts';
import { placeOf, spanContextFrom } from './span.ts';
import type { Tracing } from './span.ts';

/** A span that is open while something is issued or ended. */
export interface OpenSpan extends SpanReference {
  end(attributes: Attributes): void;
}

/**
 * Starts a span of the issuer: `token.issue`, `task.end`. Its place is known at once, so that it can be signed into the
 * token before the span ends.
 *
 * @param parent `traceparent` of the request, or `null`
 */
export function startIssuerSpan(
  tracing: Tracing,
  name: string,
  { attributes, parent }: { readonly attributes: Attributes; readonly parent: string | null },
): OpenSpan {
  const parentContext = spanContextFrom(parent);
  const context = parentContext === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parentContext);
  const span = tracing.tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, context);
  return {
    ...placeOf(span.spanContext(), tracing),
    end: (last) => {
      span.setAttributes(last);
      span.end();
    },
  };
}
