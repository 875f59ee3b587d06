import { expect, it } from '@jest/globals';
import { watchLimits } from '../../../../src/authority/issuer/limits/watch-limits.ts';
import { storeFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { LimitPeak } from '../../../../src/core/state/limit-use.ts';
import { HeldTimers } from '../../../core/identity/held-timers.ts';

it('watchLimits reads how far limits are used, again and again, and leaves the figures if it cannot', async () => {
  const timers = new HeldTimers();
  const peak: LimitPeak = { limit: 'paid', measure: 'amount', ratio: 0.8 };
  const answers = [[peak], storeFailure('busy', 'no answer'), new Error('broken'), []] as const;
  const seen: (readonly LimitPeak[])[] = [];
  const faults: string[] = [];
  let asked = 0;
  const close = watchLimits({
    authority: {
      limitPeaks: async () => {
        const answer = answers[asked++] ?? [];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
    after: timers.after,
    onFault: (fault) => void faults.push(fault),
    onPeaks: (peaks) => void seen.push(peaks),
  });
  for (let n = 0; n < answers.length; n += 1) {
    timers.fire();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect([seen, faults]).toEqual([[[peak], []], ['Error: broken']]);
  await close();
  timers.fire();
  expect(asked).toBe(answers.length);
});
