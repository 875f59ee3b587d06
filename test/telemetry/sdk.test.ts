import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DroppedSpans } from '../../src/telemetry/dropped-spans.ts';
import { exportersFrom, queueSettingsFrom } from '../../src/telemetry/environment.ts';
import { startTelemetry } from '../../src/telemetry/sdk.ts';
import type { Telemetry } from '../../src/telemetry/sdk.ts';
import { Collector } from './collector.ts';

const variables = {
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=acme',
  OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  OTEL_SERVICE_NAME: 'remit-east',
} as const;

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

/** Exporters read the variables of the process. */
function started(more: Readonly<Record<string, string>> = {}): Telemetry {
  Object.assign(process.env, variables, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, more);
  telemetry = startTelemetry(process.env, { log: (line) => lines.push(line) });
  return telemetry;
}

const check = ({ tracer }: Telemetry, decision: string): void =>
  tracer.startSpan('remit.check', { attributes: { 'remit.decision': decision } }).end();

describe('startTelemetry', () => {
  it('follows the standard variables: endpoint, protocol, headers, resource, sampler', async () => {
    const running = started({ OTEL_TRACES_SAMPLER: 'always_off' });
    check(running, 'allow');
    check(running, 'deny');
    await running.close();
    expect(collector.spans.map((span) => span.attributes.get('remit.decision'))).toEqual(['deny']);
    expect(collector.headers[0]).toMatchObject({ 'x-tenant': 'acme', 'content-type': 'application/json' });
    expect([...collector.resource]).toEqual(
      expect.arrayContaining([
        ['service.name', 'remit-east'],
        ['deployment.environment.name', 'test'],
      ]),
    );
  });

  it('starts again in the same process', async () => {
    const first = started();
    check(first, 'deny');
    await first.close();
    const second = started();
    check(second, 'deny');
    await second.close();
    expect(collector.spans).toHaveLength(2);
  });

  it('ends although the collector stalls, and says what was lost', async () => {
    const running = started({ OTEL_EXPORTER_OTLP_TIMEOUT: '2000' });
    collector.behaviour = 'stalls';
    for (let n = 0; n < 3; n += 1) check(running, 'deny');
    await running.close();
    telemetry = null;
    expect(lines).toEqual(['spans: 3 dropped of `denials`: they were not sent before the end']);
    expect(running.dropped.count('denials')).toBe(3);
  }, 20_000);

  it('exports nothing where nobody named a collector', async () => {
    telemetry = startTelemetry({}, { log: (line) => lines.push(line) });
    check(telemetry, 'deny');
    expect(telemetry.destination).toBe('none');
  });
});

describe('exportersFrom', () => {
  it.each([
    ['OTLP where none is named', {}, ['OTLPTraceExporter'], []],
    ['none', { OTEL_TRACES_EXPORTER: 'none' }, [], []],
    ['two', { OTEL_TRACES_EXPORTER: 'otlp, console' }, ['OTLPTraceExporter', 'ConsoleSpanExporter'], []],
    [
      'none that it does not know',
      { OTEL_TRACES_EXPORTER: 'zipkin' },
      [],
      ['`OTEL_TRACES_EXPORTER` has `zipkin`: known are otlp, console, none'],
    ],
    [
      'protobuf for a protocol that it does not know',
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'thrift' },
      ['OTLPTraceExporter'],
      ['`OTEL_EXPORTER_OTLP_PROTOCOL` is `thrift`, http/protobuf is taken: known are grpc, http/json, http/protobuf'],
    ],
  ])('gives %s', (_name, given, names, problems) => {
    const found = exportersFrom(given);
    expect([found.exporters.map((exporter) => exporter.constructor.name), found.problems]).toEqual([names, problems]);
  });
});

describe('queueSettingsFrom', () => {
  it.each([
    ['nothing', {}, [8192, 128, 1000, 30_000]],
    [
      'all of them',
      {
        OTEL_BSP_MAX_QUEUE_SIZE: '10',
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '5',
        OTEL_BSP_SCHEDULE_DELAY: '7',
        OTEL_BSP_EXPORT_TIMEOUT: '9',
      },
      [10, 5, 7, 9],
    ],
    ['a batch larger than its queue', { OTEL_BSP_MAX_QUEUE_SIZE: '10' }, [10, 10, 1000, 30_000]],
    ['what is no number', { OTEL_BSP_MAX_QUEUE_SIZE: 'many' }, [8192, 128, 1000, 30_000]],
    ['no bound at all', { OTEL_BSP_MAX_QUEUE_SIZE: '0' }, [8192, 128, 1000, 30_000]],
  ])('reads %s', (_name, given, expected) => {
    const { maxSpans, batchSpans, delayMs, timeoutMs } = queueSettingsFrom(given);
    expect([maxSpans, batchSpans, delayMs, timeoutMs]).toEqual(expected);
  });
});

describe('DroppedSpans', () => {
  it('counts each, and says so at once and then once a minute', () => {
    const said: string[] = [];
    const timers: (() => void)[] = [];
    const dropped = new DroppedSpans({
      log: (line) => said.push(line),
      after: (delayMs, run) => {
        expect(delayMs).toBe(60_000);
        timers.push(run);
        return () => undefined;
      },
    });
    for (let n = 0; n < 5; n += 1) dropped.add('allows', 2, 'full');
    expect(said).toEqual(['spans: 2 dropped of `allows`: its queue is full']);
    timers.shift()?.();
    dropped.add('denials', 1, 'failed');
    expect([dropped.count('allows'), dropped.count('denials')]).toEqual([10, 1]);
    dropped.close();
    expect(said.slice(1)).toEqual([
      'spans: 8 dropped of `allows`: its queue is full',
      'spans: 1 dropped of `denials`: the collector did not take them',
    ]);
  });
});
