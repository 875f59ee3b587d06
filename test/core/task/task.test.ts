import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { afterEvent, stateAt, taskPermits } from '../../../src/core/task/task.ts';
import type { Task, TaskEvent, TaskState } from '../../../src/core/task/task.ts';
import type { IssuedTokenState } from '../../../src/core/task/issued-token.ts';
import type { TaskToken } from '../../../src/core/token/claims.ts';
import { type CauseCode, causeOf } from '../../../src/core/task/cause.ts';
import { byOperator } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const agent = 'spiffe://acme.test/ns/agents/sa/planner' as SpiffeId;
const issuance = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };

const task: Task = {
  id: '0198c0de-0000-7000-8000-000000000001',
  issuer: 'https://issuer.acme.test',
  agent,
  subject: agent,
  parentId: null,
  purpose: 'pay the invoices of may',
  intentHash: 'sha-256:x',
  state: 'active',
  createdAtMs: 1_000,
  deadlineMs: 10_000,
  idleMs: null,
  lastUsedMs: 1_000,
  endedAtMs: null,
  cause: null,
  issuance,
  detailsJson: '[]',
  claimed: {},
  attested: [],
  subjectAttributes: {},
  contextRules: {},
  risk: 'low',
  generation: 1,
};

const token: TaskToken = {
  kind: 'task-token',
  issuer: task.issuer,
  keyId: 'k',
  audience: 'https://payments.acme.test',
  subject: agent,
  clientId: agent,
  actors: [],
  delegate: null,
  issuedAtSeconds: 1,
  expiresAtSeconds: 10,
  tokenId: 'jti',
  taskId: task.id,
  scope: [],
  details: [],
  confirmation: null,
  intentHash: task.intentHash,
  issuance,
  useKey: 'd',
};

const issued: IssuedTokenState = {
  jtiDigest: 'd',
  audience: token.audience,
  issuedAtMs: 1_000,
  expiresAtMs: 10_000,
  generation: 1,
  revokedAtMs: null,
  boundTo: 'c'.repeat(43),
};

const inState = (state: TaskState): Task =>
  state === 'active'
    ? task
    : {
        ...task,
        state,
        endedAtMs: state === 'suspended' ? null : 5_000,
        cause: causeOf(state === 'expired' ? 'deadline' : `operator.${state}`, 'x'),
      };

const states: readonly TaskState[] = ['active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired'];
const kinds: readonly TaskEvent['kind'][] = ['complete', 'cancel', 'revoke', 'expire', 'suspend', 'resume'];

describe('stateAt', () => {
  it.each<[string, Task, number, TaskState]>([
    ['the last millisecond before the deadline', task, 9_999, 'active'],
    ['the deadline itself', task, 10_000, 'expired'],
    ['a suspended task past its deadline', inState('suspended'), 10_000, 'expired'],
    ['a completed task past its deadline', inState('completed'), 20_000, 'completed'],
    ['a revoked task before its deadline', inState('revoked'), 2_000, 'revoked'],
    ['the last millisecond before the idle limit', { ...task, idleMs: 500, lastUsedMs: 3_000 }, 3_499, 'active'],
    ['the idle limit itself', { ...task, idleMs: 500, lastUsedMs: 3_000 }, 3_500, 'expired'],
    ['the deadline before a later idle limit', { ...task, idleMs: 50_000 }, 10_000, 'expired'],
    ['a suspended task, which does not idle', { ...inState('suspended'), idleMs: 500 }, 9_999, 'suspended'],
  ])('gives the state that holds: %s', (_name, subject, nowMs, expected) => {
    expect(stateAt(subject, nowMs)).toBe(expected);
  });
});

/** The task after an event that can happen. */
function after(subject: Task, event: TaskEvent): Task {
  return must(afterEvent(subject, event, 2_000));
}

describe('afterEvent', () => {
  it.each<[TaskEvent['kind'], TaskState]>([
    ['complete', 'completed'],
    ['cancel', 'cancelled'],
    ['revoke', 'revoked'],
  ])('ends an open task on %s', (kind, state) => {
    expect(afterEvent(task, byOperator(kind, 'done'), 2_000)).toEqual({
      ...task,
      state,
      endedAtMs: 2_000,
      cause: { code: `operator.${state}`, note: 'done' },
    });
    expect(afterEvent(inState('suspended'), byOperator(kind, 'done'), 2_000)).toMatchObject({
      state,
      endedAtMs: 2_000,
    });
  });

  it('suspends and resumes: a resume is a new generation and a new start of the idle time', () => {
    const idle = { ...task, idleMs: 500 };
    const suspended = afterEvent(idle, { kind: 'suspend', cause: causeOf('operator.suspended', 'x') }, 1_400);
    expect(suspended).toEqual({ ...idle, state: 'suspended', cause: { code: 'operator.suspended', note: 'x' } });
    if ('problem' in suspended) throw new Error(suspended.problem);
    expect(afterEvent(suspended, { kind: 'suspend', cause: causeOf('operator.suspended', 'again') }, 1_400)).toBe(
      suspended,
    );
    expect(afterEvent(suspended, { kind: 'resume', cause: causeOf('operator.resumed', 'x') }, 9_000)).toEqual({
      ...idle,
      generation: 2,
      lastUsedMs: 9_000,
    });
  });

  it.each<[CauseCode, CauseCode, CauseCode]>([
    ['agent.suspended', 'operator.suspended', 'operator.suspended'],
    ['operator.suspended', 'agent.suspended', 'operator.suspended'],
    ['operator.suspended', 'signal.session-revoked', 'operator.suspended'],
    ['operator.suspended', 'parent.suspended', 'operator.suspended'],
    ['agent.suspended', 'parent.suspended', 'parent.suspended'],
    ['parent.suspended', 'agent.suspended', 'parent.suspended'],
    ['agent.suspended', 'context.changed', 'context.changed'],
    ['parent.suspended', 'signal.risk-level-change', 'signal.risk-level-change'],
    ['signal.session-revoked', 'signal.credential-change', 'signal.session-revoked'],
  ])('holds a task suspended by %s and then by %s by %s', (first, second, expected) => {
    const held = after(after(task, { kind: 'suspend', cause: causeOf(first) }), {
      kind: 'suspend',
      cause: causeOf(second),
    });
    expect(held.cause?.code).toBe(expected);
  });

  it.each<[CauseCode, boolean]>([
    ['agent.suspended', true],
    ['parent.suspended', true],
    ['context.changed', false],
    ['signal.session-revoked', false],
    ['operator.suspended', false],
  ])('of %s: its agent may resume: %s, an operator always', (code, mayAgent) => {
    const held = after(task, { kind: 'suspend', cause: causeOf(code) });
    const byAgent = afterEvent(held, { kind: 'resume', cause: causeOf('agent.resumed') }, 2_000);
    expect(byAgent).toMatchObject(
      mayAgent ? { state: 'active', cause: null } : { problem: 'held', state: 'suspended' },
    );
    expect(afterEvent(held, byOperator('resume'), 2_000)).toMatchObject({ state: 'active', cause: null });
    expect(afterEvent(held, { kind: 'resume', cause: causeOf('signal.session-established') }, 2_000)).toMatchObject({
      problem: 'held',
    });
  });

  it('changes nothing on a resume of an active task, so that its tokens stay', () => {
    expect(afterEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', 'x') }, 2_000)).toBe(task);
  });

  it.each(['suspend', 'resume'] as const)('refuses to %s what has expired unnoticed, suspended or not', (kind) => {
    for (const subject of [task, inState('suspended')]) {
      expect(afterEvent(subject, byOperator(kind), 10_000)).toEqual({ problem: 'ended', state: 'expired' });
    }
  });

  it('dates an expiry at the idle limit, or at the present if it is brought about before', () => {
    const idle = { ...task, idleMs: 500 };
    expect(afterEvent(idle, { kind: 'expire', cause: causeOf('deadline', '') }, 9_000)).toMatchObject({
      endedAtMs: 1_500,
    });
    expect(afterEvent(idle, { kind: 'expire', cause: causeOf('deadline', '') }, 1_200)).toMatchObject({
      endedAtMs: 1_200,
    });
  });

  it('gives the very same task for an end that happened before', () => {
    const completed = inState('completed');
    expect(afterEvent(completed, { kind: 'complete', cause: causeOf('operator.completed', 'again') }, 6_000)).toBe(
      completed,
    );
  });

  it('refuses to complete a task whose deadline has passed unswept', () => {
    expect(afterEvent(task, { kind: 'complete', cause: causeOf('operator.completed', '') }, 10_000)).toEqual({
      problem: 'ended',
      state: 'expired',
    });
  });

  it('dates the expiry at the deadline, whenever it is noticed', () => {
    expect(afterEvent(task, { kind: 'expire', cause: causeOf('deadline', 'deadline reached') }, 99_000)).toMatchObject({
      state: 'expired',
      endedAtMs: 10_000,
    });
  });

  it('never leads out of an ended state, whatever happens in whatever order', () => {
    const event = fc.record({ kind: fc.constantFrom(...kinds), note: fc.string(), atMs: fc.nat(20_000) });
    fc.assert(
      fc.property(fc.constantFrom(...states), fc.array(event), (start, events) => {
        let current = inState(start);
        for (const { atMs, kind, note } of events) {
          const next = afterEvent(current, byOperator(kind, note), atMs);
          if ('problem' in next) continue;
          expect(current.endedAtMs === null ? current : next).toBe(current);
          current = next;
        }
        expect(current.endedAtMs === null || stateAt(current, 0) !== 'active').toBe(true);
      }),
    );
  });
});

const at = (ms: number) => ({ wallMs: ms, floorMs: ms });

describe('taskPermits', () => {
  it.each<[string, number, number, string | null]>([
    ['lives within its time', 9_999, 9_999, null],
    ['ends by the floor, though the wall clock was set back', 1_000, 10_000, 'token.expired'],
    ['does not end for a wall clock that is ahead, which its `exp` is for', 12_000, 9_999, null],
  ])('a token %s', (_name, wallMs, floorMs, reason) => {
    const permitted = taskPermits({ ...task, deadlineMs: 90_000 }, token, issued, { wallMs, floorMs });
    expect(isDeny(permitted) ? permitted.reason : null).toBe(reason);
  });

  it('gives the task of the token while it is active', () => {
    expect(taskPermits(task, token, issued, at(9_999))).toBe(task);
  });

  it.each<[string, Task | undefined, Partial<TaskToken>, string, string]>([
    ['no such task', undefined, {}, 'task.unknown', 'the store holds no task with the id of the token'],
    [
      'another issuer',
      task,
      { issuer: 'https://x.test' },
      'task.unknown',
      'the stored task has another issuer or id than the token',
    ],
    [
      'another id',
      task,
      { taskId: 'other' },
      'task.unknown',
      'the stored task has another issuer or id than the token',
    ],
    [
      'another agent',
      task,
      { clientId: 'spiffe://acme.test/thief' as SpiffeId },
      'task.unknown',
      'the task belongs to another agent',
    ],
    ['suspended', inState('suspended'), {}, 'task.suspended', 'the task is `suspended`: x'],
    ['completed', inState('completed'), {}, 'task.completed', 'the task is `completed`: x'],
    ['cancelled', inState('cancelled'), {}, 'task.cancelled', 'the task is `cancelled`: x'],
    ['revoked', inState('revoked'), {}, 'task.revoked', 'the task is `revoked`: x'],
    [
      'past its deadline',
      { ...task, deadlineMs: 2_000 },
      {},
      'task.expired',
      'the task is `expired`: deadline reached',
    ],
  ])('denies: %s', (_name, stored, change, reason, detail) => {
    const result = taskPermits(stored, { ...token, ...change }, issued, at(2_000));
    expect(isDeny(result) && [result.reason, result.detail]).toEqual([reason, detail]);
  });

  it.each<[string, Task, IssuedTokenState | undefined, string, string]>([
    ['a token the store does not hold', task, undefined, 'task.unknown', 'the store holds no such token of the task'],
    ['a revoked token', task, { ...issued, revokedAtMs: 5 }, 'token.revoked', 'the token was revoked'],
    [
      'a token of before a resume',
      { ...task, generation: 2 },
      issued,
      'token.revoked',
      'the token was issued before the task was suspended and resumed',
    ],
    [
      'a token of a later generation',
      task,
      { ...issued, generation: 2 },
      'token.revoked',
      'the token was issued before',
    ],
    [
      'a revoked token of an ended task, by the task',
      inState('completed'),
      { ...issued, revokedAtMs: 5 },
      'task.completed',
      'the task is `completed`: x',
    ],
  ])('denies: %s', (_name, stored, held, reason, detail) => {
    const result = taskPermits(stored, token, held, at(2_000));
    expect(isDeny(result) && [result.reason, result.detail]).toEqual([reason, expect.stringContaining(detail)]);
  });

  it('gives the task to a token of the generation it has come to', () => {
    const resumed = { ...task, generation: 2 };
    expect(taskPermits(resumed, token, { ...issued, generation: 2 }, at(2_000))).toBe(resumed);
  });
});
