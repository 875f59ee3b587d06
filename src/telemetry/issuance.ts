import type { Ports } from '../ports.ts';
import type { SpanReference } from '../token/claims.ts';
import type { AttributeValue } from './ended-span.ts';
import type { Tracing } from './span.ts';
import { placeUnder, spanContextFrom } from './trace-context.ts';

/** Attributes by their names. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A span that is open while something is issued or ended. */
export interface OpenSpan extends SpanReference {
  end(attributes: Attributes): void;
}

/** Starts spans of the issuer, `token.issue` and `task.end`, as children of the request's `traceparent` where it has one. */
export interface IssuerTracer {
  start(name: string, attributes: Attributes, parentTraceparent: string | null): OpenSpan;
}

/**
 * A tracer whose spans know their place at once, so that it can be signed into a token before the span ends. All of them are
 * recorded.
 */
export const issuerTracer = ({ spans, ports }: Pick<Tracing, 'spans'> & { readonly ports: Ports }): IssuerTracer => ({
  start(name, first, parentTraceparent) {
    const parent = spanContextFrom(parentTraceparent);
    const place = placeUnder(parent, ports.randomBytes);
    const startMs = ports.nowMs();
    const beganMs = ports.monotonicMs();
    return {
      ...place,
      end: (last) =>
        spans?.add({
          ...place,
          name,
          parent,
          startMs,
          endMs: startMs + (ports.monotonicMs() - beganMs),
          attributes: (tell) => {
            for (const [key, value] of Object.entries({ ...first, ...last })) tell(key, value);
          },
          links: [],
          isError: false,
          isAllowedCheck: false,
        }),
    };
  },
});
