import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { openStoreForReading } from '../../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure, storeFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../../src/core/state/store.ts';
import type { TaskStanding, StoreReader, UseState } from '../../../../src/core/state/store-reader.ts';
import { stateAt } from '../../../../src/core/task/task.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { allowedUse } from '../../../builders/ledger-record.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { must } from '../../../builders/must.ts';
import { thoroughly } from '../../../thoroughly.ts';

const folder = testFolders();

/** Task 2 is a part of task 1, and task 4 of task 3. They share a history, and a use of a part is a use of both. */
const tasks = [
  taskNumber(1),
  taskNumber(2, { parentId: taskNumber(1).id }),
  taskNumber(3, { idleMs: 5_000 }),
  taskNumber(4, { idleMs: 4_000, parentId: taskNumber(3).id }),
];
const TOKENS = [1, 2, 3, 4, 9];

/**
 * Everything a store is asked: each task with each token, its own and another's. An idle time that was restarted need not be known before
 * the old one is over; then the cached state is read again.
 */
const statesIn = (store: StoreReader): readonly unknown[] =>
  tasks.flatMap(({ id }) =>
    TOKENS.map((n) => {
      const standing = store.standingOf(issuer, id, `digest-${n}`);
      const state = store.useStateOf(issuer, id, `digest-${n}`);
      if (state === undefined || isStoreFailure(state)) return { standing, state };
      return { standing: standingIn(store, standing), state: { ...standingIn(store, state), history: state.history } };
    }),
  );

function standingIn(store: StoreReader, standing: TaskStanding | undefined | StoreFailure): object {
  const { task, issued } = must(standing ?? storeFailure('refused', 'there is no such task'));
  const { lastUsedMs: _, ...rest } = task;
  return { task: rest, issued, now: stateAt(task, store.nowMs()) };
}

/** The same, from a store that was never asked before. */
function statesInFile(file: string, nowMs: () => number): readonly unknown[] {
  const reader = must(openStoreForReading(file, agreeing(nowMs)));
  try {
    return statesIn(reader);
  } finally {
    reader.close();
  }
}

/** The state of task 1 by which a use of its token is decided. */
function stateOf(store: StoreReader): unknown {
  const state = store.useStateOf(issuer, taskNumber(1).id, 'digest-1');
  return state === undefined || isStoreFailure(state) ? state : state.task.state;
}

type Step = (store: Store, n: number) => unknown;

const taskAt = (n: number) => tasks[n % tasks.length] ?? taskNumber(1);

const steps: Readonly<Record<string, Step>> = {
  'a further token': (store, n) => store.insertToken(taskAt(n), tokenNumber(9), []),
  'a suspension': (store, n) =>
    store.applyTaskEvent(taskAt(n), { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator'),
  'a resumption': (store, n) =>
    store.applyTaskEvent(taskAt(n), { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator'),
  'an end': (store, n) =>
    store.applyTaskEvent(taskAt(n), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator'),
  'a context': (store, n) => store.setContext(taskAt(n), { kind: 'agent', by: 'a', values: { ticket: `T-${n}` } }),
  'an attested value': (store, n) =>
    store.setContext(taskAt(n), { kind: 'writer', by: 'w', values: { ticket: `T-${n}` } }),
  'a risk': (store, n) =>
    store.setRisk(taskAt(n), n % 2 === 0 ? 'high' : 'low', causeOf('signal.risk-level-change'), 'operator'),
  'a revoked token': (store, n) => store.revokeToken(`digest-${(n % 4) + 1}`, causeOf('operator.revoked'), 'operator'),
  'a spend': (store, n) => store.spend(taskAt(n), `digest-${(n % 4) + 1}`, [{ kind: 'calls', limit: 9 }]),
  'an entry of the history': (store, n) => {
    const state = store.useStateOf(issuer, taskAt(n).id, `digest-${(n % 3) + 1}`);
    if (state === undefined || isStoreFailure(state)) return;
    const { version } = state.history;
    store.spend(taskAt(n), `digest-${(n % 3) + 1}`, [], { version, action: `files.${n}`, labels: ['x'] });
  },
  'a use': (store, n) => store.touchTasks(new Map([[taskAt(n).id, 1_500 + n]])),
  'an expiry': (store) => store.endExpired(),
  'a key that is remembered': (store, n) => store.rememberOnce('signal', `${n}`, 2_000),
  'a record': (store, n) => store.appendRecords([allowedUse((n % tasks.length) + 1, 1_500 + n)]),
};

const step = fc.record({
  what: fc.constantFrom(...Object.keys(steps)),
  n: fc.nat(20),
  isOfAnother: fc.boolean(),
  isTurn: fc.boolean(),
  isTogether: fc.boolean(),
});

describe('Store.useStateOf', () => {
  it('agrees with the file, whatever this store and another store write to it', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (history) => {
        const file = join(folder(), 'state.db');
        let nowMs = 1_000;
        const [own, another] = [mustOpen(file, { nowMs: () => nowMs }), mustOpen(file, { nowMs: () => nowMs })];
        for (const [index, task] of tasks.entries()) own.insertTask(task, tokenNumber(index + 1), []);
        for (const { what, n, isOfAnother, isTurn, isTogether } of history) {
          // Asked before, so that there are cached states.
          statesIn(own);
          nowMs += 500;
          steps[what]?.(isOfAnother ? another : own, n);
          if (isTurn) own.turn();
          expect(statesIn(own)).toEqual(statesInFile(file, () => nowMs));
          if (isTurn && !isOfAnother) steps[what]?.(own, n + 1);
          expect(statesIn(own)).toEqual(statesInFile(file, () => nowMs));
          const seen: unknown[] = [];
          const look = (): unknown => seen.push(...statesIn(own));
          const failure = isTogether
            ? own.inOneCommit(() => {
                for (const more of [2, 3, 4]) steps[what]?.(own, n + more);
                look();
              })
            : null;
          if (!isTogether) look();
          expect(failure ?? seen).toEqual(failure ?? statesInFile(file, () => nowMs));
          expect(statesIn(own)).toEqual(statesInFile(file, () => nowMs));
          own.turnOver();
        }
        own.close();
        another.close();
      }),
      { numRuns: thoroughly(60, 20) },
    );
  });

  it.each(Object.keys(steps).filter((what) => !/remembered|record|further|spend|use/.test(what)))(
    'follows %s at once, and returns the same object until then',
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
      const at = 2 * TOKENS.length + 2;
      expect(statesIn(store)[at]).toEqual(statesInFile(file, () => nowMs)[at]);
      store.close();
    },
  );

  it('keeps cached states when a task is used, and finds the use once the cached idle time is over', () => {
    const file = join(folder(), 'state.db');
    let nowMs = 1_000;
    const [own, another] = [mustOpen(file, { nowMs: () => nowMs }), mustOpen(file, { nowMs: () => nowMs })];
    const idling = taskNumber(1, { idleMs: 500, lastUsedMs: 1_000 });
    own.insertTask(idling, tokenNumber(1), []);
    const state = () => own.useStateOf(issuer, idling.id, 'digest-1');
    const before = state();
    nowMs = 1_400;
    another.touchTasks(new Map([[idling.id, nowMs]]));
    expect(own.feedEnd()).toBe(0);
    expect(state()).toBe(before);
    nowMs = 1_600;
    expect(state()).toMatchObject({ task: { state: 'active', lastUsedMs: 1_400 } });
    nowMs = 1_900;
    expect(stateAt((state() as UseState).task, own.nowMs())).toBe('expired');
    own.close();
    another.close();
  });

  it('drops the states of expired tokens after 256 that it reads, and no others', () => {
    const file = join(folder(), 'state.db');
    let nowMs = 1_000;
    const store = mustOpen(file, { nowMs: () => nowMs });
    const [live, short] = [tokenNumber(1), { ...tokenNumber(2), expiresAtMs: 1_500 }];
    store.inOneCommit(() => {
      for (const [index, token] of [live, short].entries()) store.insertTask(taskNumber(index + 1), token, []);
      for (let n = 3; n <= 256; n += 1) store.insertTask(taskNumber(n), tokenNumber(n), []);
    });
    const state = (n: number) => store.useStateOf(issuer, taskNumber(n).id, `digest-${n}`);
    const [before, expired] = [state(1), state(2)];
    nowMs = 1_600;
    for (let n = 3; n <= 255; n += 1) state(n);
    expect([state(1), state(2)]).toEqual([before, expired]);
    expect(state(2)).toBe(expired);
    state(256);
    expect(state(1)).toBe(before);
    expect(state(2)).not.toBe(expired);
    expect(state(2)).toEqual(expired);
    store.close();
  });

  it('keeps cached states through 20 ends and 200 touches a second of another process', () => {
    const file = join(folder(), 'state.db');
    const [own, another] = [mustOpen(file), mustOpen(file)];
    const HELD = 500;
    own.inOneCommit(() => {
      for (let n = 1; n <= HELD + 40; n += 1) own.insertTask(taskNumber(n, { idleMs: 90_000 }), tokenNumber(n), []);
    });
    const states = () =>
      Array.from({ length: HELD }, (_, n) => own.useStateOf(issuer, taskNumber(n + 1).id, `digest-${n + 1}`));
    const before = states();
    for (let second = 0; second < 2; second += 1) {
      for (let n = 0; n < 200; n += 20)
        another.touchTasks(new Map(Array.from({ length: 20 }, (_, m) => [taskNumber(n + m + 1).id, 2_000 + second])));
      for (let n = 1; n <= 20; n += 1)
        another.applyTaskEvent(taskNumber(HELD + 20 * second + n), byOperator('complete'), 'operator');
      expect(states().filter((state, n) => state !== before[n])).toEqual([]);
    }
    expect(own.feedEnd()).toBe(40);
    another.applyTaskEvent(taskNumber(7), byOperator('complete'), 'operator');
    expect(states().flatMap((state, n) => (state === before[n] ? [] : [n + 1]))).toEqual([7]);
    own.close();
    another.close();
  });

  it('invalidates everything if the feed is more than 4,096 changes ahead', () => {
    const file = join(folder(), 'state.db');
    const [own, another] = [mustOpen(file), mustOpen(file)];
    for (const n of [1, 2]) own.insertTask(taskNumber(n), tokenNumber(n), []);
    expect(stateOf(own)).toBe('active');
    another.applyTaskEvent(taskNumber(1), byOperator('complete'), 'operator');
    for (let n = 0; n < 5; n += 1)
      another.inOneCommit(() => {
        for (let m = 0; m < 1_000; m += 1)
          another.insertTask(taskNumber(1_000 * (n + 1) + m), tokenNumber(1_000 * (n + 1) + m), []);
        for (let m = 0; m < 1_000; m += 1)
          another.applyTaskEvent(taskNumber(1_000 * (n + 1) + m), byOperator('complete'), 'operator');
      });
    expect(own.feedEnd()).toBe(5_001);
    // Old rows are deleted 256 at a time.
    expect([own.feedAfter(0), own.feedAfter(905 - 256)]).toEqual([null, null]);
    expect(own.feedAfter(905)).toMatchObject({ position: 5_001 });
    expect(stateOf(own)).toBe('completed');
    own.close();
    another.close();
  });

  it('keeps task and token if another adds to the history, and follows their changes after that', () => {
    const file = join(folder(), 'state.db');
    const [own, another] = [mustOpen(file), mustOpen(file)];
    for (const [index, task] of tasks.entries()) own.insertTask(task, tokenNumber(index + 1), []);
    const state = () => own.useStateOf(issuer, taskNumber(1).id, 'digest-1') as UseState;
    const standing = () => own.standingOf(issuer, taskNumber(1).id, 'digest-1') as UseState;
    const before = state();
    another.spend(taskNumber(2), 'digest-2', [], { version: 0, action: 'files.read', labels: [] });
    expect(standing().task).toBe(before.task);
    expect(state().history).toMatchObject({ version: 1 });
    another.spend(taskNumber(2), 'digest-2', [], { version: 1, action: 'files.list', labels: [] });
    another.applyTaskEvent(taskNumber(1), byOperator('complete'), 'operator');
    expect(standing().task.state).toBe('completed');
    own.close();
    another.close();
  });

  it('checks once per turn for commits of others', () => {
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

  it('keeps cached states when a budget is spent', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    const state = () => store.useStateOf(issuer, taskNumber(1).id, 'digest-1');
    const before = state();
    expect(store.spend(taskNumber(1), 'digest-1', [{ kind: 'calls', limit: 1 }])).toBeNull();
    expect(state()).toBe(before);
    expect(store.spend(taskNumber(1), 'digest-1', [{ kind: 'calls', limit: 1 }])).toBe('exhausted');
    store.close();
  });

  // The writer holds the states of tokens in use, a reader beside it those of many.
  describe.each([
    ['writer', { held: 1_000, detailBytes: 65_536 }],
    ['reader', { held: 16_000, detailBytes: 1_048_576 }],
  ] as const)('of a %s', (asked, { held, detailBytes }) => {
    /** The store that is written to, and the one that is asked. */
    const opened = () => {
      const file = join(folder(), 'state.db');
      const store = mustOpen(file);
      const reader =
        asked === 'writer'
          ? store
          : must(
              openStoreForReading(
                file,
                agreeing(() => store.nowMs()),
              ),
            );
      const close = () => {
        if (reader !== store) reader.close();
        store.close();
      };
      return { store, reader, close };
    };

    it(`keeps ${held} states through ends, touches, risks and histories of other tasks, and reads only changed states again`, () => {
      const { store, reader, close } = opened();
      const [idle, part] = [{ idleMs: 50_000 }, { parentId: taskNumber(held).id }];
      const failure = store.inOneCommit(() => {
        for (let n = 1; n <= held; n += 1) store.insertTask(taskNumber(n), tokenNumber(n), []);
        store.insertTask(taskNumber(held + 1, part), tokenNumber(held + 1), []);
        for (let n = held + 2; n <= held + 50; n += 1) store.insertTask(taskNumber(n, idle), tokenNumber(n), []);
      });
      expect(failure).toBeNull();
      const all = Array.from({ length: held + 1 }, (_, n) => n + 1);
      const states = () => all.map((n) => reader.useStateOf(issuer, taskNumber(n).id, `digest-${n}`));
      let before = states();
      /** The tasks whose state was read again. A cached state is the same object. */
      const readAgain = (): readonly number[] => {
        const now = states();
        const again = all.filter((_, index) => now[index] !== before[index]);
        before = now;
        return again;
      };
      expect(readAgain()).toEqual([]);
      // Not more than there is room for beside the others.
      const others = Array.from({ length: 20 }, (_, n) => taskNumber(held + 2 + n));
      store.touchTasks(new Map(others.map(({ id }, n) => [id, 20_000 + n])));
      for (const other of others) {
        reader.useStateOf(issuer, other.id, `digest-${Number(other.id.slice(-12))}`);
        store.setRisk(other, 'high', causeOf('signal.risk-level-change'), 'https://idp.acme.test');
        store.applyTaskEvent(other, byOperator('complete'), 'operator');
      }
      expect(readAgain()).toEqual([]);
      store.setRisk(taskNumber(7), 'high', causeOf('signal.risk-level-change'), 'https://idp.acme.test');
      store.revokeToken('digest-8', causeOf('operator.revoked'), 'operator');
      store.spend(taskNumber(9), 'digest-9', [], { version: 0, action: 'files.read', labels: [] });
      store.applyTaskEvent(taskNumber(held + 1), byOperator('suspend'), 'operator');
      expect(readAgain()).toEqual([7, 8, 9, held, held + 1]);
      expect(readAgain()).toEqual([]);
      close();
    });

    it('caches up to its bound: the least recently used state is read again', () => {
      const { store, reader, close } = opened();
      const large = Array.from({ length: 20 }, (_, n) =>
        taskNumber(n + 1, { detailsJson: JSON.stringify(['x'.repeat(detailBytes)]) }),
      );
      for (const [index, task] of large.entries()) store.insertTask(task, tokenNumber(index + 1), []);
      const states = () => large.map(({ id }, index) => reader.useStateOf(issuer, id, `digest-${index + 1}`));
      const stateOfLast = () => reader.useStateOf(issuer, taskNumber(20).id, 'digest-20');
      const [first] = states();
      expect(stateOfLast()).toBe(stateOfLast());
      const again = reader.useStateOf(issuer, taskNumber(1).id, 'digest-1');
      expect(again).toEqual(first);
      expect(again).not.toBe(first);
      close();
    });
  });

  it('fails with a broken store, even for cached states', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    expect(isStoreFailure(store.useStateOf(issuer, taskNumber(1).id, 'digest-1') ?? null)).toBe(false);
    store.close();
    expect(store.useStateOf(issuer, taskNumber(1).id, 'digest-1')).toMatchObject({ code: 'broken' });
  });
});
