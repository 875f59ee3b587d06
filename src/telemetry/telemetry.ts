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

/** Traces of this process. `close` sends what is still queued, within 5 s. */
export interface Telemetry {
  /** Where spans go; `null` where nobody takes them. */
  readonly spans: SpanSink | null;
  /** The same in words, for the start message. */
  readonly destination: string;
  /** What was not exported. */
  readonly dropped: DroppedSpans;
  close(): Promise<void>;
}

/** What is told of while spans are exported. */
export interface TelemetryReports {
  readonly log: (line: string) => void;
  /** Spans of a queue were not exported. */
  readonly onDropped?: (queue: QueueName, count: number) => void;
}

const CLOSE_TIMEOUT_MS = 5000;

/**
 * Starts what exports spans, by the standard `OTEL_*` variables. Without an endpoint or an exporter among them nothing is
 * exported: a sidecar does not look for a collector nobody named.
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

/** By the names of `OTEL_LOG_LEVEL`. */
const logLevels: ReadonlyMap<string, DiagLogLevel> = new Map([
  ['NONE', DiagLogLevel.NONE],
  ['ERROR', DiagLogLevel.ERROR],
  ['WARN', DiagLogLevel.WARN],
  ['INFO', DiagLogLevel.INFO],
  ['DEBUG', DiagLogLevel.DEBUG],
  ['VERBOSE', DiagLogLevel.VERBOSE],
  ['ALL', DiagLogLevel.ALL],
]);

/** What OpenTelemetry's own code says of itself goes to the console, where the variables ask for it. */
function setDiagnostics(variables: OtelVariables): void {
  const logLevel = logLevels.get(variables['OTEL_LOG_LEVEL']?.trim().toUpperCase() ?? '');
  if (logLevel !== undefined) diag.setLogger(new DiagConsoleLogger(), { logLevel });
}
