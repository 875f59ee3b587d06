import { describe, expect, it } from '@jest/globals';
import { exportersFrom } from '../../src/telemetry/exporters.ts';
import { originFrom } from '../../src/telemetry/span-origin.ts';

describe('exportersFrom', () => {
  it.each([
    ['OTLP where none is named', {}, 1, []],
    ['none', { OTEL_TRACES_EXPORTER: 'none' }, 0, []],
    ['two', { OTEL_TRACES_EXPORTER: 'otlp, console' }, 2, []],
    [
      'none that it does not know',
      { OTEL_TRACES_EXPORTER: 'zipkin' },
      0,
      ['`OTEL_TRACES_EXPORTER` has `zipkin`: known are otlp, console, none'],
    ],
    [
      'protobuf for a protocol that it does not know',
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'thrift' },
      1,
      ['`OTEL_EXPORTER_OTLP_PROTOCOL` is `thrift`, using http/protobuf: known are grpc, http/json, http/protobuf'],
    ],
  ])('gives %s', (_name, given, count, problems) => {
    const found = exportersFrom(given, originFrom({}));
    expect([found.exporters.length, found.problems]).toEqual([count, problems]);
  });
});
