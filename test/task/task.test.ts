import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../src/decision/decision.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { afterEvent, stateAt, taskPermits } from '../../src/task/task.ts';
import type { Task, TaskEvent, TaskState } from '../../src/task/task.ts';
import type { TaskToken } from '../../src/token/claims.ts';

const agent = 'spiffe://acme.test/ns/agents/sa/planner' as SpiffeId;
const issuance = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };

const task: Task = {
  id: '0198c0de-0000-7000-8000-000000000001',
  issuer: 'https://issuer.acme.test',
  agent,
  purpose: 'pay the invoices of may',
  intentHash: 'sha-256:x',
  state: 'active',
  createdAtMs: 1_000,
  deadlineMs: 10_000,
  endedAtMs: null,
  endCause: null,
  issuance,
  detailsJson: '[]',
};

const token: TaskToken = {
  kind: 'task-token',
  issuer: task.issuer,
  keyId: 'k',
  audience: 'https://payments.acme.test',
  subject: agent,
  clientId: agent,
  actors: [],
  issuedAtSeconds: 1,
  expiresAtSeconds: 10,
  tokenId: 'jti',
  taskId: task.id,
  scope: [],
  details: [],
  confirmation: null,
  intentHash: task.intentHash,
  issuance,
  digest: 'd',
};

const inState = (state: TaskState): Task =>
  state === 'active' || state === 'suspended'
    ? { ...task, state }
    : { ...task, state, endedAtMs: 5_000, endCause: 'x' };

const states: readonly TaskState[] = ['active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired'];
const kinds: readonly TaskEvent['kind'][] = ['complete', 'cancel', 'revoke', 'expire'];

describe('stateAt', () => {
  it.each<[string, Task, number, TaskState]>([
    ['the last millisecond before the deadline', task, 9_999, 'active'],
    ['the deadline itself', task, 10_000, 'expired'],
    ['a suspended task past its deadline', inState('suspended'), 10_000, 'expired'],
    ['a completed task past its deadline', inState('completed'), 20_000, 'completed'],
    ['a revoked task before its deadline', inState('revoked'), 2_000, 'revoked'],
  ])('gives the state that holds: %s', (_name, subject, nowMs, expected) => {
    expect(stateAt(subject, nowMs)).toBe(expected);
  });
});

describe('afterEvent', () => {
  it.each<[TaskEvent['kind'], TaskState]>([
    ['complete', 'completed'],
    ['cancel', 'cancelled'],
    ['revoke', 'revoked'],
  ])('ends an open task on %s', (kind, state) => {
    expect(afterEvent(task, { kind, cause: 'done' }, 2_000)).toEqual({
      ...task,
      state,
      endedAtMs: 2_000,
      endCause: 'done',
    });
    expect(afterEvent(inState('suspended'), { kind, cause: 'done' }, 2_000)).toMatchObject({ state, endedAtMs: 2_000 });
  });

  it('gives the very same task for an end that happened before', () => {
    const completed = inState('completed');
    expect(afterEvent(completed, { kind: 'complete', cause: 'again' }, 6_000)).toBe(completed);
  });

  it('refuses to complete a task whose deadline has passed unswept', () => {
    expect(afterEvent(task, { kind: 'complete', cause: '' }, 10_000)).toEqual({ problem: 'ended', state: 'expired' });
  });

  it('dates the expiry at the deadline, whenever it is noticed', () => {
    expect(afterEvent(task, { kind: 'expire', cause: 'deadline reached' }, 99_000)).toMatchObject({
      state: 'expired',
      endedAtMs: 10_000,
    });
  });

  it('never leads out of an ended state, whatever happens in whatever order', () => {
    const event = fc.record({ kind: fc.constantFrom(...kinds), cause: fc.string(), atMs: fc.nat(20_000) });
    fc.assert(
      fc.property(fc.constantFrom(...states), fc.array(event), (start, events) => {
        let current = inState(start);
        for (const { atMs, ...happened } of events) {
          const after = afterEvent(current, happened, atMs);
          if ('problem' in after) continue;
          if (current.endedAtMs !== null) expect(after).toBe(current);
          current = after;
        }
        if (current.endedAtMs !== null) expect(stateAt(current, 0)).not.toBe('active');
      }),
    );
  });
});

describe('taskPermits', () => {
  it('gives the task of the token while it is active', () => {
    expect(taskPermits(task, token, 9_999)).toBe(task);
  });

  it.each<[string, Task | undefined, Partial<TaskToken>, string, string]>([
    ['no such task', undefined, {}, 'task.unknown', 'the store holds no task with the id of the token'],
    [
      'another issuer',
      task,
      { issuer: 'https://x.test' },
      'task.unknown',
      'the stored task is not the one of the token',
    ],
    ['another id', task, { taskId: 'other' }, 'task.unknown', 'the stored task is not the one of the token'],
    [
      'another agent',
      task,
      { clientId: 'spiffe://acme.test/thief' as SpiffeId },
      'task.unknown',
      'the task belongs to another agent',
    ],
    ['suspended', inState('suspended'), {}, 'task.suspended', 'the task is `suspended`'],
    ['completed', inState('completed'), {}, 'task.completed', 'the task is `completed`: x'],
    ['cancelled', inState('cancelled'), {}, 'task.cancelled', 'the task is `cancelled`: x'],
    ['revoked', inState('revoked'), {}, 'task.revoked', 'the task is `revoked`: x'],
    ['past its deadline', { ...task, deadlineMs: 2_000 }, {}, 'task.expired', 'the task is `expired`'],
  ])('denies: %s', (_name, stored, change, reason, detail) => {
    const result = taskPermits(stored, { ...token, ...change }, 2_000);
    expect(isDeny(result) && [result.reason, result.detail]).toEqual([reason, detail]);
  });
});
