import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { TaskSpend } from '../../../src/core/state/spend.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';

const folder = testFolders();

const key = taskNumber(1);
const withTask = (file = join(folder(), 'state.db')): Store => {
  const store = mustOpen(file);
  store.insertTask(key, tokenNumber(1), []);
  return store;
};
const spend = (store: Store, ...spends: readonly TaskSpend[]) => store.spend(key, 'digest-1', spends);
const calls = (limit: number, more: { name?: string; count?: number } = {}): TaskSpend => ({
  kind: 'calls',
  limit,
  ...more,
});
const amount = (value: number, limit: number, name = 'amount'): TaskSpend => ({
  kind: 'amount',
  name,
  amount: value,
  limit,
});
const { MAX_SAFE_INTEGER } = Number;

describe('Store.spend', () => {
  it.each<[string, readonly (readonly TaskSpend[])[], readonly (string | null)[]]>([
    ['calls up to their limit', [[calls(2)], [calls(2)], [calls(2)]], [null, null, 'exhausted']],
    ['no call if the limit is 0', [[calls(0)]], ['exhausted']],
    [
      'a narrower limit on the same counter',
      [[calls(9)], [calls(9)], [calls(1)], [calls(3)]],
      [null, null, 'exhausted', null],
    ],
    [
      'counters of different names separately',
      [[calls(1, { name: 'a' })], [calls(1, { name: 'b' })], [calls(1, { name: 'a' })]],
      [null, null, 'exhausted'],
    ],
    [
      'several calls at once, as for a part',
      [[calls(9, { count: 7 })], [calls(9, { count: 3 })], [calls(9, { count: 2 })]],
      [null, 'exhausted', null],
    ],
    [
      'amounts up to their limit',
      [[amount(60, 100)], [amount(41, 100)], [amount(40, 100)], [amount(1, 100)]],
      [null, 'exhausted', null, 'exhausted'],
    ],
    ['an amount of nothing at the limit', [[amount(100, 100)], [amount(0, 100)]], [null, null]],
    [
      'amounts whose sum exceeds the largest exact integer',
      [[amount(MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)], [amount(MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)]],
      [null, 'exhausted'],
    ],
    [
      'spends of one counter together',
      [
        [amount(60, 100), amount(60, 100)],
        [amount(50, 100), amount(50, 100)],
      ],
      ['exhausted', null],
    ],
    ['a single use once', [[{ kind: 'single-use' }], [{ kind: 'single-use' }]], [null, 'replayed']],
    [
      'nothing if it only asks whether the single use was made',
      [[{ kind: 'single-use' }, calls(0)], [{ kind: 'single-use' }], [{ kind: 'single-use' }, calls(0)]],
      ['exhausted', null, 'replayed'],
    ],
    [
      'all or nothing',
      [
        [calls(5), amount(101, 100), { kind: 'single-use' }],
        [calls(1), amount(100, 100), { kind: 'single-use' }],
      ],
      ['exhausted', null],
    ],
    ['nothing', [[]], [null]],
  ])('counts %s', (_name, uses, expected) => {
    const store = withTask();
    expect(uses.map((spends) => spend(store, ...spends))).toEqual(expected);
    store.close();
  });

  it.each<[string, TaskSpend]>([
    ['a fraction', amount(0.5, 100)],
    ['a negative amount', amount(-1, 100)],
    ['no number', amount(Number.NaN, 100)],
    ['an amount above 2^53 - 1', amount(2 ** 53, 100)],
    ['an infinite limit', calls(Infinity)],
    ['a negative count', calls(5, { count: -1 })],
  ])('refuses %s', (_name, bad) => {
    const store = withTask();
    expect(spend(store, calls(1), bad)).toMatchObject({
      code: 'refused',
      detail: 'an amount of a budget must be a whole number from 0 to 2^53 - 1',
    });
    expect(spend(store, calls(1))).toBeNull();
    store.close();
  });

  it('keeps what was spent after a restart, a resume and a further token', () => {
    const file = join(folder(), 'state.db');
    const store = withTask(file);
    expect(spend(store, calls(2), { kind: 'single-use' })).toBeNull();
    store.applyTaskEvent(key, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    store.applyTaskEvent(key, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator');
    store.close();
    const again = mustOpen(file);
    again.insertToken(key, { ...tokenNumber(2), generation: 2 }, []);
    const next = (...spends: readonly TaskSpend[]) => again.spend(key, 'digest-2', spends);
    expect([next({ kind: 'single-use' }), next(calls(2)), next(calls(2))]).toEqual(['replayed', null, 'exhausted']);
    again.close();
  });

  it.each<[string, (store: Store) => unknown]>([
    [
      'a suspended task',
      (store) => store.applyTaskEvent(key, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator'),
    ],
    [
      'an ended task',
      (store) => store.applyTaskEvent(key, { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator'),
    ],
    ['a revoked token', (store) => store.revokeToken('digest-1', causeOf('operator.revoked'), 'operator')],
    [
      'a token from before a resume',
      (store) => [
        store.applyTaskEvent(key, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator'),
        store.applyTaskEvent(key, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator'),
      ],
    ],
  ])('spends nothing with %s', (_name, prepare) => {
    const store = withTask();
    prepare(store);
    expect(spend(store, calls(5))).toBe('ended');
    store.close();
  });

  it('spends nothing with a token of another task, or for an unknown task', () => {
    const store = withTask();
    store.insertTask(taskNumber(2), tokenNumber(2), []);
    expect(store.spend(key, 'digest-2', [calls(5)])).toBe('ended');
    expect(store.spend(key, 'digest-9', [calls(5)])).toBe('ended');
    expect(store.spend(taskNumber(9), 'digest-1', [calls(5)])).toBe('ended');
    store.close();
  });

  it('never exceeds the limit and refuses nothing below it, in any order of spends', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.array(fc.nat(20), { maxLength: 30 }), (limit, amounts) => {
        const store = withTask();
        let spent = 0;
        for (const value of amounts) {
          const isSpent = spend(store, amount(value, limit)) === null;
          expect(isSpent).toBe(spent + value <= limit);
          if (isSpent) spent += value;
        }
        store.close();
        expect(spent).toBeLessThanOrEqual(limit);
      }),
      { numRuns: 20 },
    );
  });
});

const handed = (...spends: readonly TaskSpend[]) => ({ jtiDigest: 'digest-1', spends });
/** Whether all 5 calls are left. */
const left = (store: Store): unknown => spend(store, calls(5, { count: 5 }));

describe('Store.insertPart', () => {
  const part = taskNumber(2, { parentId: key.id });

  it('spends what the part is given', () => {
    const store = withTask();
    expect(store.insertPart(part, tokenNumber(2), [], handed(calls(5, { count: 3 })))).toBeNull();
    expect([left(store), spend(store, calls(5, { count: 2 }))]).toEqual(['exhausted', null]);
    store.close();
  });

  it.each<[string, Partial<Task>, (store: Store) => unknown, unknown]>([
    ['outlives the task', { deadlineMs: 100_001 }, () => null, { code: 'refused' }],
    ['has no parent', { parentId: null }, () => null, { code: 'refused' }],
    ['has an id that is taken', { id: key.id }, () => null, { code: 'conflict' }],
    ['takes more than the budget has left', {}, (store) => spend(store, calls(5, { count: 3 })), 'exhausted'],
    [
      'comes with a revoked token',
      {},
      (store) => store.revokeToken('digest-1', causeOf('agent.revoked'), 'x'),
      'ended',
    ],
  ])('spends nothing and writes nothing if the part %s', (name, change, before, expected) => {
    const store = withTask();
    before(store);
    const result = store.insertPart({ ...part, ...change }, tokenNumber(2), [], handed(calls(5, { count: 3 })));
    if (typeof expected === 'string') expect(result).toBe(expected);
    else expect(result).toMatchObject(Object(expected));
    expect(store.tokenOf('digest-2')).toBeUndefined();
    if (name.endsWith('left')) expect(spend(store, calls(5, { count: 2 }))).toBeNull();
    else expect(name.endsWith('token') ? null : left(store)).toBeNull();
    store.close();
  });
});
