import { describe, expect, it } from '@jest/globals';
import { placeUnder, spanContextFrom } from '../../../../src/core/telemetry/spans/trace-context.ts';

describe('spanContextFrom', () => {
  it.each([
    ['nothing', null],
    ['an empty text', ''],
    ['another version', `01-${'1'.repeat(32)}-${'1'.repeat(16)}-01`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`],
    ['a span of zeros', `00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['upper case', `00-${'A'.repeat(32)}-${'1'.repeat(16)}-01`],
    ['a suffix', `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01-x`],
  ])('refuses %s', (_name, text) => {
    expect(spanContextFrom(text)).toBeNull();
  });
});

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index + 1);

describe('placeUnder', () => {
  const parent = { traceId: '3'.repeat(32), spanId: '3'.repeat(16), traceFlags: 1, isRemote: true };

  it('is in the trace of its parent, or begins a new trace', () => {
    expect(placeUnder(parent, bytes)).toEqual({ traceId: '3'.repeat(32), spanId: '0102030405060708' });
    expect(placeUnder(null, bytes)).toEqual({
      traceId: '0102030405060708090a0b0c0d0e0f10',
      spanId: '1112131415161718',
    });
  });
});
