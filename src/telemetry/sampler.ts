import type { Attributes, Context, Link, SpanKind } from '@opentelemetry/api';
import { SamplingDecision } from '@opentelemetry/sdk-trace';
import type { Sampler, SamplingResult } from '@opentelemetry/sdk-trace';

/**
 * Records every denial and everything that has no decision (issuance, ends), whatever the caller's sampling flag says, and
 * leaves allows to `allows`: a flag that the caller sets must not hide what was refused to it.
 */
export function alwaysRecordingDenials(allows: Sampler): Sampler {
  return {
    shouldSample(
      context: Context,
      traceId: string,
      name: string,
      kind: SpanKind,
      attributes: Attributes,
      links: Link[],
    ): SamplingResult {
      return attributes['remit.decision'] === 'allow'
        ? allows.shouldSample(context, traceId, name, kind, attributes, links)
        : { decision: SamplingDecision.RECORD_AND_SAMPLED };
    },
    toString: () => `AlwaysRecordingDenials{${allows.toString()}}`,
  };
}
