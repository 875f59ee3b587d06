import { JsonTraceSerializer, TraceExporterMetricsHelper } from '@opentelemetry/otlp-transformer';
import { ConsoleSpanExporter } from '@opentelemetry/sdk-trace';
import { bytesExporter, written } from './bytes-exporter.ts';
import type { OtelVariables } from './environment.ts';
import { grpcTransport, httpTransport } from './otlp-transport.ts';
import { readableExporter } from './readable-exporter.ts';
import type { SpanExporter } from './span-exporter.ts';
import type { SpanOrigin } from './span-origin.ts';

type MakeExporter = (origin: SpanOrigin) => SpanExporter;

const json = { serializer: JsonTraceSerializer, metricsHelper: TraceExporterMetricsHelper };

const overProtobuf: MakeExporter = (origin) => bytesExporter(httpTransport('application/x-protobuf', written), origin);

/** By values of `OTEL_EXPORTER_OTLP_PROTOCOL`. Each reads endpoint, headers, certificates and timeout itself. */
const protocols: ReadonlyMap<string, MakeExporter> = new Map<string, MakeExporter>([
  ['grpc', (origin) => bytesExporter(grpcTransport(written), origin)],
  ['http/json', (origin) => readableExporter(httpTransport('application/json', json), origin)],
  ['http/protobuf', overProtobuf],
]);

/** By values of `OTEL_TRACES_EXPORTER`. */
const exporters: ReadonlyMap<string, (protocol: string) => MakeExporter> = new Map<
  string,
  (protocol: string) => MakeExporter
>([
  ['otlp', (protocol) => protocols.get(protocol) ?? overProtobuf],
  ['console', () => (origin) => readableExporter(new ConsoleSpanExporter(), origin)],
]);

/** The span exporters, and the variables that could not be honoured. */
export interface Exporters {
  readonly exporters: readonly SpanExporter[];
  /** One line each, for people. */
  readonly problems: readonly string[];
}

/**
 * The exporters that the variables name: `otlp` by default, none for `none`. An unknown name is skipped and becomes a problem.
 *
 * @see OpenTelemetry specification, SDK environment variables, exporter selection
 */
export function exportersFrom(variables: OtelVariables, origin: SpanOrigin): Exporters {
  const listed = (variables['OTEL_TRACES_EXPORTER'] ?? '').split(',').map((name) => name.trim());
  const names = new Set(listed.filter((name) => name !== ''));
  if (names.has('none')) return { exporters: [], problems: [] };
  if (names.size === 0) names.add('otlp');
  const protocol = protocolFrom(variables);
  const problems = [
    ...[...names]
      .filter((name) => !exporters.has(name))
      .map((name) => `\`OTEL_TRACES_EXPORTER\` has \`${name}\`: known are otlp, console, none`),
    ...(protocols.has(protocol)
      ? []
      : [
          `\`OTEL_EXPORTER_OTLP_PROTOCOL\` is \`${protocol}\`, using http/protobuf: known are ${[...protocols.keys()].join(', ')}`,
        ]),
  ];
  return { exporters: [...names].flatMap((name) => exporters.get(name)?.(protocol)(origin) ?? []), problems };
}

const protocolFrom = (variables: OtelVariables): string =>
  (variables['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? variables['OTEL_EXPORTER_OTLP_PROTOCOL'])?.trim() ||
  'http/protobuf';
