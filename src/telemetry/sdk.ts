import { trace } from '@opentelemetry/api';
import type { Tracer } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';
import type { Sampler } from '@opentelemetry/sdk-trace';
import { after } from '../timers.ts';
import { DroppedSpans } from './dropped-spans.ts';
import { exportersFrom, queueSettingsFrom } from './environment.ts';
import type { OtelVariables } from './environment.ts';
import { alwaysRecordingDenials } from './sampler.ts';
import { SpanRouter } from './span-router.ts';
import type { OnDropped, QueueName } from './span-router.ts';

/** Traces of this process. `close` sends what is still queued, within 5 s. */
export interface Telemetry {
  readonly tracer: Tracer;
  /** Where spans go, in words, for the start message. */
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
 * Starts the OpenTelemetry SDK by the standard `OTEL_*` variables. Without an endpoint or an exporter among them nothing
 * is exported: a sidecar does not look for a collector nobody named.
 */
export function startTelemetry(environment: OtelVariables, { log, onDropped }: TelemetryReports): Telemetry {
  const dropped = new DroppedSpans({ log, after });
  const endpoint = environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? environment['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const exporter = environment['OTEL_TRACES_EXPORTER'];
  if (endpoint === undefined && exporter === undefined) {
    return { tracer: trace.getTracer('remit'), destination: 'none', dropped, close: () => Promise.resolve() };
  }
  const { exporters, problems } = exportersFrom(environment);
  for (const problem of problems) log(`spans: ${problem}`);
  const settings = queueSettingsFrom(environment);
  const drop: OnDropped = (queue, count, cause) => {
    dropped.add(queue, count, cause);
    onDropped?.(queue, count);
  };
  const routers = exporters.map((each) => new SpanRouter(each, { settings, after, onDropped: drop }));
  const sdk = new NodeSDK({
    serviceName: environment['OTEL_SERVICE_NAME'] ?? 'remit',
    sampler: alwaysRecordingDenials(samplerFrom(environment)),
    spanProcessors: routers,
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return {
    tracer: trace.getTracer('remit'),
    destination: endpoint ?? exporter ?? '',
    dropped,
    close: async () => {
      await shutDown(sdk);
      for (const router of routers) router.abandon();
      dropped.close();
      // The next one to start in this process is not handed a tracer that has ended.
      trace.disable();
    },
  };
}

async function shutDown(sdk: NodeSDK): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((done) => (timer = setTimeout(done, CLOSE_TIMEOUT_MS)));
  await Promise.race([sdk.shutdown().catch(() => undefined), late]);
  clearTimeout(timer);
}

/** Samplers by the names of `OTEL_TRACES_SAMPLER`. @see OpenTelemetry SDK environment variables, general */
const samplers: ReadonlyMap<string, (ratio: number) => Sampler> = new Map<string, (ratio: number) => Sampler>([
  ['always_on', () => new AlwaysOnSampler()],
  ['always_off', () => new AlwaysOffSampler()],
  ['traceidratio', (ratio) => new TraceIdRatioBasedSampler(ratio)],
  ['parentbased_always_on', () => new ParentBasedSampler({ root: new AlwaysOnSampler() })],
  ['parentbased_always_off', () => new ParentBasedSampler({ root: new AlwaysOffSampler() })],
  ['parentbased_traceidratio', (ratio) => new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) })],
]);

/** The sampler for allows that the variables name; everything where they name none. */
function samplerFrom(environment: OtelVariables): Sampler {
  const given = Number(environment['OTEL_TRACES_SAMPLER_ARG'] ?? '1');
  const ratio = given >= 0 && given <= 1 ? given : 1;
  const named = samplers.get(environment['OTEL_TRACES_SAMPLER'] ?? 'parentbased_always_on');
  return (named ?? (() => new AlwaysOnSampler()))(ratio);
}
