import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { Store } from '../../../src/core/state/store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { stateAt } from '../../../src/core/task/task.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber, byOperator } from '../../builders/task.ts';
import { ledgerProblem } from './state-file.ts';

const folder = testFolders();

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const startMs = Date.UTC(2026, 10, 24, 12);
/** One task ends by its deadline, one by its idle limit, one lives on. */
const byDeadline = taskNumber(1, { createdAtMs: startMs, lastUsedMs: startMs, deadlineMs: startMs + MINUTE });
const byIdling = { ...byDeadline, id: taskNumber(2).id, deadlineMs: startMs + 48 * HOUR, idleMs: MINUTE };
const lasting = { ...byIdling, id: taskNumber(3).id, idleMs: null };

const stateOf = (store: Store, id: string): string => {
  const task = store.taskOf(issuer, id);
  return task === undefined || isStoreFailure(task) ? 'none' : stateAt(task, store.nowMs());
};
const states = (store: Store): readonly string[] => [byDeadline, byIdling, lasting].map(({ id }) => stateOf(store, id));

describe('a clock that steps', () => {
  const steps: readonly (readonly [string, number])[] = [
    ['-1 s', -SECOND],
    ['-5 min', -5 * MINUTE],
    ['-1 h', -HOUR],
    ['-25 h', -25 * HOUR],
    ['+1 h', HOUR],
  ];

  const afterStep = (stepMs: number, isSwept: boolean) => {
    const clock = { nowMs: startMs };
    const file = join(folder(), 'state.db');
    const open = (): Store => mustOpen(file, { nowMs: () => clock.nowMs });
    const store = open();
    for (const [n, task] of [byDeadline, byIdling, lasting].entries()) store.insertTask(task, tokenNumber(n), []);
    clock.nowMs += 2 * MINUTE;
    expect(states(store)).toEqual(['expired', 'expired', 'active']);
    if (isSwept) expect(store.endExpired()).toBe(2);
    // Any write also writes the clock mark.
    else store.appendRecords([]);
    clock.nowMs += stepMs;
    return { file, open, store };
  };

  it.each(steps)(
    'by %s never revives an expired task once that is written, nor does a restart after it',
    (_name, stepMs) => {
      const { file, open, store } = afterStep(stepMs, true);
      const kinds = ['resume', 'suspend', 'complete'] as const;
      const tried = kinds.map((kind) => store.applyTaskEvent(byDeadline, byOperator(kind), 'operator'));
      expect(tried).toEqual(kinds.map(() => ({ problem: 'ended', state: 'expired' })));
      expect(states(store)).toEqual(['expired', 'expired', 'active']);
      store.close();
      const again = open();
      expect(states(again)).toEqual(['expired', 'expired', 'active']);
      expect(again.taskOf(issuer, byDeadline.id)).toMatchObject({ endedAtMs: startMs + MINUTE });
      again.close();
      expect(ledgerProblem(file)).toBeNull();
    },
  );

  it.each(steps.filter(([, stepMs]) => stepMs >= -24 * HOUR))(
    'by %s does not revive an expired task before that is written, nor does a restart after it',
    (_name, stepMs) => {
      const { open, store } = afterStep(stepMs, false);
      expect(states(store)).toEqual(['expired', 'expired', 'active']);
      store.close();
      const again = open();
      expect(states(again)).toEqual(['expired', 'expired', 'active']);
      expect(again.endExpired()).toBe(2);
      again.close();
    },
  );

  it('back does not let an expired task spend, get a token or get a part', () => {
    const { store } = afterStep(-5 * MINUTE, false);
    expect(store.spend(byDeadline, 'digest-0', [{ kind: 'calls', limit: 9 }])).toBe('ended');
    expect(store.insertToken(byDeadline, tokenNumber(8), [])).toMatchObject({ detail: 'the task is `expired`' });
    const part = { ...byDeadline, id: taskNumber(9).id, parentId: byDeadline.id };
    expect(store.insertTask(part, tokenNumber(9), [])).toMatchObject({
      detail: 'the task it is part of is `expired`',
    });
    store.close();
  });
});

const sourcesOf = (clock: { wallMs: number; monotonicMs: number }) => ({
  nowMs: () => clock.wallMs,
  monotonicMs: () => clock.monotonicMs,
  boot: () => ({ bootId: 'boot', sinceMs: clock.monotonicMs }),
});

describe('a step of the wall clock alone (issue 14, point 9)', () => {
  it('forward ends no task for good, even over a restart of the process', () => {
    const clock = { wallMs: startMs, monotonicMs: 0 };
    const file = join(folder(), 'state.db');
    const store = mustOpen(file, sourcesOf(clock));
    store.insertTask(byDeadline, tokenNumber(1), []);
    store.insertTask(byIdling, tokenNumber(2), []);
    clock.wallMs += 10 * MINUTE;
    expect(states(store)).toEqual(['expired', 'expired', 'none']);
    expect(store.endExpired()).toBe(0);
    store.close();
    const again = mustOpen(file, sourcesOf(clock));
    expect(again.endExpired()).toBe(0);
    clock.wallMs -= 10 * MINUTE;
    expect(states(again)).toEqual(['active', 'active', 'none']);
    again.close();
  });

  it('forward does not block an operator from ending a task that it says has expired', () => {
    const clock = { wallMs: startMs, monotonicMs: 0 };
    const store = mustOpen(join(folder(), 'state.db'), sourcesOf(clock));
    store.insertTask(byDeadline, tokenNumber(1), []);
    clock.wallMs += 10 * MINUTE;
    expect(store.applyTaskEvent(byDeadline, byOperator('revoke'), 'operator')).toMatchObject({
      changed: true,
    });
    clock.wallMs -= 10 * MINUTE;
    expect(stateOf(store, byDeadline.id)).toBe('revoked');
    store.close();
  });

  it('forward does not shorten the memory for replays', () => {
    const clock = { wallMs: startMs, monotonicMs: 0 };
    const store = mustOpen(join(folder(), 'state.db'), sourcesOf(clock));
    expect(store.rememberOnce('signal', 'one', startMs + MINUTE)).toBe('new');
    clock.wallMs += 10 * MINUTE;
    expect(store.rememberOnce('signal', 'other', startMs + MINUTE)).toBe('new');
    clock.wallMs -= 10 * MINUTE;
    expect(store.rememberOnce('signal', 'one', startMs + MINUTE)).toBe('seen');
    store.close();
  });

  it('back does not let tasks in use reach their idle limit', () => {
    const clock = { wallMs: startMs, monotonicMs: 0 };
    const store = mustOpen(join(folder(), 'state.db'), sourcesOf(clock));
    store.insertTask(byIdling, tokenNumber(2), []);
    clock.wallMs -= 10 * MINUTE;
    for (let n = 0; n < 10; n += 1) {
      clock.wallMs += MINUTE / 2;
      clock.monotonicMs += MINUTE / 2;
      expect(store.touchTasks(new Map([[byIdling.id, clock.wallMs]]))).toBeNull();
    }
    expect(store.endExpired()).toBe(0);
    expect(stateOf(store, byIdling.id)).toBe('active');
    store.close();
  });

  it('back still ends tasks once their time has elapsed', () => {
    const clock = { wallMs: startMs, monotonicMs: 0 };
    const store = mustOpen(join(folder(), 'state.db'), sourcesOf(clock));
    store.insertTask(byDeadline, tokenNumber(1), []);
    clock.wallMs -= HOUR;
    clock.monotonicMs += 1.02 * MINUTE;
    expect(stateOf(store, byDeadline.id)).toBe('expired');
    expect(store.endExpired()).toBe(1);
    store.close();
  });
});

/** The clock of a process that starts after two others: one at the start, and one `laterMs` later, which wrote first. */
const startAt = (laterMs: number): number => {
  const file = join(folder(), 'state.db');
  const at = (ms: number): Store => mustOpen(file, { nowMs: () => ms });
  const [one, other] = [at(startMs), at(startMs + laterMs)];
  other.appendRecords([]);
  one.appendRecords([]);
  return at(startMs - SECOND).nowMs();
};

describe('the clock in the file', () => {
  it('keeps the latest instant of any process', () => {
    expect(startAt(SECOND)).toBe(startMs + SECOND);
  });

  it('is reset by a process whose clock is more than 24 h earlier', () => {
    expect(startAt(25 * HOUR)).toBe(startMs);
  });
});
