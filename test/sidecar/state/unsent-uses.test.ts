import { describe, expect, it } from '@jest/globals';
import type { SettleRequest, UseMessage } from '../../../src/core/fleet/messages.ts';
import { UnsentUses } from '../../../src/sidecar/state/unsent-uses.ts';
import type { UnsentUsesOptions } from '../../../src/sidecar/state/unsent-uses.ts';
import { HeldTimers } from '../../core/identity/held-timers.ts';

const useNumber = (n: number): UseMessage => ({
  decision_id: `d-${n}`,
  key: { issuer: 'i', id: 't' },
  jti_digest: 'digest',
  generation: 0,
  spends: [],
  entry: null,
  record: Buffer.alloc(0),
});

/** Uses to give back at an authority that gives the next answer each time, then the last one. */
function asking(...answers: readonly (readonly string[] | { readonly problem: string })[]) {
  const timers = new HeldTimers();
  const asked: string[][] = [];
  const call = async (_name: string, request: unknown) => {
    const { uses } = request as SettleRequest;
    asked.push(uses.map(({ decision_id }) => decision_id));
    const answer = answers[Math.min(asked.length, answers.length) - 1] ?? { problem: 'no answer' };
    return 'problem' in answer ? answer : { uses: answer.map((problem) => ({ problem })) };
  };
  // Only this method is called.
  const links = (() => [{ call }]) as unknown as UnsentUsesOptions['links'];
  return { unsent: new UnsentUses({ instance: 'i', links, after: timers.after }), asked, timers };
}

const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

describe('UnsentUses (issue 37, point 14)', () => {
  it('asks for the uses of one turn at once', async () => {
    const { unsent, asked } = asking(['', 'not-taken']);
    const given = [unsent.giveBack(useNumber(1)), unsent.giveBack(useNumber(2))];
    expect(await given[0]).toBe(true);
    expect(asked).toEqual([['d-1', 'd-2']]);
  });

  it.each<[string, readonly string[] | { readonly problem: string }]>([
    ['that cannot be reached', { problem: 'UNAVAILABLE: gone' }],
    ['that does not know the method', { problem: 'UNIMPLEMENTED: no such method' }],
    ['that does not know whether it did', ['unavailable']],
    ['that has not settled the use yet', ['not-taken']],
    ['that gives no answer for it', []],
  ])('asks an authority again, %s', async (_what, first) => {
    const { unsent, asked, timers } = asking(first, ['']);
    const given = unsent.giveBack(useNumber(1));
    await turn();
    expect(asked).toHaveLength(1);
    expect(timers.delays).toEqual([1_000]);
    timers.fire();
    expect(await given).toBe(true);
    expect(asked).toEqual([['d-1'], ['d-1']]);
  });

  it('leaves a use taken after six attempts in vain', async () => {
    const { unsent, asked, timers } = asking(['not-taken']);
    const given = unsent.giveBack(useNumber(1));
    for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000]) {
      await turn();
      expect(timers.delays).toEqual([ms]);
      timers.fire();
    }
    expect(await given).toBe(false);
    expect(asked).toHaveLength(6);
  });

  it('takes no more than 4,096 uses', async () => {
    const { unsent } = asking({ problem: 'gone' });
    for (let n = 0; n < 4_096; n += 1) void unsent.giveBack(useNumber(n));
    expect(await unsent.giveBack(useNumber(4_096))).toMatchObject({ code: 'busy' });
  });
});
