import { after } from '../runtime/timers.ts';
import { destinationsFrom } from './destinations.ts';
import type { Destinations } from './destinations.ts';
import { DroppedSpans } from './spans/dropped-spans.ts';
import type { OtelVariables } from './environment.ts';
import type { Telemetry, TelemetryOptions } from './telemetry.ts';

/**
 * Starts exporting spans, checkpoints (as log records) and metrics to the destinations of the standard `OTEL_*` variables. Without a
 * destination nothing is exported and OpenTelemetry's SDK is not loaded.
 *
 * @param variables the process environment, already validated by `otelProblems`; exporters read the environment themselves
 */
export async function startTelemetry(variables: OtelVariables, options: TelemetryOptions): Promise<Telemetry> {
  const dropped = new DroppedSpans({ log: options.log, after });
  const destinations = destinationsFrom(variables);
  if (Object.values(destinations).every((each) => each === null)) return nothing(destinations, dropped);
  const { startSdk } = await import('./sdk.ts');
  return startSdk(variables, { ...options, destinations, dropped });
}

const nothing = (destinations: Destinations, dropped: DroppedSpans): Telemetry => ({
  spans: null,
  tracer: null,
  emitCheckpoint: () => undefined,
  beginPush: () => () => Promise.resolve(),
  destinations,
  dropped,
  close: () => Promise.resolve(),
});
