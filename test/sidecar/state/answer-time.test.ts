import { describe, expect, it } from '@jest/globals';
import { AnswerTime } from '../../../src/sidecar/state/answer-time.ts';

/** A time whose calls take as long as is said, or fail at their bound. */
const timeOf = (mostMs: number) => {
  let nowMs = 0;
  const time = new AnswerTime(mostMs, () => nowMs);
  const call = async (takesMs: number): Promise<boolean> => {
    const reply = await time.measured(
      async (boundMs): Promise<{ readonly problem: string } | { readonly ok: true }> => {
        nowMs += Math.min(takesMs, boundMs);
        return takesMs < boundMs ? { ok: true } : { problem: 'late' };
      },
    );
    return 'ok' in reply;
  };
  return { time, call };
};

// Issue 37, point 13 (b).
describe('AnswerTime', () => {
  it('waits as long as configured at first, so that a restarted sidecar loses no call to an authority that is slow (point 21)', async () => {
    const { time, call } = timeOf(400);
    expect(time.boundMs).toBe(400);
    expect(await call(390)).toBe(true);
  });

  it('waits for an authority that answers in 300 ms, after a call that failed', async () => {
    const { time, call } = timeOf(400);
    for (let n = 0; n < 60; n += 1) await call(5);
    expect(time.boundMs).toBe(250);
    expect([await call(300), await call(300), await call(300)]).toEqual([false, true, true]);
    expect(time.boundMs).toBe(400);
  });

  it('never waits longer than configured, and soon no longer than before for an authority that is fast again', async () => {
    const { time, call } = timeOf(2_000);
    for (let n = 0; n < 10; n += 1) await call(5_000);
    expect(time.boundMs).toBe(2_000);
    for (let n = 0; n < 60; n += 1) expect(await call(5)).toBe(true);
    expect(time.boundMs).toBe(250);
  });

  it('learns nothing from a call that fails at once', async () => {
    const { time, call } = timeOf(2_000);
    for (let n = 0; n < 60; n += 1) await call(5);
    await time.measured(async () => ({ problem: 'no connection' }));
    expect(time.boundMs).toBe(250);
  });
});
