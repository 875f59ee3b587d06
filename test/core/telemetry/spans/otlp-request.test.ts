import { describe, expect, it } from '@jest/globals';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import * as fc from 'fast-check';
import { deny } from '../../../../src/core/decision/decision.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import type { EndedSpan } from '../../../../src/core/telemetry/spans/ended-span.ts';
import { exportRequest, requestFrame, SPANS_FIELD } from '../../../../src/core/telemetry/spans/otlp-request.ts';
import { writeSpan } from '../../../../src/core/telemetry/spans/otlp-span.ts';
import { ProtobufWriter } from '../../../../src/core/protobuf/writer.ts';
import { readableSpan } from '../../../../src/core/telemetry/spans/readable-span.ts';
import type { SpanOrigin } from '../../../../src/core/telemetry/spans/span-origin.ts';
import { judgementOf, traceUnderEnvoy } from '../checks.ts';
import { anySpan, endedSpan } from '../ended-spans.ts';
import { exportRequestFrom, spansIn } from '../export-request.ts';

const unlimited = { count: Infinity, valueLength: Infinity };
const origin: SpanOrigin = {
  resource: resourceFromAttributes({
    'service.name': 'remit',
    'process.pid': 4711,
    'process.command_args': ['node', 'é'],
    'a.flag': true,
    'a.ratio': 0.5,
    'some.numbers': [1, -1, 1.5],
    nothing: [null, 'something'],
  }),
  scopeName: 'remit',
  limits: unlimited,
};

const asInUse = (spans: readonly EndedSpan[], { resource, scopeName, limits }: SpanOrigin = origin): Buffer => {
  const into = new ProtobufWriter();
  for (const span of spans) writeSpan(into, { field: SPANS_FIELD, span, limits });
  return Buffer.from(exportRequest(into.bytes, requestFrame(resource, scopeName)));
};

/** A span with 400 attributes, named by numbers from the first on. */
const named = (first: number) =>
  endedSpan(
    Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`remit.argument.n${first + n}`, `v${(first + n) % 7}`])),
  );

const byOpenTelemetry = (spans: readonly EndedSpan[], as: SpanOrigin = origin): Buffer => {
  const readable = spans.map((span) => readableSpan(span, as));
  const scope = readable[0]?.instrumentationScope ?? { name: '' };
  const written = ProtobufTraceSerializer.serializeRequest(
    readable.map((span) => Object.assign(span, { instrumentationScope: scope })),
  );
  return Buffer.from(written ?? []);
};

describe('exportRequest', () => {
  it('equals the output of the OpenTelemetry serialiser, byte for byte', () => {
    fc.assert(
      fc.property(fc.array(anySpan, { minLength: 1, maxLength: 5 }), (spans) => {
        expect(asInUse(spans).equals(byOpenTelemetry(spans))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("equals it for a check's span", () => {
    const spans: EndedSpan[] = [];
    const sink = { samplesAllow: () => true, add: (span: EndedSpan) => void spans.push(span) };
    const judged = judgementOf(deny('policy.error', 'by `x`'), { method: 'tools/call', tool: 'create_ticket' });
    traceUnderEnvoy({ spans: sink, ports: systemPorts }, judged);
    expect(asInUse(spans).equals(byOpenTelemetry(spans))).toBe(true);
  });

  it('equals it for more names than are kept, such as those of arguments in catalogs loaded one after another', () => {
    const spans = [named(0), named(300), named(600), named(0)];
    expect(asInUse(spans).equals(byOpenTelemetry(spans))).toBe(true);
  });

  it('equals it with attribute limits', () => {
    fc.assert(
      fc.property(anySpan, fc.nat({ max: 3 }), fc.integer({ min: 1, max: 5 }), (span, count, valueLength) => {
        const limited = { ...origin, limits: { count, valueLength } };
        expect(asInUse([span], limited).equals(byOpenTelemetry([span], limited))).toBe(true);
      }),
    );
  });

  it('equals it for a resource with a schema', () => {
    const resource = resourceFromAttributes({}, { schemaUrl: 'https://opentelemetry.io/schemas/1.37.0' });
    const span = endedSpan({ 'remit.decision': 'allow' });
    const sent = asInUse([span], { ...origin, resource });
    expect(sent.equals(byOpenTelemetry([span], { ...origin, resource }))).toBe(true);
    expect(exportRequestFrom(sent).resourceSpans[0]).toMatchObject({ schemaUrl: resource.schemaUrl });
  });

  it.each([
    ['127 bytes', 127],
    ['128 bytes', 128],
    ['more than 16 KiB', 16_500],
    ['more than 2 MiB', 2_100_000],
  ])('contains a text of %s entirely', (_name, length) => {
    const text = 'é'.repeat(length / 2) + 'x'.repeat(length % 2);
    const [received] = spansIn(exportRequestFrom(asInUse([endedSpan({ 'url.path': text })])));
    expect(received?.attributes.get('url.path')).toBe(text);
  });

  it('writes a lone surrogate as U+FFFD, and U+0000 unchanged', () => {
    const [received] = spansIn(exportRequestFrom(asInUse([endedSpan({ 'url.path': 'a\ud800\0b' })])));
    expect(received?.attributes.get('url.path')).toBe('a\ufffd\0b');
  });
});
