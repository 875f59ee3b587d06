import { isSdkDisabled, otelText, otlpText } from './environment.ts';
import type { OtelVariables, Signal } from './environment.ts';

/** A protocol of OTLP, by its name in `OTEL_EXPORTER_OTLP_PROTOCOL`. */
export type Protocol = 'grpc' | 'http/json' | 'http/protobuf';

/** The destination of a signal: a collector, the console, or both. */
export interface Destination {
  /** Protocol to the collector; `null` if there is none. */
  readonly otlp: Protocol | null;
  readonly isConsole: boolean;
  /** In words, for the start message; without user, password and query of an endpoint. */
  readonly text: string;
}

/** The destination of each signal; `null` if none is configured. */
export interface Destinations {
  readonly traces: Destination | null;
  readonly logs: Destination | null;
  readonly metrics: Destination | null;
}

/**
 * The destinations that the variables configure. A signal is exported only if its exporter, its endpoint or the general endpoint is
 * set: a sidecar must not connect to a collector that nobody configured.
 *
 * @see OpenTelemetry specification, SDK environment variables, exporter selection
 */
export const destinationsFrom = (variables: OtelVariables): Destinations => ({
  traces: destinationOf(variables, 'TRACES'),
  logs: destinationOf(variables, 'LOGS'),
  metrics: destinationOf(variables, 'METRICS'),
});

function destinationOf(variables: OtelVariables, signal: Signal): Destination | null {
  const named = otelText(variables, `OTEL_${signal}_EXPORTER`);
  const endpoint = otlpText(variables, signal, 'ENDPOINT');
  if (isSdkDisabled(variables) || (named === undefined && endpoint === undefined)) return null;
  const exporters = new Set((named ?? 'otlp').split(',').map((name) => name.trim()));
  const isConsole = exporters.has('console');
  const isOtlp = exporters.has('otlp');
  if (exporters.has('none') || !(isConsole || isOtlp)) return null;
  const otlp = isOtlp ? protocolOf(variables, signal) : null;
  return { otlp, isConsole, text: isOtlp && endpoint !== undefined ? withoutCredentials(endpoint) : (named ?? 'otlp') };
}

function protocolOf(variables: OtelVariables, signal: Signal): Protocol {
  const asked = otlpText(variables, signal, 'PROTOCOL');
  return asked === 'grpc' || asked === 'http/json' ? asked : 'http/protobuf';
}

/** An address without user, password and query. */
function withoutCredentials(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (url === null || (url.username === '' && url.password === '' && url.search === '')) return endpoint;
  [url.username, url.password, url.search] = ['', '', ''];
  return url.href;
}
