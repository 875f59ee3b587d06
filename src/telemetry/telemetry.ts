import { diag, DiagConsoleLogger, DiagLogLevel } from '@opentelemetry/api';
import { after } from '../runtime/timers.ts';
import { DroppedSpans } from './dropped-spans.ts';
import type { SpanSink } from './ended-span.ts';
import { queueSettingsFrom } from './environment.ts';
import type { OtelVariables } from './environment.ts';
import { exportersFrom } from './exporters.ts';
import { samplerFrom } from './sampler.ts';
import { originFrom } from './span-origin.ts';
import { SpanRouter } from './span-router.ts';
import type { OnDropped, QueueName } from './span-router.ts';

/** Tracing of this process. `close` sends what is queued, within 5 s. */
export interface Telemetry {
  /** Receives spans; `null` where tracing is off. */
  readonly spans: SpanSink | null;
  /** The destination in words, for the start message. */
  readonly destination: string;
  /** Counts of spans that were not exported. */
  readonly dropped: DroppedSpans;
  close(): Promise<void>;
}

/** Listeners. */
export interface TelemetryReports {
  readonly log: (line: string) => void;
  /** Called with spans of a queue that were not exported. */
  readonly onDropped?: (queue: QueueName, count: number) => void;
}

const CLOSE_TIMEOUT_MS = 5000;

/**
 * Starts the span exporters of the standard `OTEL_*` variables. Without an endpoint or exporter nothing is exported: a sidecar
 * must not connect to a collector that nobody configured.
 */
export function startTelemetry(variables: OtelVariables, { log, onDropped }: TelemetryReports): Telemetry {
  const dropped = new DroppedSpans({ log, after });
  const endpoint = variables['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? variables['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const exporter = variables['OTEL_TRACES_EXPORTER'];
  const isDisabled = variables['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true';
  if (isDisabled || (endpoint === undefined && exporter === undefined)) {
    return { spans: null, destination: 'none', dropped, close: () => Promise.resolve() };
  }
  setDiagnostics(variables);
  const { exporters, problems } = exportersFrom(variables, originFrom(variables));
  for (const problem of problems) log(`spans: ${problem}`);
  const settings = queueSettingsFrom(variables);
  const drop: OnDropped = (queue, count, cause) => {
    dropped.add(queue, count, cause);
    onDropped?.(queue, count);
  };
  const routers = exporters.map((each) => new SpanRouter(each, { settings, after, onDropped: drop }));
  return {
    spans: routers.length === 0 ? null : sinkOf(routers, variables),
    destination: endpoint ?? exporter ?? '',
    dropped,
    close: async () => {
      await shutDown(routers);
      for (const router of routers) router.abandon();
      dropped.close();
    },
  };
}

function sinkOf(routers: readonly SpanRouter[], variables: OtelVariables): SpanSink {
  return {
    samplesAllow: samplerFrom(variables),
    add: (span) => {
      for (const router of routers) router.add(span);
    },
  };
}

async function shutDown(routers: readonly SpanRouter[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((done) => (timer = setTimeout(done, CLOSE_TIMEOUT_MS)));
  await Promise.race([Promise.allSettled(routers.map((router) => router.shutdown())), late]);
  clearTimeout(timer);
}

/** By values of `OTEL_LOG_LEVEL`. */
const logLevels: ReadonlyMap<string, DiagLogLevel> = new Map([
  ['NONE', DiagLogLevel.NONE],
  ['ERROR', DiagLogLevel.ERROR],
  ['WARN', DiagLogLevel.WARN],
  ['INFO', DiagLogLevel.INFO],
  ['DEBUG', DiagLogLevel.DEBUG],
  ['VERBOSE', DiagLogLevel.VERBOSE],
  ['ALL', DiagLogLevel.ALL],
]);

/** Sends OpenTelemetry's own diagnostics to the console where the variables ask for it. */
function setDiagnostics(variables: OtelVariables): void {
  const logLevel = logLevels.get(variables['OTEL_LOG_LEVEL']?.trim().toUpperCase() ?? '');
  if (logLevel !== undefined) diag.setLogger(new DiagConsoleLogger(), { logLevel });
}
