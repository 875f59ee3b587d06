import { describe, expect, it } from '@jest/globals';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import * as fc from 'fast-check';
import { attributeLimitsFrom } from '../../../../src/core/telemetry/spans/attribute-limits.ts';
import { readableSpan } from '../../../../src/core/telemetry/spans/readable-span.ts';
import { anySpan } from '../ended-spans.ts';

describe('attributeLimitsFrom', () => {
  it.each([
    ['nothing', {}, [Infinity, Infinity]],
    ['the general limits', { OTEL_ATTRIBUTE_COUNT_LIMIT: '20', OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '64' }, [20, 64]],
    [
      'span limits over general ones',
      { OTEL_ATTRIBUTE_COUNT_LIMIT: '20', OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '0' },
      [0, Infinity],
    ],
    [
      'an invalid number',
      { OTEL_ATTRIBUTE_COUNT_LIMIT: 'few', OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '0' },
      [Infinity, Infinity],
    ],
  ])('reads %s', (_name, variables, expected) => {
    const { count, valueLength } = attributeLimitsFrom(variables);
    expect([count, valueLength]).toEqual(expected);
  });
});

describe('tellWithin', () => {
  it('truncates and drops as the SDK of OpenTelemetry does', () => {
    fc.assert(
      fc.property(anySpan, fc.nat({ max: 4 }), fc.integer({ min: 1, max: 200 }), (span, count, valueLength) => {
        const exporter = new InMemorySpanExporter();
        const provider = new TracerProvider({
          spanProcessors: [new SimpleSpanProcessor({ exporter })],
          spanLimits: { attributeCountLimit: count, attributeValueLengthLimit: valueLength },
        });
        const attributes: Record<string, unknown> = {};
        span.attributes((name, value) => (attributes[name] = value));
        provider.getTracer('test').startSpan('test', { attributes }).end();
        const [official] = exporter.getFinishedSpans();
        const origin = { resource: resourceFromAttributes({}), scopeName: 'test', limits: { count, valueLength } };
        const own = readableSpan(span, origin);
        expect([own.attributes, own.droppedAttributesCount]).toEqual([
          official?.attributes,
          official?.droppedAttributesCount,
        ]);
      }),
    );
  });
});
