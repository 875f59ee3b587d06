import { randomBytes } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { uuidV7 } from '../../../../src/core/decision/uuid.ts';
import type { UseRecord } from '../../../../src/core/ledger/record.ts';
import type { LimitSpend } from '../../../../src/core/limit/limit-spend.ts';
import type { Limit } from '../../../../src/core/limit/limit.ts';
import { isSettlement } from '../../../../src/core/state/settling.ts';
import type { SettledUse } from '../../../../src/core/state/settling.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { allowedUse, encoded } from '../../../builders/ledger-record.ts';
import { must } from '../../../builders/must.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeEach } from './each-implementation.ts';

const DAY = 86_400_000;
const AGENT = taskNumber(1).agent;
const who = JSON.stringify([AGENT]);
const spend = (of: Partial<LimitSpend> = {}): LimitSpend => ({
  kind: 'limit',
  limit: 'payments-a-day',
  measure: 'calls',
  who,
  windowMs: DAY,
  amount: 1,
  max: 3,
  effect: 'deny',
  ...of,
});
/** The id of a loan that is asked for at an instant. */
const idAt = (ms: number): string => uuidV7(ms, randomBytes(16));
const nothingOf = (windowMs: number): LimitSpend => spend({ windowMs, amount: 0, max: 100 });
const digest = (value: string): string => Buffer.from(value.padEnd(32, '0')).toString('base64url').slice(0, 43);
const distinct = (value: string, of: Partial<LimitSpend> = {}): LimitSpend =>
  spend({ measure: 'distinct', max: 2, value: digest(value), ...of });
const over = (used: number, of: Partial<LimitSpend> = {}, endsMs = DAY) => {
  const { limit, measure, max } = spend(of);
  return { problem: 'limit', over: { limit, measure, max, used, endsMs } };
};

const ofTask = (n: number, decisionId: string, spends: SettledUse['spends'] = [spend()]): SettledUse => ({
  decisionId,
  key: { issuer, id: taskNumber(n).id },
  jtiDigest: `digest-${n}`,
  agent: AGENT,
  spends,
});
/** Of a caller without a task. */
const alone = (decisionId: string, spends: SettledUse['spends'] = [spend()], by?: string): SettledUse => ({
  decisionId,
  key: null,
  jtiDigest: '',
  agent: AGENT,
  spends,
  ...(by === undefined ? {} : { by }),
});

describeEach('limits over all tasks', ({ open, place, outbox }) => {
  let nowMs = 1_000;
  const clock = agreeing(() => nowMs);

  async function opened(file?: string) {
    if (file === undefined) nowMs = 1_000;
    const where = file ?? (await place());
    const state = await open(where, clock);
    if (file === undefined) {
      for (const n of [1, 2]) {
        must(await state.authority.insertTask(taskNumber(n), tokenNumber(n), []));
      }
    }
    const used = async () =>
      must(await state.authority.limitUses({})).map(({ measure, who: of, used: count }) => [measure, of, count]);
    // What limits have left is told by a test of its own.
    const settle = (use: SettledUse) => state.settling.settle(use);
    const settling = {
      ...state.settling,
      settle: async (use: SettledUse) => {
        const settled = await settle(use);
        return isSettlement(settled) && settled !== null && 'left' in settled ? null : settled;
      },
    };
    return { ...state, settle, settling, file: where, used };
  }

  it('says after a use what each of its counters has left, without what is lent', async () => {
    const { settle, close } = await opened();
    const cents = spend({ limit: 'cents', measure: 'decimal', amount: 12_500, max: 100_000 });
    const first = [spend({ max: 100 }), distinct('a'), cents];
    const ofUse = (id: string, spends: SettledUse['spends'] = first) =>
      settle(ofTask(1, id, [{ kind: 'calls', limit: 9 }, ...spends]));
    expect(await ofUse('d-1')).toEqual({ left: [99, 1, 87_500] });
    // A value that is known takes nothing, and two values of one call are counted one after the other.
    expect(await ofUse('d-2', [distinct('a'), distinct('b'), distinct('b')])).toEqual({ left: [1, 0, 0] });
    expect(await settle({ ...alone(idAt(nowMs), [spend({ max: 100, amount: 0 })]), ahead: [50] })).toEqual({
      lent: [12],
    });
    expect(await ofUse('d-3')).toEqual({ left: [86, 0, 75_000] });
    // By a maximum that was lowered meanwhile nothing is left, and not less.
    expect(await settle(alone('d-4', [spend({ amount: 0, max: 5 })]))).toEqual({ left: [0] });
    // What was left right after it is not known any more.
    expect(await ofUse('d-3')).toBeNull();
    expect(await settle(ofTask(1, 'd-5', [{ kind: 'calls', limit: 9 }]))).toBeNull();
    await close();
  });

  it('adds what its counters have left to the record that is committed with a use, and nothing to another record', async () => {
    const { settle, file, close } = await opened();
    const cents = spend({ limit: 'cents', measure: 'decimal', amount: 12_500, max: 100_000 });
    const recorded = (n: number, limits: UseRecord['limits']) => {
      const plain: UseRecord = JSON.parse(Buffer.from(allowedUse(1, 2_000, 'allow', `d-${n}`).bytes).toString('utf8'));
      const record = encoded({ ...plain, ...(limits === undefined ? {} : { limits }) });
      const spends = [{ kind: 'calls', limit: 9 }, spend({ max: 100 }), spend({ max: 100 }), cents] as const;
      return settle({ ...ofTask(1, `d-${n}`, spends), record });
    };
    const both = [
      { id: 'payments-a-day', counts: 'calls' },
      { id: 'cents', counts: 'amount EUR' },
    ];
    expect(await recorded(1, both)).toEqual({ left: [99, 98, 87_500] });
    expect(await recorded(1, both)).toBeNull();
    // Of other counters than those that were counted.
    await recorded(2, both.toReversed());
    await recorded(3, both.slice(1));
    await recorded(4, undefined);
    expect((await outbox(file)).map(({ decisionId, limits }) => [decisionId, limits])).toEqual([
      [
        'd-1',
        [
          { id: 'payments-a-day', counts: 'calls', left: 98 },
          { id: 'cents', counts: 'amount EUR', left: 8.75 },
        ],
      ],
      ['d-2', both.toReversed()],
      ['d-3', both.slice(1)],
      ['d-4', undefined],
    ]);
    await close();
  });

  it('says how many tasks are open, by agent and subject', async () => {
    const { authority, close } = await opened();
    must(await authority.insertTask(taskNumber(3, { subject: 'bob' }), tokenNumber(3), []));
    const { agent, subject } = taskNumber(1);
    const ofBob = { agent, subject: 'bob', count: 1 };
    expect(await authority.openTaskCounts()).toEqual([{ agent, subject, count: 2 }, ofBob]);
    for (const n of [1, 2]) {
      must(await authority.applyTaskEvent({ issuer, id: taskNumber(n).id }, byOperator('cancel'), 'operator'));
    }
    expect(await authority.openTaskCounts()).toEqual([ofBob]);
    await close();
  });

  it('counts over all tasks and credentials of an agent, each decision once, and never more than there is', async () => {
    const { settling, used, close } = await opened();
    expect(await settling.settle(ofTask(1, 'd-1'))).toBeNull();
    expect(await settling.settle(ofTask(1, 'd-1'))).toBeNull();
    expect(await settling.settle(alone('d-2'))).toBeNull();
    expect(await Promise.all([settling.settle(ofTask(2, 'd-3')), settling.settle(ofTask(1, 'd-4'))])).toEqual([
      null,
      over(3),
    ]);
    expect(await settling.settle(alone('d-5'))).toEqual(over(3));
    // Another key has a counter of its own.
    expect(await settling.settle(alone('d-6', [spend({ who: '["x"]' })]))).toBeNull();
    expect(await used()).toEqual([
      ['calls', who, 3],
      ['calls', '["x"]', 1],
    ]);
    await close();
  });

  it('takes budgets and limits together, or none of them', async () => {
    const { settling, used, close } = await opened();
    const both = (id: string, limit: number, of: Partial<LimitSpend> = {}) =>
      settling.settle(ofTask(1, id, [{ kind: 'calls', limit }, spend(of), spend({ limit: 'other', max: 9, ...of })]));
    expect(await both('d-1', 2)).toBeNull();
    expect(await both('d-2', 1)).toMatchObject({ problem: 'exhausted' });
    expect(await both('d-3', 2, { max: 1 })).toEqual(over(1, { max: 1 }));
    expect(await used()).toEqual([
      ['calls', who, 1],
      ['calls', who, 1],
    ]);
    // The second call of the budget is still there.
    expect(await both('d-4', 2)).toBeNull();
    await close();
  });

  it('begins anew with each window by its own clock, and refills nothing by a restart or a clock that goes back', async () => {
    const { settling, close, file } = await opened();
    for (const id of ['d-1', 'd-2', 'd-3']) expect(await settling.settle(alone(id))).toBeNull();
    await close();
    const again = await opened(file);
    expect(await again.settling.settle(alone('d-4'))).toEqual(over(3));
    nowMs = DAY - 1;
    expect(await again.settling.settle(alone('d-5'))).toEqual(over(3));
    nowMs = DAY;
    expect(await again.settling.settle(alone('d-6'))).toBeNull();
    expect(await again.settling.settle(alone('d-7', [spend({ amount: 3 })]))).toEqual(over(1, {}, 2 * DAY));
    await again.close();
  });

  it('sums amounts exactly, also if their sum is beyond exact numbers, and applies a new maximum to what was counted', async () => {
    const { settling, close } = await opened();
    const amount = (id: string, of: Partial<LimitSpend>) =>
      settling.settle(alone(id, [spend({ measure: 'amount', ...of })]));
    const MAX = Number.MAX_SAFE_INTEGER;
    expect(await amount('d-1', { amount: MAX, max: MAX })).toBeNull();
    expect(await amount('d-2', { amount: 2, max: MAX })).toMatchObject({ problem: 'limit', over: { used: MAX } });
    expect(await amount('d-3', { amount: 0, max: 5 })).toBeNull();
    expect(await amount('d-4', { amount: 1, max: 5 })).toMatchObject({ problem: 'limit', over: { used: MAX, max: 5 } });
    expect(await settling.settle(alone('d-5', [spend({ measure: 'decimal', amount: 5, max: 5 })]))).toBeNull();
    await close();
  });

  it('counts each different value once, and stores no more values than its maximum', async () => {
    const { settling, used, close } = await opened();
    const take = (id: string, value: string) => settling.settle(alone(id, [distinct(value)]));
    expect([await take('d-1', 'a'), await take('d-2', 'a'), await take('d-3', 'b')]).toEqual([null, null, null]);
    expect(await take('d-4', 'c')).toEqual(over(2, { measure: 'distinct', max: 2 }));
    expect(await take('d-5', 'b')).toBeNull();
    // A call with several readings brings several.
    const two = [distinct('x', { limit: 'two' }), distinct('y', { limit: 'two' }), distinct('x', { limit: 'two' })];
    expect(await settling.settle(alone('d-6', two))).toBeNull();
    expect(await used()).toEqual([
      ['distinct', who, 2],
      ['distinct', who, 2],
    ]);
    await close();
  });

  it('gives back what was not sent: once, to who took it, within its window', async () => {
    const { settling, used, close } = await opened();
    const one = 'spiffe://acme.test/one';
    const spends = [spend({ amount: 2 }), distinct('a'), spend({ limit: 'a-minute', windowMs: 60_000 })];
    expect(await settling.settle(alone('d-1', spends, one))).toBeNull();
    expect(await settling.giveBack(alone('d-1', spends, 'spiffe://acme.test/two'))).toBe(false);
    expect(await settling.giveBack(alone('d-1', spends))).toBe(false);
    expect(await settling.giveBack(alone('d-1', [spend({ amount: 3 })], one))).toBe(false);
    nowMs = 61_000;
    // The minute is over, the day is not.
    expect(await settling.giveBack(alone('d-1', spends, one))).toBe(true);
    expect(await settling.giveBack(alone('d-1', spends, one))).toBe(false);
    expect(await used()).toEqual([
      ['distinct', who, 1],
      ['calls', who, 0],
    ]);
    expect(await settling.settle(alone('d-2', [spend({ amount: 3 })]))).toBeNull();
    nowMs = DAY;
    expect(await settling.giveBack(alone('d-2', [spend({ amount: 3 })]))).toBe(false);
    await close();
  });

  it('gives back budgets of a task also when the window is over', async () => {
    const { settling, close } = await opened();
    const spends = [{ kind: 'calls', limit: 1 } as const, spend({ limit: 'a-minute', windowMs: 60_000 })];
    expect(await settling.settle(ofTask(1, 'd-1', spends))).toBeNull();
    nowMs = 61_000;
    expect(await settling.giveBack(ofTask(1, 'd-1', spends))).toBe(true);
    expect(await settling.settle(ofTask(1, 'd-2', spends))).toBeNull();
    await close();
  });

  it('lends of a counter ahead, less as it comes near, and gives back what is left', async () => {
    const { settling, used, close } = await opened();
    const spends = [spend({ max: 100 }), distinct('a')];
    const id = idAt(nowMs);
    expect(await settling.settle({ ...alone(id, spends), ahead: [50, 50] })).toEqual({ lent: [12, 0] });
    const share = [spend({ max: 100, amount: 13 }), distinct('a')];
    expect(await settling.giveBack({ ...alone(id, share), left: [5, 0] })).toBe(true);
    expect(await used()).toEqual([
      ['calls', who, 8],
      ['distinct', who, 1],
    ]);
    await close();
  });

  it('lends nothing to a clock that is in another window, or is not known', async () => {
    const { settling, used, close } = await opened();
    const loan = (id: string, ...spends: readonly LimitSpend[]) =>
      settling.settle({ ...alone(id, spends), ahead: spends.map(() => 50) });
    nowMs = DAY - 50;
    expect(await loan(idAt(DAY + 1), nothingOf(DAY))).toEqual({ lent: [0] });
    expect(await loan('d-1', nothingOf(DAY))).toEqual({ lent: [0] });
    expect(await loan(idAt(DAY - 60_001), nothingOf(DAY), nothingOf(60_000))).toEqual({ lent: [0, 0] });
    expect(await used()).toEqual([]);
    expect(await loan(idAt(DAY - 1), nothingOf(DAY), nothingOf(60_000))).toEqual({ lent: [12, 12] });
    nowMs = DAY;
    expect(await loan(idAt(DAY - 1), nothingOf(DAY))).toEqual({ lent: [0] });
    await close();
  });

  it('suspends the task in the transaction that refuses, and the agent cannot resume it', async () => {
    const { authority, settling, close } = await opened();
    const spends = [spend({ effect: 'suspend', max: 1 })];
    expect(await settling.settle(ofTask(1, 'd-1', spends))).toBeNull();
    expect(await settling.settle(ofTask(1, 'd-2', spends))).toMatchObject({ problem: 'limit' });
    expect(await authority.taskOf(issuer, taskNumber(1).id)).toMatchObject({
      state: 'suspended',
      cause: { code: 'limit.exceeded', note: 'limit `payments-a-day` is used up' },
    });
    expect(await authority.taskOf(issuer, taskNumber(2).id)).toMatchObject({ state: 'active' });
    const resume = { kind: 'resume', cause: causeOf('agent.resumed') } as const;
    expect(await authority.applyTaskEvent(taskNumber(1), resume, AGENT)).toMatchObject({ problem: 'held' });
    expect(await settling.settle(ofTask(1, 'd-3', spends))).toBe('ended');
    expect(await settling.settle(alone('d-4', spends))).toMatchObject({ problem: 'limit' });
    await close();
  });

  it('stops the agent in the transaction that refuses, once, with a record', async () => {
    const { authority, settling, file, close } = await opened();
    const spends = [spend({ effect: 'stop', max: 1 })];
    expect(await settling.settle(alone('d-1', spends))).toBeNull();
    for (const id of ['d-2', 'd-3', 'd-3'])
      expect(await settling.settle(alone(id, spends))).toMatchObject(over(1, { max: 1 }));
    const stops = must(await authority.ordersInForce()).list;
    expect(stops).toMatchObject([
      { of: 'stop', kind: 'agent', what: AGENT, by: 'remit', because: 'limit payments-a-day', untilMs: null },
    ]);
    expect((await outbox(file)).map(({ event, cause }) => [event, cause])).toEqual([['order-made', 'limit.exceeded']]);
    // Lifted, a decision that is sent again does not bring it back.
    await authority.liftOrder(stops[0]?.id ?? '', []);
    expect(await settling.settle(alone('d-2', spends))).toMatchObject({ problem: 'limit' });
    expect(must(await authority.ordersInForce()).list).toEqual([]);
    // A text that is a pattern stops nobody.
    const hostile = { ...alone('d-9', spends), agent: 'spiffe://acme.test/*' };
    expect(await settling.settle(hostile)).toMatchObject({ problem: 'limit' });
    expect(must(await authority.ordersInForce()).list).toEqual([]);
    await close();
  });

  it('bounds the tasks that are declared in a window, and those that are open', async () => {
    const { authority, close } = await opened();
    const agents: Limit['agents'] = ['spiffe://acme.test/ns/agents/*'];
    const declare = (
      n: number,
      limits: { readonly tasks?: number; readonly open?: number; readonly agent?: string | null },
    ) =>
      authority.insertTask(taskNumber(n, { deadlineMs: 10 * DAY }), tokenNumber(n), [], {
        tasks: [],
        limits: {
          spends: limits.tasks === undefined ? [] : [spend({ measure: 'tasks', max: limits.tasks })],
          open:
            limits.open === undefined
              ? []
              : [
                  {
                    limit: 'open',
                    who,
                    max: limits.open,
                    effect: 'deny',
                    agents,
                    agent: limits.agent ?? null,
                    subject: null,
                  },
                ],
        },
      });
    expect(await Promise.all([declare(3, { tasks: 2 }), declare(4, { tasks: 2 }), declare(5, { tasks: 2 })])).toEqual([
      null,
      null,
      over(2, { measure: 'tasks', max: 2 }),
    ]);
    expect(await authority.taskOf(issuer, taskNumber(5).id)).toBeUndefined();
    // Four are open.
    expect(await Promise.all([declare(6, { open: 5 }), declare(7, { open: 5 })])).toEqual([
      null,
      { problem: 'limit', over: { limit: 'open', measure: 'openTasks', max: 5, used: 5, endsMs: null } },
    ]);
    expect(await declare(8, { open: 5, agent: 'spiffe://acme.test/ns/agents/sa/other' })).toBeNull();
    await close();
  });

  it('says how far the fullest counter of each limit is used, in the current windows', async () => {
    const { authority, settling, close } = await opened();
    expect(await authority.limitPeaks()).toEqual([]);
    const spends = [spend({ amount: 3, max: 4 }), spend({ measure: 'amount', amount: 1, max: 10 })];
    expect(await settling.settle(alone('d-1', spends))).toBeNull();
    expect(await settling.settle(alone('d-2', [spend({ who: '[]', max: 4 })]))).toBeNull();
    const peaks = must(await authority.limitPeaks()).toSorted((a, b) => a.ratio - b.ratio);
    expect(peaks).toEqual([
      { limit: 'payments-a-day', measure: 'amount', ratio: 0.1 },
      { limit: 'payments-a-day', measure: 'calls', ratio: 0.75 },
    ]);
    expect(must(await authority.limitUses({ limit: 'payments-a-day', who: '[]' }))).toMatchObject([
      { used: 1, max: 4 },
    ]);
    expect(await authority.limitUses({ limit: 'other' })).toEqual([]);
    nowMs = DAY;
    expect([await authority.limitPeaks(), await authority.limitUses({})]).toEqual([[], []]);

    await close();
  });

  it('refuses what cannot be counted', async () => {
    const { settling, close } = await opened();
    for (const wrong of [
      spend({ amount: 1.5 }),
      spend({ amount: -1 }),
      spend({ windowMs: 1 }),
      spend({ who: 'x'.repeat(4_097) }),
      spend({ limit: '' }),
      spend({ value: digest('a') }),
      distinct('a', { amount: 2 }),
      distinct('a', { max: 10_001 }),
      distinct('a', { value: 'short' }),
    ])
      expect([wrong, await settling.settle(alone('d-1', [wrong]))]).toMatchObject([wrong, { code: 'refused' }]);
    await close();
  });

  it('forgets windows once they have been over for a day', async () => {
    const { authority, settling, used, close } = await opened();
    expect(await settling.settle(alone('d-1', [spend(), distinct('a')]))).toBeNull();
    nowMs = 2 * DAY + 1;
    for (let isMore = true; isMore;) ({ isMore } = must(await authority.prune(DAY)));
    nowMs = 1_000;
    expect((await used()).length).toBeLessThanOrEqual(2);
    await close();
  });
});
