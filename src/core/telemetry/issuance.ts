/** A tracer whose spans have their ids at once, so that these can be signed into a token before the span ends. */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Attributes, Context, HrTime, SpanContext, Tracer } from '@opentelemetry/api';
import { exactMsOf } from '../runtime/ports.ts';
import type { Ports } from '../runtime/ports.ts';
import type { SpanReference } from '../token/claims.ts';
import type { SpanAttributeValue } from './spans/ended-span.ts';
import { hrTimeFrom, nanosFrom } from './spans/hr-time.ts';
import { placeUnder, spanContextFrom } from './spans/trace-context.ts';

/** Attributes by name. */
export type IssuanceAttributes = Readonly<Record<string, SpanAttributeValue>>;

/** An open span of an issuance or an end. */
export interface OpenSpan extends SpanReference {
  end(attributes: IssuanceAttributes): void;
}

/**
 * Starts the issuer's spans, `token.issue` and `task.end`, as children of the request's `traceparent` if present. A
 * span with an `error.type` was refused or failed and is renamed to `deny token.issue`.
 */
export interface IssuerTracer {
  start(name: string, attributes: IssuanceAttributes, parentTraceparent: string | null): OpenSpan;
}

/** Values of `error.type` that are faults of Remit; a refusal is a valid answer. */
const faults: ReadonlySet<SpanAttributeValue | undefined> = new Set([
  'internal',
  'server_error',
  'temporarily_unavailable',
]);

/** Dependencies of the issuer's spans. */
interface IssuerTracing {
  /** Makes the spans; `null` if spans are not exported. Each span has ids anyway. */
  readonly tracer: Tracer | null;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs' | 'exactMs' | 'randomBytes'>;
}

/** Makes the tracer of the issuer. All of its spans are recorded; without `tracer` they only have ids. */
export const issuerTracer = ({ tracer, ports }: IssuerTracing): IssuerTracer => ({
  start: (name, attributes, parentTraceparent) => {
    const parent = spanContextFrom(parentTraceparent);
    return tracer === null
      ? { ...placeUnder(parent, ports.randomBytes), end: () => undefined }
      : startedSpan(tracer, { name, attributes, parent, ports });
  },
});

interface Started {
  readonly name: string;
  readonly attributes: IssuanceAttributes;
  readonly parent: SpanContext | null;
  readonly ports: IssuerTracing['ports'];
}

function startedSpan(tracer: Tracer, { name, attributes, parent, ports }: Started): OpenSpan {
  const startMs = exactMsOf(ports);
  const beganMs = ports.monotonicMs();
  const options = { kind: SpanKind.SERVER, startTime: timeAt(startMs), attributes: attributesOf(attributes) };
  const span = tracer.startSpan(name, options, contextOf(parent));
  const { traceId, spanId } = span.spanContext();
  return {
    traceId,
    spanId,
    end: (last) => {
      const error = last['error.type'];
      span.setAttributes(attributesOf(last));
      if (error !== undefined) span.updateName(`deny ${name}`);
      if (faults.has(error)) span.setStatus({ code: SpanStatusCode.ERROR });
      // So that setting the wall clock meanwhile does not change the duration.
      span.end(timeAt(startMs + (ports.monotonicMs() - beganMs)));
    },
  };
}

const contextOf = (parent: SpanContext | null): Context =>
  parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);

const timeAt = (ms: number): HrTime => hrTimeFrom(nanosFrom(ms));

const attributesOf = (attributes: IssuanceAttributes): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, typeof value === 'object' ? [...value] : value]),
  );
