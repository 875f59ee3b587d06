import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { convertLegacyOtlpGrpcOptions, createOtlpGrpcExportDelegate } from '@opentelemetry/otlp-grpc-exporter-base';
import type { IExportTraceServiceResponse, IExporterMetricsHelper, ISerializer } from '@opentelemetry/otlp-transformer';
import type { ExportResult } from './span-exporter.ts';

/** How batches are serialised. */
export interface Encoding<Batch> {
  readonly serializer: ISerializer<Batch, IExportTraceServiceResponse>;
  readonly metricsHelper: IExporterMetricsHelper<Batch>;
}

/** Sends batches to a collector. Lifecycle: `shutdown` waits for pending ones. */
export interface Transport<Batch> {
  export(batch: Batch, done: (result: ExportResult) => void): void;
  shutdown(): Promise<void>;
}

/**
 * OTLP over gRPC with OpenTelemetry's own exporter; the standard variables set endpoint, headers, certificates, timeout and
 * compression.
 */
export const grpcTransport = <Batch>({ serializer, metricsHelper }: Encoding<Batch>): Transport<Batch> =>
  createOtlpGrpcExportDelegate(
    convertLegacyOtlpGrpcOptions({}, 'TRACES'),
    serializer,
    'otlp_grpc_span_exporter',
    metricsHelper,
    undefined,
    'TraceExportService',
    '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  );

/** OTLP over HTTP, with the same variables. Retries within its timeout. */
export const httpTransport = <Batch>(
  contentType: 'application/x-protobuf' | 'application/json',
  { serializer, metricsHelper }: Encoding<Batch>,
): Transport<Batch> =>
  createOtlpHttpExportDelegate(
    convertLegacyHttpOptions({}, 'TRACES', 'v1/traces', { 'Content-Type': contentType }),
    serializer,
    'otlp_http_span_exporter',
    metricsHelper,
    undefined,
  );
