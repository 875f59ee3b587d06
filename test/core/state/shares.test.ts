import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isSettlement } from '../../../src/core/state/settling.ts';
import type { SettledUse, Settling } from '../../../src/core/state/settling.ts';
import { endedIn } from '../../../src/core/state/share-users.ts';
import { Shares } from '../../../src/core/state/shares.ts';
import type { LimitSpend } from '../../../src/core/limit/limit-spend.ts';
import type { Spend } from '../../../src/core/state/spend.ts';
import type { UnsentUse } from '../../../src/core/state/store.ts';
import type { After } from '../../../src/core/runtime/timers.ts';
import { must, mustFind } from '../../builders/must.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { thoroughly } from '../../thoroughly.ts';
import { spentIn } from './state-file.ts';

const folder = testFolders();

const calls = (limit: number, count = 1): Spend => ({ kind: 'calls', limit, count });
const euros = (amount: number): Spend => ({ kind: 'decimal', name: 'eur', amount, limit: 1_000_000 });

const dearest = (of: number): Spend => ({
  kind: 'amount',
  name: 'eur',
  amount: Number.MAX_SAFE_INTEGER,
  limit: of,
});

/** A clock that stands still until time is let pass, with timers that go by it. */
class Clock {
  nowMs = 1_000;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  readonly after: After = (delayMs, run) => {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((one) => one !== timer));
  };

  /** Both clocks of a process. */
  read(): { readonly wallMs: number; readonly floorMs: number } {
    return { wallMs: this.nowMs, floorMs: this.nowMs };
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.nowMs = next.atMs;
      next.run();
      await settled();
    }
    this.nowMs = untilMs;
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A state file with one task, and processes that settle uses of it. */
function opened(): {
  readonly clock: Clock;
  readonly process: () => Shares;
  readonly settling: Settling;
  readonly spent: () => number;
  /** What is used of the limits over all tasks. */
  readonly limited: () => number;
  readonly declare: (n: number) => void;
  /** Ends a task, as another process does that tells nobody. */
  readonly end: (n: number) => void;
  readonly close: () => void;
} {
  const clock = new Clock();
  const file = join(folder(), 'state.db');
  const store = mustOpen(file, { nowMs: () => clock.nowMs });
  const declare = (n: number) =>
    void must(store.insertTask(taskNumber(n, { deadlineMs: 10_000_000 }), tokenNumber(n), []));
  declare(1);
  const { settling, states } = directAuthority(store);
  const hasEnded = endedIn(states);
  const ports = { monotonicMs: () => clock.nowMs, randomBytes };
  return {
    clock,
    settling,
    process: () => new Shares(settling, { ports, clocks: () => clock.read(), after: clock.after, hasEnded }),
    spent: () => spentIn(file, taskNumber(1).id),
    limited: () => must(store.limitUses({})).reduce((sum, { used }) => sum + used, 0),
    declare,
    end: (n) => void must(store.applyTaskEvent(taskNumber(n), byOperator('complete'), 'operator')),
    close: () => store.close(),
  };
}

const useOf = (...spends: readonly Spend[]): SettledUse => ({
  decisionId: randomUUID(),
  key: taskNumber(1),
  jtiDigest: 'digest-1',
  spends,
});

const ofTask = (n: number, ...spends: readonly Spend[]): SettledUse => ({
  ...useOf(...(spends.length === 0 ? [calls(1_000)] : spends)),
  key: taskNumber(n),
  jtiDigest: `digest-${n}`,
});

/** How a use was settled: from a share, by the state, or not at all. */
async function made(shares: Shares, use: SettledUse): Promise<'share' | 'state' | 'refused'> {
  if (shares.settleNow(use) !== null) return 'share';
  return isSettlement(await shares.settle(use)) ? 'state' : 'refused';
}

async function madeOften(shares: Shares, clock: Clock, { times, use }: { times: number; use: () => SettledUse }) {
  const all: string[] = [];
  for (let n = 0; n < times; n += 1) {
    all.push(await made(shares, use()));
    await clock.pass(20);
  }
  return { share: count(all, 'share'), state: count(all, 'state'), refused: count(all, 'refused') };
}

const count = (all: readonly string[], one: string): number => all.filter((other) => other === one).length;

const limit = (max: number, more: Partial<LimitSpend> = {}): LimitSpend => ({
  kind: 'limit',
  limit: 'a-minute',
  measure: 'calls',
  who: '["spiffe://acme.test/a"]',
  windowMs: 60_000,
  amount: 1,
  max,
  effect: 'deny',
  ...more,
});
const budgetAndLimit = (): SettledUse => useOf(calls(1_000), limit(500));
const limited = (spend: LimitSpend): SettledUse => ({ ...useOf(spend), key: null, jtiDigest: '' });

describe('Shares', () => {
  it('settles most uses of a frequently used budget at once, and allows exactly as many as it has', async () => {
    const { clock, process, spent, close } = opened();
    const shares = process();
    const { share, state, refused } = await madeOften(shares, clock, { times: 500, use: () => useOf(calls(400)) });
    expect([share + state, refused, spent()]).toEqual([400, 100, 400]);
    // The last 16 and those before the budget is known to be used frequently are settled by the state.
    expect(state).toBeLessThan(60);
    await shares.close();
    close();
  });

  it('asks for no share of a budget that is used rarely, or has less than 16 left', async () => {
    const { clock, process, close } = opened();
    const shares = process();
    for (let n = 0; n < 20; n += 1) {
      expect(await made(shares, useOf(calls(1_000)))).toBe('state');
      await clock.pass(1_500);
    }
    expect(await madeOften(shares, clock, { times: 30, use: () => useOf(calls(35)) })).toEqual({
      share: 0,
      state: 15,
      refused: 15,
    });
    await shares.close();
    close();
  });

  it('never allows more than a budget has in all processes, whatever is lent, given back, withdrawn or lost', async () => {
    const step = fc.record({
      process: fc.nat(2),
      does: fc.constantFrom('use', 'use', 'use', 'use', 'use', 'dear', 'withdraw', 'idle', 'close', 'kill'),
      times: fc.integer({ min: 1, max: 30 }),
      passMs: fc.constantFrom(0, 1, 15, 60),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 400 }),
        fc.array(step, { minLength: 5, maxLength: 30 }),
        async (limit, steps) => {
          const { clock, process, settling, spent, close } = opened();
          const processes = [process(), process(), process()];
          const unsent: { readonly by: Shares; readonly use: UnsentUse }[] = [];
          let used = 0;
          let lost = false;
          for (const { process: which, does, times, passMs } of steps) {
            const shares = processes[which] ?? process();
            if (does === 'close') await shares.close();
            if (does === 'close' || does === 'kill') processes[which] = process();
            lost ||= does === 'kill';
            if (does === 'idle') await clock.pass(13_000);
            if (does === 'withdraw') {
              const [one] = unsent.splice(0, 1);
              const isGiven = one !== undefined && (await one.by.giveBack(one.use)) === true;
              if (isGiven) used -= 1;
            }
            if (does !== 'use' && does !== 'dear') continue;
            for (let n = 0; n < times; n += 1) {
              const amount = does === 'dear' ? 7 : 1;
              const use = useOf(calls(limit, amount));
              const taken = shares.settleNow(use) ?? (isSettlement(await shares.settle(use)) ? use : null);
              if (taken !== null) used += amount;
              if (taken !== null && amount === 1) unsent.push({ by: shares, use: taken });
              await clock.pass(passMs);
              expect(used).toBeLessThanOrEqual(limit);
              expect(used).toBeLessThanOrEqual(spent());
            }
          }
          for (const shares of processes) await shares.close();
          // What a process has lost stays spent, and a use of its share that is withdrawn after it has ended.
          const mayBeShort = lost || steps.some(({ does }) => does === 'withdraw');
          expect(mayBeShort || spent() === used).toBe(true);
          while (isSettlement(await settling.settle(useOf(calls(limit))))) used += 1;
          expect(used).toBeLessThanOrEqual(limit);
          close();
        },
      ),
      { numRuns: thoroughly(400, 12) },
    );
  });

  it('loses with a process that is killed at most a quarter of what the budget had left', async () => {
    const { clock, process, settling, spent, close } = opened();
    const killed = process();
    const before = await madeOften(killed, clock, { times: 300, use: () => useOf(calls(1_000)) });
    const lost = spent() - before.share - before.state;
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThanOrEqual((1_000 - 300) / 4);
    let after = 0;
    while (isSettlement(await settling.settle(useOf(calls(1_000))))) after += 1;
    expect(300 + after).toBe(1_000 - lost);
    close();
  });

  it('spends nothing for a token of a smaller limit from what was lent by a larger limit', async () => {
    const { clock, process, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 50, use: () => useOf(calls(1_000)) });
    expect(await made(shares, useOf(calls(50)))).toBe('refused');
    expect(await made(shares, useOf(calls(1_000)))).toBe('share');
    await shares.close();
    close();
  });

  it('takes from all budgets of a use or from none, and never the single use of a token from a share', async () => {
    const { clock, process, spent, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 50, use: () => useOf(calls(1_000)) });
    const usedBefore = spent();
    const both = useOf(calls(1_000), { kind: 'amount', name: 'eur', amount: 5, limit: 4 });
    expect(await made(shares, both)).toBe('refused');
    expect(spent()).toBeLessThanOrEqual(usedBefore);
    expect(await made(shares, useOf(calls(1_000), { kind: 'single-use' }))).toBe('state');
    expect(await made(shares, useOf(calls(1_000), { kind: 'single-use' }))).toBe('refused');
    await shares.close();
    close();
  });

  it('lends amounts and decimals, and gives back what is left of a share that lies idle', async () => {
    const { clock, process, close, settling } = opened();
    const shares = process();
    const { share } = await madeOften(shares, clock, { times: 100, use: () => useOf(euros(2_500)) });
    expect(share).toBeGreaterThan(60);
    await clock.pass(13_000);
    expect(await settling.settle(useOf(euros(750_001)))).toMatchObject({ budget: { used: 250_000 } });
    expect(await settling.settle(useOf(euros(750_000)))).toBeNull();
    await shares.close();
    close();
  });

  it('gives everything back when its process drains, and settles each use by itself from then on', async () => {
    const { clock, process, spent, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 60, use: () => useOf(calls(1_000)) });
    expect(spent()).toBeGreaterThan(60);
    await shares.close();
    expect(spent()).toBe(60);
    expect(await madeOften(shares, clock, { times: 40, use: () => useOf(calls(1_000)) })).toEqual({
      share: 0,
      state: 40,
      refused: 0,
    });
    close();
  });

  it('gives back at once what is held for a task, once its end is known', async () => {
    const { clock, process, spent, end, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 60, use: () => useOf(calls(1_000)) });
    expect(spent()).toBeGreaterThan(60);
    end(1);
    shares.ended();
    await clock.pass(20);
    expect(spent()).toBe(60);
    await shares.close();
    close();
  });

  it('looks at few counters in one turn after an end, and at all of them within a second', async () => {
    const clock = new Clock();
    const returned = new Set<string>();
    const lending: Settling = {
      settle: async ({ ahead }) => (ahead === undefined ? null : { lent: ahead }),
      giveBack: async ({ key }) => returned.add(key?.id ?? '').size > 0,
    };
    let looks = 0;
    const hasEnded = (): boolean => (looks += 1) > 0;
    const ports = { monotonicMs: () => clock.nowMs, randomBytes };
    const shares = new Shares(lending, { ports, clocks: () => clock.read(), after: clock.after, hasEnded });
    for (let n = 1; n <= 1_000; n += 1)
      for (let use = 0; use < 5; use += 1)
        await made(shares, { ...useOf(calls(1_000)), key: { issuer: 'i', id: `task-${n}` } });
    await clock.pass(10);
    shares.ended();
    await clock.pass(10);
    expect(looks).toBeLessThanOrEqual(256);
    await clock.pass(990);
    expect([looks, returned.size]).toEqual([1_000, 1_000]);
    await shares.close();
  });

  it('gives back what is held for a task that another process ended, before it lies idle', async () => {
    const { clock, process, spent, end, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 60, use: () => useOf(calls(1_000)) });
    end(1);
    await clock.pass(2_000);
    expect(spent()).toBe(60);
    await shares.close();
    close();
  });

  it.each<[string, (shares: Shares, clock: Clock) => Promise<void>]>([
    ['drained', (shares) => shares.close()],
    ['given back what lies idle', (_shares, clock) => clock.pass(13_000)],
  ])('gives back each use whose call was not sent also after it has %s', async (_what, returned) => {
    const { clock, process, spent, limited: usedOfLimit, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 60, use: budgetAndLimit });
    const unsent = Array.from({ length: 3 }, () => mustFind(shares.settleNow(budgetAndLimit())));
    await returned(shares, clock);
    expect([spent(), usedOfLimit()]).toEqual([63, 63]);
    expect(await Promise.all(unsent.map((use) => shares.giveBack(use)))).toEqual([true, true, true]);
    expect([spent(), usedOfLimit()]).toEqual([60, 60]);
    await shares.close();
    close();
  });

  it('gives back no part of a loan of which it does not know how much is given back', async () => {
    const clock = new Clock();
    const given: unknown[] = [];
    const lending: Settling = {
      settle: async ({ ahead }) => (ahead === undefined ? null : { lent: ahead }),
      giveBack: async ({ left, before }) => given.push([left, before]) > 1,
    };
    const ports = { monotonicMs: () => clock.nowMs, randomBytes };
    const shares = new Shares(lending, { ports, clocks: () => clock.read(), after: clock.after });
    for (let n = 0; n < 5; n += 1) await made(shares, useOf(calls(1_000)));
    await clock.pass(20);
    const unsent = mustFind(shares.settleNow(useOf(calls(1_000))));
    await shares.close();
    expect(given).toEqual([[[4], 0]]);
    await shares.giveBack(unsent);
    expect(given.length).toBe(1);
  });

  it('asks for no more than can be counted, however large the amounts are that are refused', async () => {
    const clock = new Clock();
    const wanted: number[] = [];
    const refusing: Settling = {
      settle: async ({ ahead }) => {
        if (ahead === undefined) return { problem: 'exhausted', budget: null };
        wanted.push(...ahead);
        return { lent: [0] };
      },
      giveBack: async () => true,
    };
    const ports = { monotonicMs: () => clock.nowMs, randomBytes };
    const shares = new Shares(refusing, { ports, clocks: () => clock.read(), after: clock.after });
    for (const most of [8_000, Number.MAX_SAFE_INTEGER])
      await madeOften(shares, clock, { times: 20, use: () => useOf(dearest(most)) });
    expect(wanted.every((amount) => Number.isSafeInteger(amount))).toBe(true);
    // Four uses, each counted as an eighth of what it is taken from.
    expect(wanted[0]).toBe(4_000);
    expect(wanted.length).toBe(2);
    await shares.close();
  });

  it('waits at each call of `close` until everything is given back', async () => {
    const clock = new Clock();
    const waiting: (() => void)[] = [];
    const lending: Settling = {
      settle: async ({ ahead }) => (ahead === undefined ? null : { lent: ahead }),
      giveBack: () => new Promise((resolve) => void waiting.push(() => resolve(true))),
    };
    const ports = { monotonicMs: () => clock.nowMs, randomBytes };
    const shares = new Shares(lending, { ports, clocks: () => clock.read(), after: clock.after });
    await madeOften(shares, clock, { times: 20, use: () => useOf(calls(1_000)) });
    const closed: string[] = [];
    const first = shares.close().then(() => closed.push('first'));
    const second = shares.close().then(() => closed.push('second'));
    await settled();
    expect([waiting.length > 0, closed]).toEqual([true, []]);
    for (const give of waiting) give();
    await Promise.all([first, second]);
    expect(closed).toEqual(['first', 'second']);
  });

  describe('of a limit over all tasks', () => {
    it('are spent without a task, up to the maximum of each window, and from no share of the window before', async () => {
      const { clock, process, close } = opened();
      const [one, two] = [process(), process()];
      await clock.pass(60_000 - clock.nowMs - 5_000);
      const race = async () => {
        const all: string[] = [];
        while (clock.nowMs % 60_000 > 30_000 || all.length < 700) {
          all.push(await made(all.length % 2 === 0 ? one : two, limited(limit(500))));
          await clock.pass(10);
        }
        return all;
      };
      const before = await madeOften(one, clock, { times: 100, use: () => limited(limit(500)) });
      expect([before.share > 50, before.refused]).toEqual([true, 0]);
      await clock.pass(60_000 - (clock.nowMs % 60_000));
      // What was lent in the window before is not spent in this one.
      expect(one.settleNow(limited(limit(500)))).toBeNull();
      const all = await race();
      expect(count(all, 'share') + count(all, 'state')).toBe(500);
      expect(count(all, 'share')).toBeGreaterThan(300);
      await Promise.all([one.close(), two.close()]);
      close();
    });

    it('are given back at once when all tasks have ended whose uses take from them, and kept for a call without a task', async () => {
      const { clock, process, limited: usedOfLimit, declare, end, close } = opened();
      const shares = process();
      for (const n of [2, 3]) declare(n);
      const ended = async (n: number) => {
        end(n);
        shares.ended();
        await clock.pass(20);
        return usedOfLimit();
      };
      await madeOften(shares, clock, { times: 30, use: () => ofTask(1, limit(500)) });
      await madeOften(shares, clock, { times: 30, use: () => ofTask(2, limit(500)) });
      expect(await ended(1)).toBeGreaterThan(60);
      expect(await ended(2)).toBe(60);
      // The next task is lent a share at once.
      expect(await made(shares, ofTask(3, limit(500)))).toBe('state');
      await clock.pass(20);
      expect(await made(shares, ofTask(3, limit(500)))).toBe('share');
      expect(await made(shares, limited(limit(500)))).toBe('share');
      expect(await ended(3)).toBeGreaterThan(63);
      await shares.close();
      expect(usedOfLimit()).toBe(63);
      close();
    });

    it('say after a use what is left of the share, and nothing of budgets', async () => {
      const { clock, process, close } = opened();
      const shares = process();
      const both = () => useOf(calls(1_000), limit(500), limit(800, { limit: 'b', measure: 'amount', amount: 2 }));
      await madeOften(shares, clock, { times: 60, use: both });
      const [first, second] = [shares.settleNow(both()), shares.settleNow(both())];
      const [ofCalls = -1, ofAmount = -1, ...others] = first?.sharesOf?.left ?? [];
      expect(second?.sharesOf?.left).toEqual([ofCalls - 1, ofAmount - 2]);
      expect(others).toEqual([]);
      expect(shares.settleNow(useOf(calls(1_000)))?.sharesOf?.left).toEqual([]);
      await shares.close();
      close();
    });

    it('are given back while their window runs, and not once it is over', async () => {
      const { clock, settling, close } = opened();
      const given: string[] = [];
      const noting: Settling = {
        settle: (use) => settling.settle(use),
        giveBack: (use) => {
          given.push(use.decisionId);
          return settling.giveBack(use);
        },
      };
      const ports = { monotonicMs: () => clock.nowMs, randomBytes };
      const shares = new Shares(noting, { ports, clocks: () => clock.read(), after: clock.after });
      await clock.pass(1_000);
      await madeOften(shares, clock, { times: 60, use: () => limited(limit(500)) });
      await clock.pass(13_000);
      expect(given.length).toBeGreaterThan(0);
      given.length = 0;
      await clock.pass(60_000 - (clock.nowMs % 60_000) - 2_000);
      await madeOften(shares, clock, { times: 60, use: () => limited(limit(500)) });
      await clock.pass(13_000);
      await shares.close();
      expect(given).toEqual([]);
      close();
    });

    it('are taken together with the budgets of a task, or not at all', async () => {
      const { clock, process, spent, close } = opened();
      const shares = process();
      const { share, state, refused } = await madeOften(shares, clock, {
        times: 100,
        use: () => useOf(calls(1_000), limit(60)),
      });
      expect([share + state, refused]).toEqual([60, 40]);
      await shares.close();
      expect(spent()).toBe(60);
      close();
    });

    it.each<[string, Partial<LimitSpend>]>([
      ['that suspends at its maximum', { effect: 'suspend' }],
      ['that suspends others at its maximum, and is only observed here', { isUnshared: true }],
      ['of different values', { measure: 'distinct', value: 'x'.repeat(43) }],
    ])('are not held %s', async (_what, more) => {
      const { clock, process, close } = opened();
      const shares = process();
      expect(await madeOften(shares, clock, { times: 40, use: () => limited(limit(500, more)) })).toEqual({
        share: 0,
        state: 40,
        refused: 0,
      });
      await shares.close();
      close();
    });

    it('are lent for no window but that in which they are spent, if the clock of the process is ahead', async () => {
      const { clock, settling, close } = opened();
      const ports = { monotonicMs: () => clock.nowMs, randomBytes };
      const clocks = () => ({ wallMs: clock.nowMs + 1_000, floorMs: clock.nowMs + 1_000 });
      const shares = new Shares(settling, { ports, clocks, after: clock.after });
      const madeTimes = (times: number) => madeOften(shares, clock, { times, use: () => limited(limit(500)) });
      await clock.pass(60_000 - clock.nowMs - 200);
      // The next window has begun for the process, and not yet for the state.
      expect(await madeTimes(10)).toEqual({ share: 0, state: 10, refused: 0 });
      expect(clock.nowMs).toBe(60_000);
      const { share, state, refused } = await madeTimes(600);
      expect([share + state, refused]).toEqual([500, 100]);
      // It asks again, once both are in one window.
      expect(share).toBeGreaterThan(200);
      await shares.close();
      close();
    });

    it('are not spent while the clocks of the process disagree on the window, and put nothing back into a later window', async () => {
      const { clock, settling, close } = opened();
      let aheadMs = 0;
      const ports = { monotonicMs: () => clock.nowMs, randomBytes };
      const clocks = () => ({ wallMs: clock.nowMs + aheadMs, floorMs: clock.nowMs });
      const shares = new Shares(settling, { ports, clocks, after: clock.after });
      await madeOften(shares, clock, { times: 60, use: () => limited(limit(500)) });
      aheadMs = 3_600_000;
      expect(shares.settleNow(limited(limit(500)))).toBeNull();
      aheadMs = 0;
      const taken = shares.settleNow(limited(limit(500)));
      expect(taken).not.toBeNull();
      await clock.pass(60_000);
      expect(taken && (await shares.giveBack(taken))).toBe(true);
      expect(shares.settleNow(limited(limit(500)))).toBeNull();
      await shares.close();
      close();
    });
  });

  it('forgets all shares of another database, also what a use took from them', async () => {
    const { clock, process, close } = opened();
    const shares = process();
    await madeOften(shares, clock, { times: 60, use: () => useOf(calls(1_000)) });
    const taken = shares.settleNow(useOf(calls(1_000)));
    expect(taken).not.toBeNull();
    shares.forget();
    expect(taken && (await shares.giveBack(taken))).toBe(false);
    expect(shares.settleNow(useOf(calls(1_000)))).toBeNull();
    await shares.close();
    close();
  });

  it('holds a bounded number of shares, and gives the least recently used back for another', async () => {
    const clock = new Clock();
    const given: string[] = [];
    const lending: Settling = {
      settle: async ({ ahead }) => (ahead === undefined ? null : { lent: ahead }),
      giveBack: async ({ key }) => given.push(key?.id ?? '') > 0,
    };
    const ports = { monotonicMs: () => clock.nowMs, randomBytes };
    const shares = new Shares(lending, { ports, clocks: () => clock.read(), after: clock.after });
    await madeOften(shares, clock, { times: 20, use: () => ofTask(1) });
    await madeOften(shares, clock, { times: 20, use: () => ofTask(2) });
    for (let n = 3; n < 16_384 + 2; n += 1) shares.settleNow(ofTask(n));
    await settled();
    expect(new Set(given)).toEqual(new Set([taskNumber(1).id]));
    await shares.close();
  });
});
