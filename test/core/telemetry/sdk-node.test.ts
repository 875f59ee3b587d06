import { trace } from '@opentelemetry/api';
import type { Attributes } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from '@jest/globals';
import { deny } from '../../../src/core/decision/decision.ts';
import { remitVersion } from '../../../src/core/config/version.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import type { OtelVariables } from '../../../src/core/telemetry/environment.ts';
import { issuerTracer } from '../../../src/core/telemetry/issuance.ts';
import { settled } from '../../../src/core/telemetry/spans/span-origin.ts';
import { startTelemetry } from '../../../src/core/telemetry/start-telemetry.ts';
import { judgementOf, traceUnderEnvoy } from './checks.ts';
import { Collector } from './collector.ts';

/** The resource of a span made by OpenTelemetry's SDK for Node with the environment of the process. */
async function officialResource(): Promise<Attributes> {
  const spans: ReadableSpan[] = [];
  const kept: SpanProcessor = {
    onStart: () => undefined,
    onEnd: (span) => void spans.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const serviceName = process.env['OTEL_SERVICE_NAME'];
  const sdk = new NodeSDK({
    ...(serviceName === undefined ? {} : { serviceName }),
    spanProcessors: [kept],
    metricReaders: [],
    logRecordProcessors: [],
  });
  try {
    sdk.start();
    trace.getTracer('remit').startSpan('a').end();
    const [span] = spans;
    if (span === undefined) throw new Error('no span was made');
    return (await settled(span.resource)).attributes;
  } finally {
    await sdk.shutdown();
    trace.disable();
  }
}

/** The resource that Remit sends with a check's span and an issuance span, in one request. */
async function sentResource(collector: Collector): Promise<Readonly<Record<string, unknown>>> {
  const running = await startTelemetry(process.env, { ports: systemPorts, log: () => undefined });
  traceUnderEnvoy({ spans: running.spans, ports: systemPorts }, judgementOf(deny('policy.forbidden', 'by `x`')));
  issuerTracer({ tracer: running.tracer, ports: systemPorts }).start('token.issue', {}, null).end({});
  await running.close();
  expect(collector.spans).toHaveLength(2);
  return Object.fromEntries(collector.resource);
}

/** Without what differs for each resource, and what a collector decodes as another type. */
const comparable = ({ 'service.instance.id': _drawn, ...attributes }: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, typeof value === 'object' ? 'list' : value]),
  );

/** The official attributes, with Remit's own name and version where the variables set none. */
const named = (official: Attributes): Attributes => ({
  ...official,
  ...(String(official['service.name']).startsWith('unknown_service') ? { 'service.name': 'remit' } : {}),
  'service.version': official['service.version'] ?? remitVersion(),
});

describe('startTelemetry', () => {
  it.each<[string, OtelVariables]>([
    ['nothing', {}],
    ['a name', { OTEL_SERVICE_NAME: 'remit-eu' }],
    ['attributes', { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=prod,k8s.pod.name=remit-0' }],
    ['a name among the attributes', { OTEL_RESOURCE_ATTRIBUTES: 'service.name=x,team=payments' }],
    ['a version among the attributes', { OTEL_RESOURCE_ATTRIBUTES: 'service.version=7' }],
    ['no detectors', { OTEL_NODE_RESOURCE_DETECTORS: 'none' }],
    ['some detectors', { OTEL_NODE_RESOURCE_DETECTORS: 'env,host', OTEL_RESOURCE_ATTRIBUTES: 'team=a' }],
    ['all detectors', { OTEL_NODE_RESOURCE_DETECTORS: 'all' }],
  ])('sends the resource of the SDK for Node, with name and version: %s', async (_name, variables) => {
    const collector = await Collector.start();
    const before = { ...process.env };
    Object.assign(process.env, variables, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces` });
    try {
      const official = await officialResource();
      expect(comparable(await sentResource(collector))).toEqual(comparable(named(official)));
      expect(official['telemetry.sdk.language']).toBe('nodejs');
    } finally {
      await collector.close();
      for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
      Object.assign(process.env, before);
    }
  });
});
