import type { SpanAttributeValue, EndedSpan, Tell } from './ended-span.ts';
import { wholeNumberFrom } from '../environment.ts';
import type { OtelVariables } from '../environment.ts';

/** Limits of spans: number of attributes, and length of their texts in UTF-16 code units. */
export interface AttributeLimits {
  readonly count: number;
  readonly valueLength: number;
}

/** The limits in the variables; none by default. @see OpenTelemetry specification, attribute limits */
export function attributeLimitsFrom(variables: OtelVariables): AttributeLimits {
  const limit = (name: string, least: number): number =>
    wholeNumberFrom(variables, `OTEL_SPAN_ATTRIBUTE_${name}`, least) ??
    wholeNumberFrom(variables, `OTEL_ATTRIBUTE_${name}`, least) ??
    Infinity;
  return { count: limit('COUNT_LIMIT', 0), valueLength: limit('VALUE_LENGTH_LIMIT', 1) };
}

/** Passes on the attributes within the limits and returns how many were left out. */
export function tellWithin(limits: AttributeLimits, { attributes }: Pick<EndedSpan, 'attributes'>, tell: Tell): number {
  let count = 0;
  attributes((name, value) => {
    count += 1;
    if (count <= limits.count) tell(name, cut(value, limits.valueLength));
  });
  return Math.max(0, count - limits.count);
}

function cut(value: SpanAttributeValue, length: number): SpanAttributeValue {
  if (typeof value === 'string') return value.length > length ? value.slice(0, length) : value;
  return typeof value === 'object' && length !== Infinity ? value.map((each) => each.slice(0, length)) : value;
}
