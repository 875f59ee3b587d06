import { describe, expect, it } from '@jest/globals';
import { grpcTimeoutMs } from '../../../../src/sidecar/envoy/grpc/grpc-timeout.ts';

describe('grpcTimeoutMs', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3_000],
    ['200m', 200],
    ['1500u', 1.5],
    ['0n', 0],
    ['99999999H', 99_999_999 * 3_600_000],
  ])('reads `%s`', (header, ms) => expect(grpcTimeoutMs(header)).toBe(ms));

  it.each([undefined, '', '1', 'm', '-1m', '1.5S', '123456789m', '1s', ' 1m', '1m, 1m'])(
    'treats %p as absent',
    (header) => expect(grpcTimeoutMs(header)).toBeNull(),
  );
});
