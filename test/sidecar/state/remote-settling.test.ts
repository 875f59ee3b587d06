import { randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import type { SettleRequest } from '../../../src/core/fleet/messages.ts';
import type { LimitSpend } from '../../../src/core/limit/limit-spend.ts';
import type { SettledUse, Settlement } from '../../../src/core/state/settling.ts';
import { AnswerTime } from '../../../src/sidecar/state/answer-time.ts';
import { RemoteSettling } from '../../../src/sidecar/state/remote-settling.ts';
import type { RemoteSettlingOptions } from '../../../src/sidecar/state/remote-settling.ts';
import { SidecarFeed } from '../../../src/sidecar/state/sidecar-feed.ts';
import { eventually, HeldTimers } from '../../core/identity/held-timers.ts';

const spend = (n: number, of: Partial<LimitSpend> = {}): LimitSpend => ({
  kind: 'limit',
  limit: `limit-${n}`,
  measure: 'calls',
  who: '["spiffe://acme.test/a"]',
  windowMs: 60_000,
  amount: 1,
  max: 100,
  effect: 'deny',
  ...of,
});
const useOf = (spends: SettledUse['spends'], more: Partial<SettledUse> = {}): SettledUse => ({
  decisionId: randomUUID(),
  key: null,
  jtiDigest: '',
  spends,
  ...more,
});
const spends = (count: number): SettledUse['spends'] => Array.from({ length: count }, (_, n) => spend(n));

/** Settles at authorities. */
const settlingAt = (places: readonly object[], { after } = new HeldTimers()): RemoteSettling =>
  new RemoteSettling({
    instance: 'instance-1',
    feed: new SidecarFeed({ instance: 'instance-1', maxCards: 10 }),
    // Only the members that a test gives are used.
    links: (() => places) as unknown as RemoteSettlingOptions['links'],
    after,
    answerTime: new AnswerTime(1_000, () => 0),
    onSettled: () => undefined,
  });

/** Settles at an authority that settles, and gives back, all that it is asked. @param left what it says that limits have left */
function settling(left: readonly number[] = []) {
  const asked: string[][] = [];
  const call = async (name: string, request: unknown) => {
    const { uses } = request as SettleRequest;
    asked.push([name, ...uses.map(({ decision_id }) => decision_id)]);
    return name === 'GiveBack'
      ? { uses: uses.map(() => ({ problem: '' })) }
      : { settled: uses.map(() => ({ problem: '', detail: '', card: null, position: null, lent: [7], left })) };
  };
  return { remote: settlingAt([{ call }]), asked };
}

it.each<[string, SettledUse]>([
  ['with more spends than a message has', useOf(spends(65))],
  ['with a counter of too long a name', useOf([spend(1, { who: 'x'.repeat(4_097) })])],
  ['with a number that is not exact', useOf([spend(1, { amount: 2 ** 53 })])],
  ['that wants more than can be counted', useOf([spend(1)], { ahead: [2 ** 60] })],
])('refuses a use %s alone, and settles the other uses of its turn', async (_what, unfit) => {
  const { remote, asked } = settling();
  const [most, loan] = [useOf(spends(64)), useOf([spend(1, { amount: 0 })], { ahead: [7] })];
  const settled = await Promise.all([most, unfit, loan].map((use) => remote.settle(use)));
  expect(settled).toMatchObject([null, { code: 'refused' }, { lent: [7] }]);
  const given = await Promise.all([unfit, most].map(({ ahead: _ahead, ...use }) => remote.giveBack(use)));
  const isOfLoan = unfit.ahead !== undefined;
  expect(given).toMatchObject([isOfLoan ? true : { code: 'refused' }, true]);
  expect(asked).toEqual([
    ['Settle', most.decisionId],
    ['Settle', loan.decisionId],
    ['GiveBack', ...(isOfLoan ? [unfit.decisionId] : []), most.decisionId],
  ]);
});

it.each<[string, SettledUse['spends'], readonly number[], readonly number[] | null]>([
  ['of each spend', spends(2), [3, 0], [3, 0]],
  ['of the spends on limits alone', [{ kind: 'calls', limit: 9 }, spend(1)], [4], [4]],
  ['that an earlier version does not say', spends(2), [], null],
  ['of other spends', spends(2), [3], null],
  ['of a use without limits', [{ kind: 'calls', limit: 9 }], [3], null],
  ['that is not exact', spends(1), [2 ** 53], null],
])('takes what limits have left %s', async (_what, taken, said, left) => {
  const { remote } = settling(said);
  expect(await remote.settle(useOf(taken))).toEqual(left === null ? null : { left });
});

type Reply = 'settled' | 'exhausted' | 'history-changed' | 'unavailable' | 'none';

const settledMessage = (problem: string) => ({
  problem,
  detail: '',
  card: null,
  position: null,
  ...(problem === 'exhausted' ? { budget: { limit: 1, used: 1 } } : {}),
});

/** Asks two authorities, since the first is slow; the replies to a use come in the given order. */
async function hedged(replies: readonly (readonly [place: 0 | 1, ...reply: Reply[]])[], uses = 1) {
  const answers: ((reply: object) => void)[] = [];
  const link = (place: number) => ({
    call: () => new Promise<object>((resolve) => void (answers[place] = resolve)),
  });
  const timers = new HeldTimers();
  const remote = settlingAt([link(0), link(1)], timers);
  const settled: (Settlement | 'open')[] = Array.from({ length: uses }, () => 'open');
  const all = settled.map(async (_open, at) => {
    settled[at] = await remote.settle(useOf([{ kind: 'calls', limit: 1 }]));
  });
  await eventually(() => answers[0] !== undefined, 'the first authority is asked');
  timers.fire();
  await eventually(() => answers[1] !== undefined, 'the second authority is asked');
  const after: (readonly (Settlement | 'open')[])[] = [];
  for (const [place, ...reply] of replies) {
    const said = reply.map((word) => settledMessage(word === 'settled' ? '' : word));
    answers[place]?.(reply.includes('none') ? { problem: 'no answer in 250 ms' } : { settled: said });
    await new Promise((done) => void setImmediate(done));
    after.push([...settled]);
  }
  await Promise.all(all);
  return { settled, after };
}

const refuses = async () => ({ settled: [settledMessage('exhausted')] });
const exhausted = { problem: 'exhausted', budget: { limit: 1, used: 1 } };
const unknown = { code: 'busy' };

it.each<[what: string, replies: Parameters<typeof hedged>[0], settlement: object | null]>([
  ['settled as soon as one authority has settled it', [[1, 'settled']], null],
  // The first decided it after what a budget had left was given back.
  [
    'settled if one refuses it before the other settles it',
    [
      [1, 'exhausted'],
      [0, 'settled'],
    ],
    null,
  ],
  [
    'settled if one cannot say, and the other has settled it',
    [
      [0, 'unavailable'],
      [1, 'settled'],
    ],
    null,
  ],
  [
    'refused if both refuse it',
    [
      [1, 'exhausted'],
      [0, 'exhausted'],
    ],
    exhausted,
  ],
  [
    'unknown if one refuses it and the other does not answer: that one may settle it later',
    [
      [1, 'exhausted'],
      [0, 'none'],
    ],
    unknown,
  ],
  [
    'unknown if one refuses it and the other cannot say',
    [
      [0, 'exhausted'],
      [1, 'unavailable'],
    ],
    unknown,
  ],
  [
    'unknown if neither answers',
    [
      [0, 'none'],
      [1, 'none'],
    ],
    unknown,
  ],
])('a use that two authorities were asked for is %s', async (_what, replies, settlement) => {
  const { settled } = await hedged(replies);
  expect(settled).toEqual([settlement === null ? null : expect.objectContaining(settlement)]);
});

it.each([
  {
    what: 'unknown if the connection to the first broke off, and the second refuses it: the first may settle it later',
    isConnected: true,
    settlement: expect.objectContaining(unknown),
  },
  {
    what: 'refused by the second if the first could not be reached',
    isConnected: false,
    settlement: expect.objectContaining(exhausted),
  },
])('a use is $what', async ({ isConnected, settlement }) => {
  const remote = settlingAt([
    { isConnected, call: async () => ({ problem: 'the connection broke off' }) },
    { call: refuses },
  ]);
  expect(await remote.settle(useOf([{ kind: 'calls', limit: 1 }]))).toEqual(settlement);
});

it('decides each use of a request as soon as it is certain, whatever the other uses wait for', async () => {
  const { after } = await hedged(
    [
      [1, 'settled', 'exhausted', 'history-changed'],
      [0, 'none'],
    ],
    3,
  );
  expect(after[0]).toEqual([null, 'open', 'history-changed']);
  expect(after[1]?.[1]).toMatchObject({ code: 'busy' });
});
