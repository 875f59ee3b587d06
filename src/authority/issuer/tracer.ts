import type { SpanReference } from '../../core/token/claims.ts';

/** Attributes of a span, by name. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | string[]>>;

/** An open span. Its ids are known at its start, so that a token can contain them. */
export interface IssuanceSpan extends SpanReference {
  end(attributes: SpanAttributes): void;
}

/** Attributes of a span that ends by an exception: an internal error. */
export const UNFINISHED = Object.freeze({ 'remit.reason': 'internal', 'error.type': 'internal' });

/** What the issuer needs of tracing. */
export interface IssuanceTracer {
  /**
   * Starts a span, such as `token.issue`. Its ids are never all zero, even if nothing is exported.
   *
   * @param parentTraceparent the request's `traceparent`, or `null`
   */
  start(name: string, attributes: SpanAttributes, parentTraceparent: string | null): IssuanceSpan;
}
