import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { openStoreForReading } from '../../src/store/sqlite.ts';
import { isStoreFailure } from '../../src/store/store-failure.ts';
import type { Store, StoreReader } from '../../src/store/store.ts';
import { causeOf } from '../../src/task/cause.ts';
import { agreeing, issuer, mustOpen, scratch, taskNumber, tokenNumber } from './samples.ts';

const { folder, remove } = scratch();
afterAll(remove);

/** Task 2 is a part of task 1. */
const tasks = [taskNumber(1), taskNumber(2, { parentId: taskNumber(1).id }), taskNumber(3, { idleMs: 5_000 })];

/** All that a store is asked for: each task with each token, its own and another's. */
const statesIn = (store: StoreReader): readonly unknown[] =>
  tasks.flatMap(({ id }) => [1, 2, 3, 4].map((n) => store.useStateOf(issuer, id, `digest-${n}`)));

/** The same, asked of one that has never been asked before. */
function statesInFile(file: string): readonly unknown[] {
  const reader = openStoreForReading(file, agreeing());
  if (isStoreFailure(reader)) throw new Error(reader.detail);
  try {
    return statesIn(reader);
  } finally {
    reader.close();
  }
}

/** The state of task 1, as a use of its token is judged by it. */
function stateOf(store: StoreReader): unknown {
  const state = store.useStateOf(issuer, taskNumber(1).id, 'digest-1');
  return state === undefined || isStoreFailure(state) ? state : state.task.state;
}

type Step = (store: Store, n: number) => unknown;

const taskAt = (n: number) => tasks[n % tasks.length] ?? taskNumber(1);

const steps: Readonly<Record<string, Step>> = {
  'a further token': (store, n) => store.insertToken(taskAt(n), tokenNumber(4), []),
  'a suspension': (store, n) =>
    store.applyTaskEvent(taskAt(n), { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator'),
  'a resumption': (store, n) =>
    store.applyTaskEvent(taskAt(n), { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator'),
  'an end': (store, n) =>
    store.applyTaskEvent(taskAt(n), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator'),
  'a context': (store, n) => store.setContext(taskAt(n), { kind: 'agent', by: 'a', values: { ticket: `T-${n}` } }),
  'an attested value': (store, n) =>
    store.setContext(taskAt(n), { kind: 'writer', by: 'w', values: { ticket: `T-${n}` }, withdraw: [] }),
  'a risk': (store, n) =>
    store.setRisk(taskAt(n), n % 2 === 0 ? 'high' : 'low', causeOf('signal.risk-level-change'), 'operator'),
  'a revoked token': (store, n) => store.revokeToken(`digest-${(n % 4) + 1}`, causeOf('operator.revoked'), 'operator'),
  'a spend': (store, n) => store.spend(taskAt(n), `digest-${(n % 3) + 1}`, [{ kind: 'calls', limit: 9 }]),
  'an entry of the history': (store, n) => {
    const state = store.useStateOf(issuer, taskAt(n).id, `digest-${(n % 3) + 1}`);
    if (state === undefined || isStoreFailure(state)) return;
    const { version } = state.history;
    store.spend(taskAt(n), `digest-${(n % 3) + 1}`, [], { version, action: `files.${n}`, labels: ['x'] });
  },
  'a use': (store, n) => store.touchTasks(new Map([[taskAt(n).id, 1_500 + n]])),
  'an expiry': (store) => store.endExpired(),
  'a key that is remembered': (store, n) => store.rememberOnce('signal', `${n}`, 2_000),
  'a record': (store) => store.appendRecords([]),
};

const step = fc.record({
  what: fc.constantFrom(...Object.keys(steps)),
  n: fc.nat(20),
  isOfAnother: fc.boolean(),
  isTurn: fc.boolean(),
  isTogether: fc.boolean(),
});

describe('Store.useStateOf', () => {
  it('says what the file says, whatever this store and another one write to it', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (history) => {
        const file = join(folder(), 'state.db');
        let nowMs = 1_000;
        const [own, another] = [mustOpen(file, { nowMs: () => nowMs }), mustOpen(file, { nowMs: () => nowMs })];
        for (const [index, task] of tasks.entries()) own.insertTask(task, tokenNumber(index + 1), []);
        for (const { what, n, isOfAnother, isTurn, isTogether } of history) {
          // Asked before, so that there is something to hold on to.
          statesIn(own);
          nowMs += 500;
          steps[what]?.(isOfAnother ? another : own, n);
          if (isTurn) own.turn();
          expect(statesIn(own)).toEqual(statesInFile(file));
          if (isTurn && !isOfAnother) steps[what]?.(own, n + 1);
          expect(statesIn(own)).toEqual(statesInFile(file));
          if (isTogether) {
            const seen: unknown[] = [];
            const failure = own.together(() => {
              for (const more of [2, 3, 4]) steps[what]?.(own, n + more);
              seen.push(...statesIn(own));
            });
            if (failure === null) expect(seen).toEqual(statesInFile(file));
            expect(statesIn(own)).toEqual(statesInFile(file));
          }
          own.turnOver();
        }
        own.close();
        another.close();
      }),
      { numRuns: 60 },
    );
  });

  it.each(Object.keys(steps).filter((what) => !/remembered|record|further|spend/.test(what)))(
    'follows %s at once, and gives the same object until then',
    (what) => {
      const file = join(folder(), 'state.db');
      let nowMs = 1_000;
      const store = mustOpen(file, { nowMs: () => nowMs });
      for (const [index, task] of tasks.entries()) store.insertTask(task, tokenNumber(index + 1), []);
      const state = () => store.useStateOf(issuer, taskAt(2).id, 'digest-3');
      const before = state();
      expect(state()).toBe(before);
      nowMs = what === 'an expiry' ? 200_000 : nowMs;
      if (what === 'a resumption') steps['a suspension']?.(store, 2);
      steps[what]?.(store, 2);
      expect(state()).not.toBe(before);
      expect([state()]).toEqual(statesInFile(file).slice(10, 11));
      store.close();
    },
  );

  it('asks once in a turn what another has written, and anew after it', () => {
    const file = join(folder(), 'state.db');
    const [own, another] = [mustOpen(file), mustOpen(file)];
    own.insertTask(taskNumber(1), tokenNumber(1), []);
    expect(stateOf(own)).toBe('active');
    own.turn();
    another.applyTaskEvent(taskNumber(1), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    expect(stateOf(own)).toBe('active');
    own.turnOver();
    expect(stateOf(own)).toBe('completed');
    own.turn();
    expect(stateOf(own)).toBe('completed');
    own.turnOver();
    own.close();
    another.close();
    own.turn();
    expect(stateOf(own)).toMatchObject({ code: 'broken' });
  });

  it('keeps what it holds where a budget is spent from', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    const state = () => store.useStateOf(issuer, taskNumber(1).id, 'digest-1');
    const before = state();
    expect(store.spend(taskNumber(1), 'digest-1', [{ kind: 'calls', limit: 1 }])).toBeNull();
    expect(state()).toBe(before);
    expect(store.spend(taskNumber(1), 'digest-1', [{ kind: 'calls', limit: 1 }])).toBe('exhausted');
    store.close();
  });

  it('holds so much and no more: what was asked for longest ago is read again', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    const large = Array.from({ length: 20 }, (_, n) =>
      taskNumber(n + 1, { detailsJson: JSON.stringify('x'.repeat(1_048_576)) }),
    );
    for (const [index, task] of large.entries()) store.insertTask(task, tokenNumber(index + 1), []);
    const states = () => large.map(({ id }, index) => store.useStateOf(issuer, id, `digest-${index + 1}`));
    const stateOfLast = () => store.useStateOf(issuer, taskNumber(20).id, 'digest-20');
    const [first] = states();
    expect(stateOfLast()).toBe(stateOfLast());
    const again = store.useStateOf(issuer, taskNumber(1).id, 'digest-1');
    expect(again).toEqual(first);
    expect(again).not.toBe(first);
    store.close();
  });

  it('is broken with the store, also for what it holds', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    expect(isStoreFailure(store.useStateOf(issuer, taskNumber(1).id, 'digest-1') ?? null)).toBe(false);
    store.close();
    expect(store.useStateOf(issuer, taskNumber(1).id, 'digest-1')).toMatchObject({ code: 'broken' });
  });
});
