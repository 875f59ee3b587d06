import {
  JsonMetricsSerializer,
  MetricsExporterMetricsHelper,
  ProtobufMetricsSerializer,
} from '@opentelemetry/otlp-transformer';
import { emptyResource } from '@opentelemetry/resources';
import { ConsoleMetricExporter, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { MetricProducer, MetricReader, PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { Destination, Protocol } from '../destinations.ts';
import { wholeNumberFrom } from '../environment.ts';
import type { OtelVariables } from '../environment.ts';
import type { Family } from './metric-family.ts';
import { otlpTransport } from '../spans/otlp-transport.ts';
import { pushedMetrics } from './pushed-metrics.ts';
import { withFailureNotice } from '../spans/failure-notice.ts';

const INTERVAL_MS = 60_000;
const TIMEOUT_MS = 30_000;

const UNTAKEN =
  'metrics: the collector rejected them; set `OTEL_METRICS_EXPORTER=none` for a collector that accepts no metrics';

/** What a push needs. */
export interface MetricPushOptions {
  readonly variables: OtelVariables;
  readonly nowMs: () => number;
  readonly scopeName: string;
  readonly log: (line: string) => void;
}

/**
 * Pushes all metrics every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds (default 60,000). Values are cumulative, so a failed push loses
 * nothing; a failure is logged once until the next success.
 *
 * Lifecycle: metrics are read between `begin` and `end` only, since measured parts may be closed outside of that. `end` pushes once more.
 */
export class MetricPush {
  /** For the meter provider, which shuts them down. */
  readonly readers: readonly MetricReader[];
  #read: (() => readonly Family[]) | null = null;

  constructor({ otlp, isConsole }: Destination, { variables, nowMs, scopeName, log }: MetricPushOptions) {
    const startMs = nowMs();
    const producer: MetricProducer = {
      collect: () => {
        const metrics = pushedMetrics(this.#read?.() ?? [], { startMs, endMs: nowMs() });
        const scopeMetrics = metrics.length === 0 ? [] : [{ scope: { name: scopeName }, metrics }];
        // The reader takes the resource of its provider.
        return Promise.resolve({ resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] });
      },
    };
    const exportIntervalMillis = wholeNumberFrom(variables, 'OTEL_METRIC_EXPORT_INTERVAL', 1) ?? INTERVAL_MS;
    const exportTimeoutMillis = Math.min(
      exportIntervalMillis,
      wholeNumberFrom(variables, 'OTEL_METRIC_EXPORT_TIMEOUT', 1) ?? TIMEOUT_MS,
    );
    const reader = (exporter: PushMetricExporter): MetricReader =>
      new PeriodicExportingMetricReader({
        exporter,
        metricProducers: [producer],
        exportIntervalMillis,
        exportTimeoutMillis,
      });
    this.readers = [
      ...(otlp === null
        ? []
        : [reader(withFailureNotice(otlpTransport('METRICS', otlp, encodingFor(otlp)), () => log(UNTAKEN)))]),
      ...(isConsole ? [reader(new ConsoleMetricExporter())] : []),
    ];
  }

  /** @param read gives the current metrics */
  begin(read: () => readonly Family[]): void {
    this.#read = read;
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.readers.map((reader) => reader.forceFlush()));
    this.#read = null;
  }
}

const encodingFor = (protocol: Protocol) => ({
  serializer: protocol === 'http/json' ? JsonMetricsSerializer : ProtobufMetricsSerializer,
  metricsHelper: MetricsExporterMetricsHelper,
});
