import { trace } from '@opentelemetry/api';
import type { Attributes } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from '@jest/globals';
import { remitVersion } from '../../src/config/version.ts';
import type { OtelVariables } from '../../src/telemetry/environment.ts';
import { originFrom, settled } from '../../src/telemetry/span-origin.ts';

/** The resource of a span that OpenTelemetry's own SDK for Node makes with these variables. */
async function officialResource(variables: OtelVariables): Promise<Attributes> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  const spans: ReadableSpan[] = [];
  const kept: SpanProcessor = {
    onStart: () => undefined,
    onEnd: (span) => void spans.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const sdk = new NodeSDK({
    serviceName: variables['OTEL_SERVICE_NAME'] ?? 'remit',
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
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

/** The same as Remit has it. The detectors read the process themselves. */
async function ownResource(variables: OtelVariables): Promise<Attributes> {
  Object.assign(process.env, variables);
  try {
    return (await settled(originFrom(variables).resource)).attributes;
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
  }
}

/** Drawn anew for each resource. */
const withoutInstance = ({ 'service.instance.id': _drawn, ...attributes }: Attributes): Attributes => attributes;

describe('originFrom', () => {
  it.each<[string, OtelVariables]>([
    ['nothing', { OTEL_TRACES_EXPORTER: 'otlp' }],
    ['a name', { OTEL_SERVICE_NAME: 'remit-eu' }],
    ['attributes', { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=prod,k8s.pod.name=remit-0' }],
    ['a name among the attributes', { OTEL_RESOURCE_ATTRIBUTES: 'service.name=x,team=payments' }],
    ['no detectors', { OTEL_NODE_RESOURCE_DETECTORS: 'none' }],
    ['some detectors', { OTEL_NODE_RESOURCE_DETECTORS: 'env,host', OTEL_RESOURCE_ATTRIBUTES: 'team=a' }],
    ['all detectors', { OTEL_NODE_RESOURCE_DETECTORS: 'all' }],
  ])('has the resource that the SDK for Node has, and the version: %s', async (_name, variables) => {
    const official = withoutInstance(await officialResource(variables));
    expect(withoutInstance(await ownResource(variables))).toEqual({ ...official, 'service.version': remitVersion() });
    expect(official['telemetry.sdk.language']).toBe('nodejs');
  });
});
