import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { convertLegacyOtlpGrpcOptions, createOtlpGrpcExportDelegate } from '@opentelemetry/otlp-grpc-exporter-base';
import type { IExporterMetricsHelper, ISerializer } from '@opentelemetry/otlp-transformer';
import type { Protocol } from '../destinations.ts';
import type { Signal } from '../environment.ts';
import { renewedTransport } from './renewed-transport.ts';
import type { BatchTransport } from './transport.ts';

/** How batches are serialised. */
export interface Encoding<Batch> {
  readonly serializer: ISerializer<Batch, unknown>;
  readonly metricsHelper: IExporterMetricsHelper<Batch>;
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
export function otlpTransport<Batch>(
  signal: Signal,
  protocol: Protocol,
  encoding: Encoding<Batch>,
): BatchTransport<Batch> {
  switch (protocol) {
    case 'grpc':
      return renewedTransport((n) => overGrpc(signal, n, encoding));
    case 'http/json':
      return overHttp(signal, 'application/json', encoding);
    case 'http/protobuf':
      return overHttp(signal, 'application/x-protobuf', encoding);
    default:
      return protocol satisfies never;
  }
}

/** @param n number of the connection of this signal, from 1 */
function overGrpc<Batch>(
  signal: Signal,
  n: number,
  { serializer, metricsHelper }: Encoding<Batch>,
): BatchTransport<Batch> {
  const { service, method } = places[signal];
  // gRPC shares a connection among clients with equal options. A connection that does not answer must not be reused by the next client.
  const userAgent = `remit-${signal.toLowerCase()}/${n}`;
  const options = convertLegacyOtlpGrpcOptions({ userAgent }, signal);
  return createOtlpGrpcExportDelegate(options, serializer, 'otlp_grpc', metricsHelper, undefined, service, method);
}

function overHttp<Batch>(
  signal: Signal,
  contentType: string,
  { serializer, metricsHelper }: Encoding<Batch>,
): BatchTransport<Batch> {
  const options = convertLegacyHttpOptions({}, signal, places[signal].path, { 'Content-Type': contentType });
  return createOtlpHttpExportDelegate(options, serializer, 'otlp_http', metricsHelper, undefined);
}
