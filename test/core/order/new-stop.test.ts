import { expect, it } from '@jest/globals';
import { newStop } from '../../../src/core/order/new-stop.ts';

const asked = { kind: 'all', what: '', minutes: 30, because: 'INC-42' } as const;
const maker = { by: 'Ada', randomBytes: (length: number) => new Uint8Array(length) };

it.each([
  ['the clock is ahead', 9_000, 9_000],
  ['the clock was read just before the floor', 4_999, 5_000],
])('a stop of 30 minutes ends no earlier than 30 minutes after it was made, if %s', (_if, nowMs, fromMs) => {
  expect(newStop(asked, { ...maker, nowMs, floorMs: 5_000 })).toMatchObject({
    madeAtMs: 5_000,
    untilMs: fromMs + 30 * 60_000,
  });
});
