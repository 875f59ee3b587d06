import type { SpanReference } from '../token/claims.ts';

/** Attributes of a span, by the names of OpenTelemetry and of design 4.8. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | string[]>>;

/** A span that is open while something is issued or ended. Its place is known at once, so that a token can carry it. */
export interface IssuanceSpan extends SpanReference {
  end(attributes: SpanAttributes): void;
}

/** What a span ends with where nothing else came of it: a fault of ours. */
export const UNFINISHED = Object.freeze({ 'remit.reason': 'internal', 'error.type': 'internal' });

/** What the issuer needs of tracing. */
export interface IssuanceTracer {
  /**
   * Opens `token.issue` or `task.end`. Identifiers are never all zero, also where nothing is exported.
   *
   * @param parentTraceparent the request's `traceparent`, or `null`
   */
  start(name: string, attributes: SpanAttributes, parentTraceparent: string | null): IssuanceSpan;
}
