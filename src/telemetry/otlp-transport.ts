import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { convertLegacyOtlpGrpcOptions, createOtlpGrpcExportDelegate } from '@opentelemetry/otlp-grpc-exporter-base';
import type { IExporterMetricsHelper, ISerializer } from '@opentelemetry/otlp-transformer';
import type { Protocol } from './destinations.ts';
import type { Signal } from './environment.ts';
import type { Outlet } from './span-exporter.ts';

/** How batches are serialised. */
export interface Encoding<Batch> {
  readonly serializer: ISerializer<Batch, unknown>;
  readonly metricsHelper: IExporterMetricsHelper<Batch>;
}

/** Sends batches to a collector. */
export interface Transport<Batch> extends Outlet<Batch> {
  /** Waits for pending ones. */
  forceFlush(): Promise<void>;
}

/** By signal: the path under the general endpoint, and the gRPC method. */
const places: Readonly<Record<Signal, { readonly path: string; readonly service: string; readonly method: string }>> = {
  TRACES: {
    path: 'v1/traces',
    service: 'TraceExportService',
    method: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  },
  LOGS: {
    path: 'v1/logs',
    service: 'LogsExportService',
    method: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  },
  METRICS: {
    path: 'v1/metrics',
    service: 'MetricsExportService',
    method: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
  },
};

/**
 * OTLP to the collector of a signal, with the transport of OpenTelemetry's own exporters: the standard variables set endpoint, headers,
 * certificates, timeout and compression. Retries within its timeout.
 */
export function otlpTransport<Batch>(signal: Signal, protocol: Protocol, encoding: Encoding<Batch>): Transport<Batch> {
  switch (protocol) {
    case 'grpc':
      return overGrpc(signal, encoding);
    case 'http/json':
      return overHttp(signal, 'application/json', encoding);
    case 'http/protobuf':
      return overHttp(signal, 'application/x-protobuf', encoding);
    default:
      return protocol satisfies never;
  }
}

function overGrpc<Batch>(signal: Signal, { serializer, metricsHelper }: Encoding<Batch>): Transport<Batch> {
  const { service, method } = places[signal];
  const options = convertLegacyOtlpGrpcOptions({}, signal);
  return createOtlpGrpcExportDelegate(options, serializer, 'otlp_grpc', metricsHelper, undefined, service, method);
}

function overHttp<Batch>(
  signal: Signal,
  contentType: string,
  { serializer, metricsHelper }: Encoding<Batch>,
): Transport<Batch> {
  const options = convertLegacyHttpOptions({}, signal, places[signal].path, { 'Content-Type': contentType });
  return createOtlpHttpExportDelegate(options, serializer, 'otlp_http', metricsHelper, undefined);
}
