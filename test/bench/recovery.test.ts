import { describe, expect, it } from '@jest/globals';
import { recoverySeconds } from './recovery.ts';

/** Calls 100 ms apart, from so many milliseconds on; `x` is one that failed. */
const hits = (calls: string, firstMs = 0) =>
  calls.split('').map((call, index) => ({
    atMs: firstMs + index * 100,
    tookMs: 1,
    status: call === 'x' ? 503 : 200,
    body: '',
  }));

describe('recoverySeconds', () => {
  it.each([
    ['none that fails', '............', 0],
    ['the first fail', 'xxx............', 0.2],
    ['one fails later, within the second', 'x....x...........', 0.5],
    ['one fails after the first good second', 'x............x', 0],
    ['each second has one that fails', '.x........x........', Infinity],
    ['less than a second is seen', '..........', Infinity],
    ['no calls', '', Infinity],
  ])('%s', (_name, calls, seconds) => {
    expect(recoverySeconds(hits(calls), 0)).toBe(seconds);
  });

  it('counts from the instant, and not what was before', () => {
    expect(recoverySeconds(hits('xxxxxx............', 400), 700)).toBeCloseTo(0.2);
  });
});
