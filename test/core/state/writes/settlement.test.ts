import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { noHistory } from '../../../../src/core/task/history.ts';
import type { TaskHistory } from '../../../../src/core/task/history.ts';
import {
  givenBack,
  spendsProblem,
  taken,
  withLent,
  taskSpendsOf,
} from '../../../../src/core/state/writes/settlement.ts';
import type { Taking } from '../../../../src/core/state/writes/settlement.ts';
import type { TaskSpend } from '../../../../src/core/state/spend.ts';
import type { UseState } from '../../../../src/core/state/store-reader.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';

const useOf = (change: Partial<Task> = {}, history: TaskHistory = noHistory): UseState => ({
  task: taskNumber(1, change),
  issued: { ...tokenNumber(1), revokedAtMs: null },
  history,
});

const LIMITS = { calls: 5, amount: 100 } as const;

const spend: fc.Arbitrary<TaskSpend> = fc.oneof(
  fc.record({
    kind: fc.constant('calls' as const),
    name: fc.constantFrom('', 'a'),
    limit: fc.constant(LIMITS.calls),
    count: fc.nat(3),
  }),
  fc.record({
    kind: fc.constant('amount' as const),
    name: fc.constantFrom('eur', 'usd'),
    limit: fc.constant(LIMITS.amount),
    amount: fc.oneof(fc.nat(60), fc.constant(Number.MAX_SAFE_INTEGER)),
  }),
  fc.record({ kind: fc.constant('single-use' as const), name: fc.constantFrom('', 'once') }),
);

const taking: fc.Arbitrary<Taking> = fc.record(
  {
    spends: fc.array(spend, { maxLength: 4 }),
    entry: fc.record({
      version: fc.nat(3),
      action: fc.constantFrom('a.read', 'a.write', 'b.read'),
      labels: fc.subarray(['pii', 'money']),
    }),
  },
  { requiredKeys: ['spends'] },
);

const limitOf = (counter: string): number =>
  counter.startsWith('calls:') ? LIMITS.calls : counter.startsWith('amount:') ? LIMITS.amount : 1;

describe('taken', () => {
  it('takes all or nothing: no counter exceeds its limit or decreases, and a history advances by one version', () => {
    fc.assert(
      fc.property(fc.array(taking, { maxLength: 30 }), (uses) => {
        const spent = new Map<string, number>();
        let history = noHistory;
        for (const one of uses) {
          const rows = taken({ use: useOf({}, history), spent: (counter) => spent.get(counter) ?? 0 }, one, 1_000);
          if (typeof rows === 'string') {
            if (rows === 'history-changed') expect(one.entry?.version).not.toBe(history.version);
            else expect(one.spends.length).toBeGreaterThan(0);
            continue;
          }
          const asked = new Map<string, number>();
          for (const { kind, name = '', ...rest } of one.spends) {
            const amount = 'amount' in rest ? rest.amount : 'count' in rest ? (rest.count ?? 1) : 1;
            asked.set(`${kind}:${name}`, (asked.get(`${kind}:${name}`) ?? 0) + amount);
          }
          expect([...rows.spent.keys()].toSorted()).toEqual([...asked.keys()].toSorted());
          for (const [counter, now] of rows.spent) {
            expect(now).toBe((spent.get(counter) ?? 0) + (asked.get(counter) ?? 0));
            expect(now).toBeLessThanOrEqual(limitOf(counter));
            spent.set(counter, now);
          }
          if (rows.history === null) continue;
          expect(rows.history.version).toBe(history.version + 1);
          expect(rows.history.actions.slice(0, history.actions.length)).toEqual(history.actions);
          expect(rows.history.labels.slice(0, history.labels.length)).toEqual(history.labels);
          history = rows.history;
        }
      }),
    );
  });

  it.each<readonly [string, UseState | undefined, number]>([
    ['no task', undefined, 1_000],
    ['no token', { ...useOf(), issued: undefined }, 1_000],
    ['a revoked token', { ...useOf(), issued: { ...tokenNumber(1), revokedAtMs: 5 } }, 1_000],
    ['a token from before a resume', useOf({ generation: 2 }), 1_000],
    ['a suspended task', useOf({ state: 'suspended' }), 1_000],
    ['an ended task', useOf({ state: 'completed', endedAtMs: 5 }), 1_000],
    ['a task at its deadline', useOf({ deadlineMs: 1_000 }), 1_000],
    ['an idle task', useOf({ idleMs: 500, lastUsedMs: 500 }), 1_000],
  ])('answers `ended` for %s', (_name, use, nowMs) => {
    expect(taken({ use, spent: () => 0 }, { spends: [{ kind: 'calls', limit: 9 }] }, nowMs)).toBe('ended');
  });

  it('adds up the spends of one use on one counter', () => {
    const twice: readonly TaskSpend[] = [
      { kind: 'calls', limit: 1 },
      { kind: 'calls', limit: 1 },
    ];
    expect(taken({ use: useOf(), spent: () => 0 }, { spends: twice }, 1_000)).toBe('exhausted');
  });

  it('answers `history-full` and takes nothing if the history has no room', () => {
    const actions = Array.from({ length: 256 }, (_, n) => `a.${n}`);
    const use = useOf({}, { version: 256, actions, labels: [] });
    const entry = { version: 256, action: 'b.read', labels: [] };
    expect(taken({ use, spent: () => 0 }, { spends: [], entry }, 1_000)).toBe('history-full');
    const known = { ...entry, action: 'a.7' };
    expect(taken({ use, spent: () => 0 }, { spends: [], entry: known }, 1_000)).toEqual({
      spent: new Map(),
      history: null,
      lent: [],
    });
  });

  it('adds nothing to a history that was only read, and refuses a use that read an older history', () => {
    const use = useOf({}, { version: 2, actions: ['a.read'], labels: [] });
    const entry = { version: 2, action: '', labels: [] };
    const rows = { use, spent: () => 0 };
    expect(taken(rows, { spends: [], entry }, 1_000)).toEqual({ spent: new Map(), history: null, lent: [] });
    expect(taken(rows, { spends: [], entry: { ...entry, version: 1 } }, 1_000)).toBe('history-changed');
  });
});

describe('taken, with shares', () => {
  /** Uses and loans of several processes, by one budget of calls; a share that is lost is never given back. */
  const steps = fc.array(
    fc.record({ ahead: fc.nat(40), count: fc.nat(3), back: fc.option(fc.nat(40), { nil: null }) }),
    { maxLength: 40 },
  );

  it('lends at most an eighth of what is left, nothing of less than 16, and never more than the limit in all', () => {
    fc.assert(
      fc.property(fc.nat(200), steps, (limit, all) => {
        let spent = 0;
        for (const { ahead, count, back } of all) {
          const spends: readonly TaskSpend[] = [{ kind: 'calls', limit, count }];
          const rows = taken({ use: useOf(), spent: () => spent }, { spends, ahead: [ahead] }, 1_000);
          if (typeof rows === 'string') {
            expect([rows, spent + count > limit]).toEqual(['exhausted', true]);
            continue;
          }
          const [lent = NaN] = rows.lent;
          const left = limit - spent - count;
          const most = left < 16 ? 0 : Math.floor(left / 8);
          expect(lent).toBeLessThanOrEqual(Math.min(ahead, most));
          // What is wanted, or else more than half of what may be lent.
          expect(lent === ahead || 2 * lent + 1 >= Math.min(ahead, most)).toBe(true);
          expect(rows.spent.get('calls:')).toBe(spent + count + lent);
          spent += count + lent;
          if (back === null) continue;
          const after = givenBack(() => spent, taskSpendsOf(withLent(spends, rows.lent)), [back]).get('calls:');
          expect(after).toBe(spent - Math.min(back, count + lent));
          spent = after ?? NaN;
        }
      }),
    );
  });

  it('lends of each budget of calls or an amount by itself, and never the single use of a token', () => {
    const spends: readonly TaskSpend[] = [
      { kind: 'calls', limit: 81 },
      { kind: 'amount', name: 'eur', amount: 20, limit: 100 },
      { kind: 'decimal', name: 'usd', amount: 0, limit: 15 },
      { kind: 'single-use' },
    ];
    const rows = taken({ use: useOf(), spent: () => 0 }, { spends, ahead: [80, 4, 99, 99] }, 1_000);
    expect(rows).toMatchObject({ lent: [10, 4, 0, 0] });
    expect([...(typeof rows === 'string' ? [] : rows.spent.values())]).toEqual([11, 24, 0, 1]);
    expect(withLent(spends, [10, 4, 0, 0])).toMatchObject([{ count: 11 }, { amount: 24 }, { amount: 0 }, spends[3]]);
  });

  it('lends nothing of an ended task', () => {
    const ended = useOf({ state: 'completed', endedAtMs: 5 });
    const spends: readonly TaskSpend[] = [{ kind: 'calls', limit: 100, count: 0 }];
    expect(taken({ use: ended, spent: () => 0 }, { spends, ahead: [5] }, 1_000)).toBe('ended');
  });
});

describe('spendsProblem', () => {
  it.each([-1, 1.5, Number.NaN, 2 ** 53])('refuses to lend or give back %p', (more) => {
    expect(spendsProblem([{ kind: 'calls', limit: 1 }], [more])).not.toBeNull();
  });

  it.each([-1, 1.5, Number.NaN, 2 ** 53])('refuses %p', (amount) => {
    const spends: readonly TaskSpend[] = [{ kind: 'amount', name: 'eur', amount, limit: 1 }];
    expect(spendsProblem(spends)).toBe('an amount of a budget must be a whole number from 0 to 2^53 - 1');
  });
});
