import { describe, expect, it } from '@jest/globals';
import { recoverySeconds } from './recovery.ts';

/** Calls 100 ms apart from `firstMs` on; `x` is a failed one. */
const hits = (calls: string, firstMs = 0) =>
  calls.split('').map((call, index) => ({
    atMs: firstMs + index * 100,
    tookMs: 1,
    status: call === 'x' ? 503 : 200,
    body: '',
  }));

describe('recoverySeconds', () => {
  it.each([
    ['no failure', '............', 0],
    ['the first calls fail', 'xxx............', 0.2],
    ['a call fails within the next second', 'x....x...........', 0.5],
    ['a call fails after the first good second', 'x............x', 0],
    ['a call fails in each second', '.x........x........', Infinity],
    ['less than a second was measured', '..........', Infinity],
    ['no calls', '', Infinity],
  ])('%s', (_name, calls, seconds) => {
    expect(recoverySeconds(hits(calls), 0)).toBe(seconds);
  });

  it('counts only calls from the instant on', () => {
    expect(recoverySeconds(hits('xxxxxx............', 400), 700)).toBeCloseTo(0.2);
  });
});
