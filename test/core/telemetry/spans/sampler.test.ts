import { describe, expect, it } from '@jest/globals';
import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';
import type { Sampler } from '@opentelemetry/sdk-trace';
import * as fc from 'fast-check';
import { samplerFrom } from '../../../../src/core/telemetry/spans/sampler.ts';
import { hexOf } from '../ended-spans.ts';

const parentWith = (traceId: string, traceFlags: number): SpanContext => ({
  traceId,
  spanId: '1'.repeat(16),
  traceFlags,
  isRemote: true,
});

describe('samplerFrom', () => {
  it.each<[string, Readonly<Record<string, string>>, Sampler]>([
    ['nothing', {}, new ParentBasedSampler({ root: new AlwaysOnSampler() })],
    ['always_on', { OTEL_TRACES_SAMPLER: 'always_on' }, new AlwaysOnSampler()],
    ['always_off', { OTEL_TRACES_SAMPLER: 'always_off' }, new AlwaysOffSampler()],
    [
      'traceidratio',
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.3' },
      new TraceIdRatioBasedSampler(0.3),
    ],
    [
      'an invalid ratio',
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: 'half' },
      new AlwaysOnSampler(),
    ],
    [
      'parentbased_always_off',
      { OTEL_TRACES_SAMPLER: 'parentbased_always_off' },
      new ParentBasedSampler({ root: new AlwaysOffSampler() }),
    ],
    [
      'parentbased_traceidratio',
      { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.7' },
      new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0.7) }),
    ],
    ['an unknown name', { OTEL_TRACES_SAMPLER: 'sometimes' }, new AlwaysOnSampler()],
  ])('decides as OpenTelemetry does: %s', (_name, variables, official) => {
    const samples = samplerFrom(variables);
    fc.assert(
      fc.property(hexOf(32), fc.option(fc.constantFrom(0, 1)), (traceId, flags) => {
        fc.pre(!/^0+$/.test(traceId));
        const parent = flags === null ? null : parentWith(traceId, flags);
        const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
        const { decision } = official.shouldSample(context, traceId, 'allow payments.list', SpanKind.SERVER, {}, []);
        expect(samples(traceId, parent)).toBe(decision === SamplingDecision.RECORD_AND_SAMPLED);
      }),
    );
  });
});
