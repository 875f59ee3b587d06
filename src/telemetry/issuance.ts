import { exactMsOf } from '../runtime/ports.ts';
import type { Ports } from '../runtime/ports.ts';
import type { SpanReference } from '../token/claims.ts';
import type { SpanAttributeValue } from './ended-span.ts';
import type { Tracing } from './span.ts';
import { placeUnder, spanContextFrom } from './trace-context.ts';

/** Attributes by name. */
export type SpanAttributes = Readonly<Record<string, SpanAttributeValue>>;

/** An open span of an issuance or an end. */
export interface OpenSpan extends SpanReference {
  end(attributes: SpanAttributes): void;
}

/**
 * Starts the issuer's spans, `token.issue` and `task.end`, as children of the request's `traceparent` where there is one. A
 * span with an `error.type` was refused or failed and is renamed to `deny token.issue`.
 */
export interface IssuerTracer {
  start(name: string, attributes: SpanAttributes, parentTraceparent: string | null): OpenSpan;
}

/** Values of `error.type` that are faults of Remit; a refusal is a valid answer. */
const faults: ReadonlySet<SpanAttributeValue | undefined> = new Set([
  'internal',
  'server_error',
  'temporarily_unavailable',
]);

/**
 * A tracer whose spans have their ids at once, so that these can be signed into a token before the span ends. All are recorded.
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
