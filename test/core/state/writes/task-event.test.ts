import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { familyAfter, taskAmended } from '../../../../src/core/state/writes/task-event.ts';
import { partProblem } from '../../../../src/core/state/writes/part-admission.ts';
import { isOpen } from '../../../../src/core/task/task.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { byOperator, taskNumber } from '../../../builders/task.ts';

const kinds = ['complete', 'cancel', 'revoke', 'expire', 'suspend', 'resume'] as const;

const step = fc.record({ of: fc.nat(2), kind: fc.constantFrom(...kinds), passesMs: fc.nat(2_000) });

/** Task 2 is a part of task 1, and task 3 of task 2. */
const family = (): Map<string, Task> =>
  new Map(
    [
      taskNumber(1, { deadlineMs: 20_000 }),
      taskNumber(2, { parentId: taskNumber(1).id, deadlineMs: 15_000, idleMs: 4_000 }),
      taskNumber(3, { parentId: taskNumber(2).id, deadlineMs: 10_000 }),
    ].map((task) => [task.id, task]),
  );

const isBelow = (rows: ReadonlyMap<string, Task>, { parentId }: Task, id: string): boolean => {
  if (parentId === null) return false;
  const parent = rows.get(parentId);
  return parentId === id || (parent !== undefined && isBelow(rows, parent, id));
};

describe('familyAfter', () => {
  it('never changes an ended task, reaches every open part, and keeps no part active under an inactive parent', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const rows = family();
        let nowMs = 1_000;
        for (const { of, kind, passesMs } of steps) {
          nowMs += passesMs;
          const task = [...rows.values()][of];
          if (task === undefined) throw new Error('no such task');
          const parts = [...rows.values()].filter((one) => isOpen(one.state) && isBelow(rows, one, task.id));
          const parent = task.parentId === null ? undefined : rows.get(task.parentId);
          const deed = { by: 'operator', nowMs, floorMs: nowMs };
          const changes = familyAfter({ task, parent, parts }, byOperator(kind), deed);
          if ('problem' in changes) continue;
          for (const { task: after, record } of changes) {
            const before = rows.get(after.id);
            expect(before !== undefined && isOpen(before.state)).toBe(true);
            expect(record.task).toBe(after.id);
            expect(after.generation).toBe((before?.generation ?? 0) + (after.state === 'active' ? 1 : 0));
            expect(after.endedAtMs === null).toBe(isOpen(after.state));
            rows.set(after.id, after);
          }
          if (changes.length === 0 || kind === 'resume') continue;
          const below = [...rows.values()].filter((one) => isBelow(rows, one, task.id));
          expect(below.filter(({ state }) => state === 'active')).toEqual([]);
          expect(below.filter(({ state }) => kind !== 'suspend' && isOpen(state))).toEqual([]);
        }
        for (const one of rows.values()) {
          if (one.parentId === null || one.state !== 'active') continue;
          expect(rows.get(one.parentId)?.state).toBe('active');
        }
      }),
    );
  });

  it('is idempotent: a repeated event changes nothing and has the same answer', () => {
    const deed = { by: 'operator', nowMs: 5_000, floorMs: 5_000 };
    const ended = familyAfter({ task: taskNumber(1), parts: [] }, byOperator('complete'), deed);
    if ('problem' in ended || ended[0] === undefined) throw new Error('not ended');
    const again = familyAfter({ task: ended[0].task, parts: [taskNumber(2)] }, byOperator('complete'), deed);
    expect(again).toEqual([]);
  });

  it('writes by the floor and records by the later clock', () => {
    const deed = { by: 'operator', nowMs: 200_000, floorMs: 5_000 };
    const changes = familyAfter({ task: taskNumber(1), parts: [] }, byOperator('revoke'), deed);
    expect(changes).toMatchObject([{ task: { state: 'revoked', endedAtMs: 5_000 }, record: { at: 200_000 } }]);
  });
});

const risk = (facts: { readonly risk: Task['risk'] }) =>
  ({ facts, event: 'risk', cause: causeOf('signal.risk-level-change') }) as const;

describe('taskAmended', () => {
  const deed = { by: 'operator', nowMs: 5_000, floorMs: 5_000 };
  it('gives the row with a record of what changed, and `null` if nothing did', () => {
    expect(taskAmended(taskNumber(1), risk({ risk: 'high' }), deed)).toMatchObject({
      task: { risk: 'high', state: 'active', generation: 1 },
      record: { kind: 'event', event: 'risk', details: { from: 'low', to: 'high' } },
    });
    expect(taskAmended(taskNumber(1), risk({ risk: 'low' }), deed)).toBeNull();
  });

  it('is a conflict for a task that has ended or expired', () => {
    const expired = taskAmended(taskNumber(1, { deadlineMs: 5_000 }), risk({ risk: 'high' }), deed);
    expect(expired).toEqual({ problem: 'ended', state: 'expired' });
  });
});

describe('partProblem', () => {
  const parent = taskNumber(1, { idleMs: 1_000, deadlineMs: 50_000 });
  const place = { parent, depth: 0, openParts: 0 };
  const part = taskNumber(2, { parentId: parent.id, idleMs: 1_000, deadlineMs: 50_000 });

  it.each([
    ['no parent', { ...place, parent: undefined }, part, 'there is no task with the id of the parent'],
    [
      'a suspended parent',
      { ...place, parent: { ...parent, state: 'suspended' as const } },
      part,
      'the task it is part of is `suspended`',
    ],
    ['a later deadline', place, { ...part, deadlineMs: 50_001 }, 'a part outlives the task it is part of'],
    ['no idle limit', place, { ...part, idleMs: null }, 'a part may idle for longer than the task it is part of'],
    [
      'a longer idle limit',
      place,
      { ...part, idleMs: 1_001 },
      'a part may idle for longer than the task it is part of',
    ],
    ['the ninth level', { ...place, depth: 8 }, part, 'a task has parts within parts 8 deep at most'],
    ['1,000 open parts', { ...place, openParts: 1_000 }, part, 'a task has 1000 open parts at most'],
  ] as const)('refuses %s', (_name, where, task, detail) => {
    expect(partProblem(where, task, 500)).toMatchObject({ detail });
  });

  it('accepts a valid part', () => {
    expect(partProblem({ ...place, depth: 7, openParts: 999 }, part, 500)).toBeNull();
  });
});
