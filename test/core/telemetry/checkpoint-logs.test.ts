import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { startTelemetry } from '../../../src/core/telemetry/start-telemetry.ts';
import { otlpReceiver, type OtlpReceiver } from '../../e2e/otlp-receiver.ts';

let collector: OtlpReceiver;
let lines: string[] = [];
beforeEach(async () => {
  collector = await otlpReceiver();
  lines = [];
});
afterEach(async () => {
  await collector.close();
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
});

const note = 'remit.acme.test/main/00\n7\nAAAA\n\n— remit.acme.test/main/00 BBBB\n';

/** Exporters read the environment of the process. */
const started = (variables: Readonly<Record<string, string>>) => {
  Object.assign(process.env, variables);
  return startTelemetry(process.env, { ports: systemPorts, log: (line) => lines.push(line) });
};

describe('emitCheckpoint', () => {
  it.each([
    ['the endpoint of logs', () => ({ OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `${collector.endpoint}/v1/logs` })],
    ['the general endpoint', () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })],
    ['an exporter', () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_LOGS_EXPORTER: 'otlp' })],
  ])('sends each note to %s, and the last notes when it is closed', async (_name, variables) => {
    const logs = await started(variables());
    logs.emitCheckpoint({ size: 7, note, atMs: 1_000 });
    await logs.close();
    expect(lines).toEqual([]);
    expect(collector.bodies).toHaveLength(1);
    // Protobuf contains texts unchanged.
    expect(collector.bodies[0]).toContain(note);
    expect(collector.bodies[0]).toContain('remit.ledger.checkpoint');
  });

  it('follows protocol, service name and resource', async () => {
    const logs = await started({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_SERVICE_NAME: 'remit-east',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    });
    logs.emitCheckpoint({ size: 7, note, atMs: 1_000 });
    await logs.close();
    const [{ resource, scopeLogs }] = JSON.parse(collector.bodies[0] ?? '').resourceLogs;
    expect(resource.attributes).toEqual(
      expect.arrayContaining([
        { key: 'service.name', value: { stringValue: 'remit-east' } },
        { key: 'deployment.environment.name', value: { stringValue: 'test' } },
      ]),
    );
    expect(scopeLogs[0].logRecords).toMatchObject([{ timeUnixNano: '1000000000', body: { stringValue: note } }]);
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ['no collector is configured', {}],
    ['the exporter is none', { OTEL_LOGS_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }],
  ])('sends nothing if %s', async (_name, variables) => {
    const logs = await started(variables);
    logs.emitCheckpoint({ size: 7, note, atMs: 1_000 });
    await logs.close();
    expect([logs.destinations.logs, lines]).toEqual([null, []]);
  });

  it('logs once that a collector rejects log records, and ends', async () => {
    await collector.close();
    const logs = await started({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: '500' });
    logs.emitCheckpoint({ size: 7, note, atMs: 1_000 });
    await logs.close();
    expect(lines).toEqual([
      'checkpoints: the collector rejected them as log records; set `OTEL_LOGS_EXPORTER=none` for a collector that accepts no logs',
    ]);
    collector = await otlpReceiver();
  });
});
