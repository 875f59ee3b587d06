import { exactMsOf } from '../runtime/ports.ts';
import type { Ports } from '../runtime/ports.ts';
import type { SpanReference } from '../token/claims.ts';
import type { SpanAttributeValue } from './ended-span.ts';
import type { Tracing } from './span.ts';
import { placeUnder, spanContextFrom } from './trace-context.ts';

/** Attributes by their names. */
export type SpanAttributes = Readonly<Record<string, SpanAttributeValue>>;

/** A span that is open while something is issued or ended. */
export interface OpenSpan extends SpanReference {
  end(attributes: SpanAttributes): void;
}

/**
 * Starts spans of the issuer, `token.issue` and `task.end`, as children of the request's `traceparent` where it has one. What ends
 * with an `error.type` was not done: its span is named `deny token.issue`.
 */
export interface IssuerTracer {
  start(name: string, attributes: SpanAttributes, parentTraceparent: string | null): OpenSpan;
}

/** Each `error.type` that is a fault of ours; a refusal is a good answer. */
const faults: ReadonlySet<SpanAttributeValue | undefined> = new Set([
  'internal',
  'server_error',
  'temporarily_unavailable',
]);

/**
 * A tracer whose spans know their place at once, so that it can be signed into a token before the span ends. All of them are
 * recorded.
 */
export const issuerTracer = ({ spans, ports }: Pick<Tracing, 'spans'> & { readonly ports: Ports }): IssuerTracer => ({
  start(name, first, parentTraceparent) {
    const parent = spanContextFrom(parentTraceparent);
    const place = placeUnder(parent, ports.randomBytes);
    const startMs = exactMsOf(ports);
    const beganMs = ports.monotonicMs();
    return {
      ...place,
      end: (last) => {
        const error = last['error.type'];
        spans?.add({
          ...place,
          name: error === undefined ? name : `deny ${name}`,
          parent,
          startMs,
          endMs: startMs + (ports.monotonicMs() - beganMs),
          attributes: (tell) => {
            for (const [key, value] of Object.entries({ ...first, ...last })) tell(key, value);
          },
          links: [],
          isError: faults.has(error),
          isAllowedCheck: false,
        });
      },
    };
  },
});
