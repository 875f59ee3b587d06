import { JsonTraceSerializer, TraceExporterMetricsHelper } from '@opentelemetry/otlp-transformer';
import { ConsoleSpanExporter } from '@opentelemetry/sdk-trace';
import { bytesExporter, passedUnchanged } from './bytes-exporter.ts';
import type { Destination, Protocol } from '../destinations.ts';
import { otlpTransport } from './otlp-transport.ts';
import { readableExporter } from './readable-exporter.ts';
import type { SpanExporter } from './span-exporter.ts';
import type { SpanOrigin } from './span-origin.ts';

/** The exporters of spans to a destination: to a collector, to the console, or both. */
export const spanExportersTo = ({ otlp, isConsole }: Destination, origin: SpanOrigin): readonly SpanExporter[] => [
  ...(otlp === null ? [] : [overOtlp(otlp, origin)]),
  ...(isConsole ? [readableExporter(new ConsoleSpanExporter(), origin)] : []),
];

const json = { serializer: JsonTraceSerializer, metricsHelper: TraceExporterMetricsHelper };

const overOtlp = (protocol: Protocol, origin: SpanOrigin): SpanExporter =>
  protocol === 'http/json'
    ? readableExporter(otlpTransport('TRACES', protocol, json), origin)
    : bytesExporter(otlpTransport('TRACES', protocol, passedUnchanged), origin);
