import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';
import type { Metrics } from '../../../../src/core/telemetry/metrics/metrics.ts';
import { startTelemetry } from '../../../../src/core/telemetry/start-telemetry.ts';
import type { Telemetry } from '../../../../src/core/telemetry/telemetry.ts';
import { FaultProxy } from '../../../fault-proxy.ts';
import { until } from '../../../until.ts';
import { Collector } from '../collector.ts';
import { grpcCollector } from '../grpc-collector.ts';
import { asScraped } from '../pushed-request.ts';
import type { Pushed } from '../pushed-request.ts';

let collector: Collector;
let telemetry: Telemetry | null = null;
let lines: string[] = [];
beforeEach(async () => {
  collector = await Collector.start();
  lines = [];
});
afterEach(async () => {
  await telemetry?.close();
  telemetry = null;
  await collector.close();
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
});

/** Exporters read the environment of the process. */
async function started(variables: Readonly<Record<string, string>>): Promise<Telemetry> {
  Object.assign(process.env, { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, variables);
  telemetry = await startTelemetry(process.env, { ports: systemPorts, log: (line) => lines.push(line) });
  return telemetry;
}

/** Metrics with values of each type, and labels that need escaping. */
function counted(): Metrics {
  const metrics = newMetrics();
  metrics.decisions.of({ decision: 'deny', reason: 'token.expired', action: 'a "quoted\\" one' }).inc(3);
  metrics.checkDuration.of({}).observe(0.0004);
  metrics.checkDuration.of({}).observe(0.3, { traceId: '5'.repeat(32), atMs: 1_700_000_000_000 });
  metrics.stageDuration.of({ stage: 'decide' }).observe(20);
  metrics.clockLead.of({}).set(-1.5);
  metrics.ledgerBytes.of({}).set(2 ** 40);
  metrics.beforeScrape(() => metrics.checksInFlight.of({}).set(7));
  return metrics;
}

const scraped = (metrics: Metrics): readonly string[] => metrics.scrape('text').body.trimEnd().split('\n');

/** Protobuf omits empty fields. */
const unitOf = (pushed: readonly Pushed[], name: string): string =>
  pushed.find((each) => each.name === name)?.unit ?? '';

describe('beginPush', () => {
  it.each([
    ['http/protobuf', {}, 'application/x-protobuf'],
    ['http/protobuf', { OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: 'gzip' }, 'application/x-protobuf'],
    ['http/json', {}, 'application/json'],
  ])('pushes by %s %o the values of a scrape, line by line, at its end', async (protocol, more, contentType) => {
    const variables = {
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'x-tenant=acme',
    };
    const running = await started({ ...variables, ...more });
    const metrics = counted();
    await running.beginPush(metrics.read)();
    expect(collector.pushes).toHaveLength(1);
    const [pushed = []] = collector.pushes;
    expect(asScraped(pushed)).toEqual(scraped(metrics));
    expect(collector.pushHeaders[0]).toMatchObject({ 'content-type': contentType, 'x-tenant': 'acme' });
    expect(lines).toEqual([]);
  });

  it('pushes the same over gRPC', async () => {
    const grpc = await grpcCollector();
    const running = await started({
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_ENDPOINT: grpc.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=acme',
    });
    const metrics = counted();
    await running.beginPush(metrics.read)();
    grpc.close();
    const [pushed = []] = grpc.pushes;
    expect(asScraped(pushed)).toEqual(scraped(metrics));
    expect(grpc.pushHeaders[0]?.get('x-tenant')).toEqual(['acme']);
  });

  // Issue 37, point 5.
  it('leaves a collector over gRPC whose connection does not answer, and pushes over another connection', async () => {
    const grpc = await grpcCollector();
    const proxy = await FaultProxy.start(Number(new URL(grpc.url).port));
    const running = await started({
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${proxy.port}`,
      OTEL_METRIC_EXPORT_INTERVAL: '50',
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    });
    const end = running.beginPush(counted().read);
    await until(() => grpc.pushes.length > 0, { what: 'a push' });
    proxy.freezeOpen();
    const before = grpc.pushes.length;
    await until(() => grpc.pushes.length > before, { what: 'a push over another connection' });
    await proxy.close();
    await end();
    grpc.close();
  });

  it('states units, and that values are cumulative', async () => {
    const running = await started({});
    await running.beginPush(counted().read)();
    const [pushed = []] = collector.pushes;
    expect(
      ['remit_check_duration_seconds', 'remit_ledger_bytes', 'process_cpu_seconds_total', 'remit_decisions_total'].map(
        (name) => unitOf(pushed, name),
      ),
    ).toEqual(['s', 'By', 's', '']);
    const temporal = pushed.flatMap(({ sum, histogram }) => sum ?? histogram ?? []);
    expect(new Set(temporal.map(({ aggregationTemporality }) => aggregationTemporality))).toEqual(new Set([2]));
  });

  it('pushes every interval between its begin and its end', async () => {
    const running = await started({ OTEL_METRIC_EXPORT_INTERVAL: '50' });
    const metrics = counted();
    let reads = 0;
    const end = running.beginPush(() => {
      reads += 1;
      return metrics.read();
    });
    await until(async () => collector.pushes.length >= 3);
    await end();
    const readsAtEnd = reads;
    await running.close();
    telemetry = null;
    expect(reads).toBe(readsAtEnd);
  });

  it('logs once that the collector rejects them, and goes on', async () => {
    const running = await started({ OTEL_METRIC_EXPORT_INTERVAL: '50' });
    collector.behaviour = 'refuses';
    const end = running.beginPush(counted().read);
    await until(async () => collector.pushes.length >= 3);
    await end();
    expect(lines).toEqual([
      'metrics: the collector rejected them; set `OTEL_METRICS_EXPORTER=none` for a collector that accepts no metrics',
    ]);
  });

  it('ends although the collector stalls', async () => {
    const running = await started({ OTEL_TRACES_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none' });
    collector.behaviour = 'stalls';
    await running.beginPush(counted().read)();
    await running.close();
    telemetry = null;
    expect(collector.pushes).not.toHaveLength(0);
  });

  it.each([
    ['the exporter is none', { OTEL_METRICS_EXPORTER: 'none' }],
    ['a scraper fetches them', { OTEL_METRICS_EXPORTER: 'prometheus' }],
    ['the SDK is disabled', { OTEL_SDK_DISABLED: 'true' }],
  ])('pushes nothing if %s', async (_name, variables) => {
    const running = await started(variables);
    await running.beginPush(counted().read)();
    expect([running.destinations.metrics, collector.pushes]).toEqual([null, []]);
  });
});
