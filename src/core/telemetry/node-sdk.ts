import { context, logs, metrics, trace } from '@opentelemetry/api';
import type { Logger, Tracer } from '@opentelemetry/api';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import type { Resource } from '@opentelemetry/resources';
import type { LogRecordProcessor } from '@opentelemetry/sdk-logs';
import type { MetricReader } from '@opentelemetry/sdk-metrics';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { AlwaysOnSampler } from '@opentelemetry/sdk-trace';
import type { IdGenerator, SpanProcessor } from '@opentelemetry/sdk-trace';
import { remitVersion } from '../config/version.ts';
import { otelText } from './environment.ts';
import type { OtelVariables } from './environment.ts';
import { placeUnder } from './spans/trace-context.ts';

/** The instrumentation scope of spans and metrics. */
export const SCOPE = 'remit';
const LEDGER_SCOPE = 'remit.ledger';

/** The receivers of each signal; a signal without receivers is not recorded. */
export interface Receivers {
  readonly spanProcessors: readonly SpanProcessor[];
  readonly logRecordProcessors: readonly LogRecordProcessor[];
  readonly metricReaders: readonly MetricReader[];
}

/** OpenTelemetry's SDK for Node, running. Lifecycle: `shutdown` once; it shuts all receivers down. */
export interface RunningSdk {
  readonly tracer: Tracer;
  /** For log records of the ledger. */
  readonly logger: Logger;
  readonly shutdown: () => Promise<void>;
}

/**
 * Starts OpenTelemetry's SDK for Node: it detects the resource from variables, process and machine, and makes every span except
 * those of checks. Its global registrations are removed at once, so that two of them in one process do not share receivers.
 */
export function startNodeSdk(
  variables: OtelVariables,
  receivers: Receivers,
  randomBytes: (length: number) => Uint8Array,
): RunningSdk {
  const serviceName = otelText(variables, 'OTEL_SERVICE_NAME');
  const sdk = new NodeSDK({
    resource: baseResource(),
    ...(serviceName === undefined ? {} : { serviceName }),
    textMapPropagator: null,
    // The sampler of the variables is for allowed checks only (`sampler.ts`); the span writer applies the attribute limits.
    sampler: new AlwaysOnSampler(),
    spanLimits: { attributeCountLimit: Infinity, attributeValueLengthLimit: Infinity },
    idGenerator: idsFrom(randomBytes),
    spanProcessors: [...receivers.spanProcessors],
    logRecordProcessors: [...receivers.logRecordProcessors],
    metricReaders: [...receivers.metricReaders],
  });
  sdk.start();
  try {
    return {
      tracer: trace.getTracer(SCOPE),
      logger: logs.getLogger(LEDGER_SCOPE),
      shutdown: () => sdk.shutdown(),
    };
  } finally {
    for (const api of [trace, logs, metrics, context]) api.disable();
  }
}

/** Defaults; the variables can override them. */
const baseResource = (): Resource =>
  defaultResource().merge(resourceFromAttributes({ 'service.name': 'remit', 'service.version': remitVersion() }));

/** Ids from a CSPRNG: the SDK's come from `Math.random`, and these are signed into tokens. */
const idsFrom = (randomBytes: (length: number) => Uint8Array): IdGenerator => ({
  generateTraceId: () => placeUnder(null, randomBytes).traceId,
  generateSpanId: () => placeUnder(null, randomBytes).spanId,
});
