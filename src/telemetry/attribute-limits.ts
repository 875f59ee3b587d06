import type { SpanAttributeValue, EndedSpan, Tell } from './ended-span.ts';
import { wholeNumberFrom } from './environment.ts';
import type { OtelVariables } from './environment.ts';

/** How many attributes a span may have, and how long a text among them may be, in UTF-16 units. */
export interface AttributeLimits {
  readonly count: number;
  readonly valueLength: number;
}

/** The limits that the variables name; without them every attribute is kept whole. @see OpenTelemetry specification, attribute limits */
export function attributeLimitsFrom(variables: OtelVariables): AttributeLimits {
  const limit = (name: string, least: number): number =>
    wholeNumberFrom(variables, `OTEL_SPAN_ATTRIBUTE_${name}`, least) ??
    wholeNumberFrom(variables, `OTEL_ATTRIBUTE_${name}`, least) ??
    Infinity;
  return { count: limit('COUNT_LIMIT', 0), valueLength: limit('VALUE_LENGTH_LIMIT', 1) };
}

/** Tells the attributes of a span that are within the limits, and gives how many are not. */
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
