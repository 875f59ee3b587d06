import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { ConsoleSpanExporter } from '@opentelemetry/sdk-trace';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { QueueSettings } from './span-queue.ts';

/** The standard `OTEL_*` variables. */
export type OtelVariables = Readonly<Record<string, string | undefined>>;

/** By the names of `OTEL_EXPORTER_OTLP_PROTOCOL`. Each reads endpoint, headers, certificates and timeout for itself. */
const protocols: ReadonlyMap<string, () => SpanExporter> = new Map<string, () => SpanExporter>([
  ['grpc', () => new GrpcExporter()],
  ['http/json', () => new JsonExporter()],
  ['http/protobuf', () => new ProtobufExporter()],
]);

/** By the names of `OTEL_TRACES_EXPORTER`. */
const exporters: ReadonlyMap<string, (variables: OtelVariables) => SpanExporter> = new Map<
  string,
  (variables: OtelVariables) => SpanExporter
>([
  ['otlp', (variables) => (protocols.get(protocolFrom(variables)) ?? (() => new ProtobufExporter()))()],
  ['console', () => new ConsoleSpanExporter()],
]);

/** What spans are exported by, and what of the variables could not be followed. */
export interface Exporters {
  readonly exporters: readonly SpanExporter[];
  /** A line for people each. */
  readonly problems: readonly string[];
}

/**
 * The exporters that the variables name: `otlp` where they name none, nothing for `none`. A name that is not known is left
 * out with a problem.
 *
 * @see OpenTelemetry specification, SDK environment variables, exporter selection
 */
export function exportersFrom(variables: OtelVariables): Exporters {
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
          `\`OTEL_EXPORTER_OTLP_PROTOCOL\` is \`${protocol}\`, http/protobuf is taken: known are ${[...protocols.keys()].join(', ')}`,
        ]),
  ];
  return { exporters: [...names].flatMap((name) => exporters.get(name)?.(variables) ?? []), problems };
}

const protocolFrom = (variables: OtelVariables): string =>
  (variables['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? variables['OTEL_EXPORTER_OTLP_PROTOCOL'])?.trim() ||
  'http/protobuf';

/**
 * Where nothing is said: batches that are serialised in less than a millisecond, and room for four seconds of 2,000 checks a
 * second, in each queue.
 */
const DEFAULTS: QueueSettings = { maxSpans: 8192, batchSpans: 128, delayMs: 1000, timeoutMs: 30_000 };

/** The bounds of each queue by the `OTEL_BSP_*` variables; what is no positive whole number is taken as not given. */
export function queueSettingsFrom(variables: OtelVariables): QueueSettings {
  const number = (name: string, fallback: number): number => {
    const given = Number(variables[name] ?? '');
    return Number.isSafeInteger(given) && given > 0 && given <= MAX_SETTING ? given : fallback;
  };
  const maxSpans = number('OTEL_BSP_MAX_QUEUE_SIZE', DEFAULTS.maxSpans);
  return {
    maxSpans,
    batchSpans: Math.min(maxSpans, number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', DEFAULTS.batchSpans)),
    delayMs: number('OTEL_BSP_SCHEDULE_DELAY', DEFAULTS.delayMs),
    timeoutMs: number('OTEL_BSP_EXPORT_TIMEOUT', DEFAULTS.timeoutMs),
  };
}

const MAX_SETTING = 1_000_000;
