import { ROOT_CONTEXT, TraceFlags } from '@opentelemetry/api';
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace';
import type { SpanSink } from './ended-span.ts';
import type { OtelVariables } from '../environment.ts';

/** Decides whether an allowed check is recorded. */
type Sampler = SpanSink['samplesAllow'];

/** Samplers by values of `OTEL_TRACES_SAMPLER`. @see OpenTelemetry SDK environment variables, general */
const samplers: ReadonlyMap<string, (ratio: number) => Sampler> = new Map<string, (ratio: number) => Sampler>([
  ['always_on', () => always],
  ['always_off', () => never],
  ['traceidratio', byTraceId],
  ['parentbased_always_on', () => byParent(always)],
  ['parentbased_always_off', () => byParent(never)],
  ['parentbased_traceidratio', (ratio) => byParent(byTraceId(ratio))],
]);

/** The sampler for allows from the variables; by default, or for an unknown name, it records everything. */
export function samplerFrom(variables: OtelVariables): Sampler {
  const given = Number(variables['OTEL_TRACES_SAMPLER_ARG'] ?? '1');
  const ratio = given >= 0 && given <= 1 ? given : 1;
  const named = samplers.get(variables['OTEL_TRACES_SAMPLER'] ?? 'parentbased_always_on');
  return named === undefined ? always : named(ratio);
}

function always(): boolean {
  return true;
}

function never(): boolean {
  return false;
}

function byTraceId(ratio: number): Sampler {
  const sampler = new TraceIdRatioBasedSampler(ratio);
  return (traceId) => sampler.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
}

/** Follows the parent's decision; without a parent uses `root`. */
function byParent(root: Sampler): Sampler {
  return (traceId, parent) =>
    parent === null ? root(traceId, parent) : (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
}
