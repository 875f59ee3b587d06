import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { deny } from '../../../src/core/decision/decision.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { issuerTracer } from '../../../src/core/telemetry/issuance.ts';
import { startTelemetry } from '../../../src/core/telemetry/start-telemetry.ts';
import type { Telemetry } from '../../../src/core/telemetry/telemetry.ts';
import { allow, judgementOf, traceUnderEnvoy } from './checks.ts';
import { Collector } from './collector.ts';
import { grpcCollector } from './grpc-collector.ts';

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

/** Exporters read the environment of the process. */
async function started(more: Readonly<Record<string, string>> = {}): Promise<Telemetry> {
  Object.assign(process.env, variables, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces` }, more);
  telemetry = await startTelemetry(process.env, { ports: systemPorts, log: (line) => lines.push(line) });
  return telemetry;
}

const decisions = { allow, deny: deny('policy.forbidden', 'by `x`') } as const;

const check = ({ spans }: Telemetry, decision: keyof typeof decisions): unknown =>
  traceUnderEnvoy({ spans, ports: systemPorts }, judgementOf(decisions[decision]));

describe('startTelemetry', () => {
  it('follows the standard variables: endpoint, protocol, headers, resource, sampler', async () => {
    const running = await started({ OTEL_TRACES_SAMPLER: 'always_off' });
    check(running, 'allow');
    check(running, 'deny');
    // Recorded whatever the sampler and the sampling flag of the caller are.
    const unsampled = `00-${'3'.repeat(32)}-${'4'.repeat(16)}-00`;
    issuerTracer({ tracer: running.tracer, ports: systemPorts }).start('task.end', {}, unsampled).end({});
    await running.close();
    expect(collector.spans.map(({ name }) => name)).toEqual(['deny payments.list', 'task.end']);
    expect(collector.headers[0]).toMatchObject({ 'x-tenant': 'acme', 'content-type': 'application/json' });
    expect([...collector.resource]).toEqual(
      expect.arrayContaining([
        ['service.name', 'remit-east'],
        ['deployment.environment.name', 'test'],
      ]),
    );
  });

  it.each([
    ['http/protobuf', {}, { 'content-type': 'application/x-protobuf' }],
    ['http/protobuf', { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' }, { 'content-encoding': 'gzip' }],
    ['http/json', {}, { 'content-type': 'application/json' }],
    ['http/json', { OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-region=east' }, { 'x-tenant': 'acme', 'x-region': 'east' }],
  ])('sends checks and issuance over %s, %o', async (protocol, more, headers) => {
    const running = await started({ OTEL_EXPORTER_OTLP_PROTOCOL: protocol, ...more });
    check(running, 'deny');
    const issued = issuerTracer({ tracer: running.tracer, ports: systemPorts }).start('token.issue', { a: 1 }, null);
    issued.end({ b: ['x', 'y'] });
    await running.close();
    expect(collector.batches).toEqual([2]);
    const [checked, issuance] = collector.spans;
    expect(checked?.attributes.get('remit.reason')).toBe('policy.forbidden');
    expect(issuance).toMatchObject({ name: 'token.issue', spanId: issued.spanId });
    expect(Number(issuance?.attributes.get('a'))).toBe(1);
    expect(collector.headers[0]).toMatchObject(headers);
  });

  it('sends over gRPC, with the resource of the process', async () => {
    const grpc = await grpcCollector();
    const running = await started({
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: grpc.url,
    });
    check(running, 'deny');
    await running.close();
    grpc.close();
    expect(grpc.spans.map((span) => span.attributes.get('remit.decision'))).toEqual(['deny']);
    expect(grpc.headers[0]?.get('x-tenant')).toEqual(['acme']);
    expect(Object.fromEntries(grpc.resource)).toMatchObject({
      'service.name': 'remit-east',
      'deployment.environment.name': 'test',
      'telemetry.sdk.name': 'opentelemetry',
      'process.pid': process.pid,
      'host.name': hostname(),
    });
    expect(lines).toEqual([]);
  });

  it('keeps attributes within the limits of the variables', async () => {
    const running = await started({ OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '3', OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '2' });
    check(running, 'deny');
    await running.close();
    expect([...(collector.spans[0]?.attributes ?? [])]).toEqual([
      ['remit.decision', 'den'],
      ['remit.decision.id', 'd-1'],
    ]);
  });

  it.each([
    ['is disabled', { OTEL_SDK_DISABLED: 'true' }],
    ['has no exporter', { OTEL_TRACES_EXPORTER: 'none' }],
  ])('makes no span if it %s', async (_name, more) => {
    const running = await started(more);
    expect(running.spans).toBeNull();
    expect(running.tracer).toBeNull();
    check(running, 'deny');
    await running.close();
    expect(collector.batches).toEqual([]);
  });

  it('starts again in the same process', async () => {
    const first = await started();
    check(first, 'deny');
    await first.close();
    const second = await started();
    check(second, 'deny');
    await second.close();
    expect(collector.spans).toHaveLength(2);
  });

  it('ends although the collector stalls, and logs what was lost', async () => {
    const running = await started({ OTEL_EXPORTER_OTLP_TIMEOUT: '2000' });
    collector.behaviour = 'stalls';
    for (let n = 0; n < 3; n += 1) check(running, 'deny');
    await running.close();
    telemetry = null;
    expect(lines).toEqual(['spans: 3 dropped of `denials`: they were not sent before the end']);
    expect(running.dropped.count('denials')).toBe(3);
  });

  it('exports nothing if no collector is configured', async () => {
    const running = await startTelemetry({}, { ports: systemPorts, log: (line) => lines.push(line) });
    check(running, 'deny');
    expect([running.spans, running.tracer]).toEqual([null, null]);
    expect(running.destinations).toEqual({ traces: null, logs: null, metrics: null });
  });
});
