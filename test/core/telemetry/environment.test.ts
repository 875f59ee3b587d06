import { describe, expect, it } from '@jest/globals';
import { queueSettingsFrom } from '../../../src/core/telemetry/environment.ts';

describe('queueSettingsFrom', () => {
  it.each([
    ['nothing', {}, [8192, 512, 1000, 30_000]],
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
    ['an invalid number', { OTEL_BSP_MAX_QUEUE_SIZE: 'many' }, [8192, 512, 1000, 30_000]],
    ['a bound of 0', { OTEL_BSP_MAX_QUEUE_SIZE: '0' }, [8192, 512, 1000, 30_000]],
  ])('reads %s', (_name, given, expected) => {
    const { maxSpans, maxBytes, batchSpans, delayMs, timeoutMs } = queueSettingsFrom(given);
    expect(maxBytes).toBe(maxSpans * 2048);
    expect([maxSpans, batchSpans, delayMs, timeoutMs]).toEqual(expected);
  });
});
