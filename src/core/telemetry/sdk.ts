import { after } from '../runtime/timers.ts';
import { attributeLimitsFrom } from './spans/attribute-limits.ts';
import { emitCheckpoint, logProcessorsTo } from './checkpoint-logs.ts';
import type { Destination, Destinations } from './destinations.ts';
import type { DroppedSpans } from './spans/dropped-spans.ts';
import type { EndedSpan } from './spans/ended-span.ts';
import { queueSettingsFrom } from './environment.ts';
import type { OtelVariables } from './environment.ts';
import { HandedSpans } from './spans/handed-spans.ts';
import { MetricPush } from './metrics/metric-push.ts';
import { SCOPE, startNodeSdk } from './node-sdk.ts';
import { samplerFrom } from './spans/sampler.ts';
import { spanExportersTo } from './spans/span-exporters.ts';
import type { SpanOrigin } from './spans/span-origin.ts';
import { SpanRouter } from './spans/span-router.ts';
import type { OnDropped } from './spans/span-router.ts';
import type { Telemetry, TelemetryOptions } from './telemetry.ts';

/** What the SDK needs besides. */
interface SdkOptions extends TelemetryOptions {
  readonly destinations: Destinations;
  readonly dropped: DroppedSpans;
}

const CLOSE_TIMEOUT_MS = 5_000;

/**
 * Telemetry through OpenTelemetry's SDK. Spans of checks are written as bytes; spans of the SDK's tracer go through the same queues and
 * exporters.
 *
 * INVARIANT: only `start-telemetry.ts` imports this, dynamically: loading the SDK takes start time and memory (test/bench/README.md).
 */
export function startSdk(variables: OtelVariables, options: SdkOptions): Telemetry {
  const { destinations, dropped, ports, log } = options;
  const { traces, logs, metrics } = destinations;
  let routers: readonly SpanRouter[] = [];
  const add = (span: EndedSpan): void => {
    for (const router of routers) router.add(span);
  };
  const handed = new HandedSpans(add);
  const push =
    metrics === null ? null : new MetricPush(metrics, { variables, nowMs: ports.nowMs, scopeName: SCOPE, log });
  const sdk = startNodeSdk(
    variables,
    {
      spanProcessors: traces === null ? [] : [handed],
      logRecordProcessors: logs === null ? [] : logProcessorsTo(logs, { variables, log }),
      metricReaders: push?.readers ?? [],
    },
    ports.randomBytes,
  );
  // A started span has the detected resource; a span that never ends is never exported.
  sdk.tracer.startSpan('remit.start', { root: true });
  if (traces !== null && handed.resource !== null) {
    const origin = { resource: handed.resource, scopeName: SCOPE, limits: attributeLimitsFrom(variables) };
    routers = routersTo(traces, origin, { ...options, variables });
  }
  return {
    spans: traces === null ? null : { samplesAllow: samplerFrom(variables), add },
    tracer: traces === null ? null : sdk.tracer,
    emitCheckpoint: (checkpoint) => emitCheckpoint(sdk.logger, checkpoint),
    beginPush: (read) => {
      push?.begin(read);
      return () => inTime(push === null ? [] : [push.end()]);
    },
    destinations,
    dropped,
    close: async () => {
      await inTime([sdk.shutdown(), ...routers.map((router) => router.shutdown())]);
      for (const router of routers) router.abandon();
      dropped.close();
    },
  };
}

function routersTo(
  destination: Destination,
  origin: SpanOrigin,
  { variables, dropped, onDropped, onTried }: SdkOptions & { readonly variables: OtelVariables },
): readonly SpanRouter[] {
  const settings = queueSettingsFrom(variables);
  const drop: OnDropped = (queue, count, cause) => {
    dropped.add(queue, count, cause);
    onDropped?.(queue, count);
  };
  return spanExportersTo(destination, origin).map(
    (each) => new SpanRouter(each, { settings, after, onDropped: drop, onTried }),
  );
}

/** Waits for all of it, at most 5 s. */
async function inTime(work: readonly Promise<unknown>[]): Promise<void> {
  // Not `after`, whose timers do not keep the process alive.
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
  await Promise.race([Promise.allSettled(work), late]);
  clearTimeout(timer);
}
