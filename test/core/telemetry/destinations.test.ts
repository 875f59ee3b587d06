import { describe, expect, it } from '@jest/globals';
import { destinationsFrom } from '../../../src/core/telemetry/destinations.ts';

const endpoint = 'http://collector.acme.test:4318';
const collected = { otlp: 'http/protobuf', isConsole: false, text: endpoint };

describe('destinationsFrom', () => {
  it.each([
    ['nothing', {}, [null, null, null]],
    ['blank variables', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ', OTEL_TRACES_EXPORTER: '' }, [null, null, null]],
    ['the general endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, [collected, collected, collected]],
    ['the endpoint of spans', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint }, [collected, null, null]],
    [
      'an exporter without an endpoint, for a collector on this host',
      { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'grpc' },
      [null, null, { otlp: 'grpc', isConsole: false, text: 'otlp' }],
    ],
    [
      'two exporters',
      { OTEL_TRACES_EXPORTER: 'otlp, console', OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
      [{ otlp: 'http/json', isConsole: true, text: 'otlp, console' }, null, null],
    ],
    [
      'two exporters that are none, and scraped metrics',
      { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_LOGS_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'prometheus' },
      [collected, null, null],
    ],
    ['a disabled SDK', { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: 'true' }, [null, null, null]],
  ])('reads %s', (_name, variables, expected) => {
    const { traces, logs, metrics } = destinationsFrom(variables);
    expect([traces, logs, metrics]).toEqual(expected);
  });

  it('shows no credential of an endpoint', () => {
    const { traces } = destinationsFrom({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://me:s3cret@collector.acme.test/otlp?key=s3cret',
    });
    expect(traces?.text).toBe('https://collector.acme.test/otlp');
  });
});
