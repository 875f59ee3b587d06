import { describe, expect, it } from '@jest/globals';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import { otlpLogsRequest } from '../../../src/core/telemetry/ledger-logs.ts';
import { must } from '../../builders/must.ts';

const timeOf = (at: unknown): unknown => {
  const record = Buffer.from(JSON.stringify({ at, kind: 'use' }));
  const bytes = must(leafBytes(record, { boot: '0'.repeat(32), mono: 1, prev: null, seq: 1 }));
  const { resourceLogs } = JSON.parse(otlpLogsRequest([{ bytes }], 'o')) as {
    readonly resourceLogs: readonly { readonly scopeLogs: readonly { readonly logRecords: readonly object[] }[] }[];
  };
  return resourceLogs[0]?.scopeLogs[0]?.logRecords[0];
};

describe('otlpLogsRequest', () => {
  it.each([
    ['an instant', 1_795_550_000_000, '1795550000000000000'],
    ['an instant with fractions', 1_795_550_000_000.5, '1795550000000000000'],
    ['one that 64 bits of nanoseconds do not hold', 1e300, '0'],
    ['one before 1970', -5, '0'],
    ['a text', '5', '0'],
  ])('has a time that every collector takes for a record with %s', (_name, at, nanos) => {
    expect(timeOf(at)).toMatchObject({ timeUnixNano: nanos, observedTimeUnixNano: nanos });
  });
});
