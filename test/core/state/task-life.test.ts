import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { allowedUse } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber, byOperator } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

interface Stage {
  readonly store: Store;
  readonly file: string;
  readonly clock: { nowMs: number };
  readonly insert: (n: number, change?: Partial<Task>) => Task;
  readonly state: (n: number) => string;
  /** Records of a task, without instants. */
  readonly records: (n: number) => readonly LedgerRecord[];
}

const stage = (): Stage => {
  const clock = { nowMs: 1_000 };
  const file = join(folder(), 'state.db');
  const store = mustOpen(file, { nowMs: () => clock.nowMs });
  const insert = (n: number, change: Partial<Task> = {}): Task => {
    const task = taskNumber(n, change);
    expect(store.insertTask(task, tokenNumber(n), [])).toBeNull();
    return task;
  };
  const state = (n: number): string => {
    const task = store.taskOf(issuer, taskNumber(n).id);
    return task === undefined || isStoreFailure(task) ? 'none' : task.state;
  };
  const records = (n: number): readonly LedgerRecord[] => {
    const stored = must(store.recordsOf(taskNumber(n).id, 100));
    return stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()));
  };
  return { store, file, clock, insert, state, records };
};

const partOf = (n: number): Partial<Task> => ({ parentId: taskNumber(n).id });

describe('Store.applyTaskEvent', () => {
  it('suspends and resumes with a record of each, and a resume is a new generation', () => {
    const { store, insert, records } = stage();
    const task = insert(1);
    const suspend = () =>
      store.applyTaskEvent(task, { kind: 'suspend', cause: causeOf('operator.suspended', 'look at it') }, 'operator');
    expect(suspend()).toMatchObject({ changed: true, task: { state: 'suspended', generation: 1, endedAtMs: null } });
    expect(suspend()).toMatchObject({ changed: false, task: { state: 'suspended' } });
    expect(
      store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', 'it is fine') }, 'operator'),
    ).toMatchObject({
      changed: true,
      task: { state: 'active', generation: 2 },
    });
    expect(records(1)).toEqual([
      {
        kind: 'event',
        at: 1_000,
        task: task.id,
        event: 'suspended',
        cause: 'operator.suspended',
        note: 'look at it',
        by: 'operator',
        details: {},
      },
      {
        kind: 'event',
        at: 1_000,
        task: task.id,
        event: 'resumed',
        cause: 'operator.resumed',
        note: 'it is fine',
        by: 'operator',
        details: { generation: 2 },
      },
    ]);
    expect(store.useStateOf(issuer, task.id, 'digest-1')).toMatchObject({
      task: { generation: 2 },
      issued: { generation: 1 },
    });
    store.close();
  });

  it.each([
    ['complete', 'cancelled'],
    ['cancel', 'cancelled'],
    ['revoke', 'revoked'],
  ] as const)('%s reaches every open part at once, which is then %s', (kind, expected) => {
    const { store, insert, state, records } = stage();
    const task = insert(1);
    insert(2, partOf(1));
    insert(3, partOf(2));
    insert(4, partOf(1));
    insert(5);
    store.applyTaskEvent(taskNumber(4), { kind: 'complete', cause: causeOf('operator.completed', 'done') }, 'operator');
    store.applyTaskEvent(taskNumber(3), { kind: 'suspend', cause: causeOf('operator.suspended', 'look') }, 'operator');
    store.applyTaskEvent(task, byOperator(kind, 'enough'), 'operator');
    expect([2, 3, 4, 5].map(state)).toEqual([expected, expected, 'completed', 'active']);
    expect(records(3).at(-1)).toEqual({
      kind: 'end',
      at: 1_000,
      task: taskNumber(3).id,
      state: expected,
      cause: `parent.${state(1)}`,
      note: `it is part of task \`${task.id}\`, which is \`${state(1)}\`: enough`,
      by: 'operator',
    });
    store.close();
  });

  it('suspends the parts too, which are resumed separately, and none before its parent', () => {
    const { store, insert, state } = stage();
    const [parent, part] = [insert(1), insert(2, partOf(1))];
    const resume = (task: Task) =>
      store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator');
    store.applyTaskEvent(parent, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    expect([1, 2].map(state)).toEqual(['suspended', 'suspended']);
    expect(resume(part)).toEqual({ problem: 'parent', state: 'suspended' });
    resume(parent);
    expect([1, 2].map(state)).toEqual(['active', 'suspended']);
    expect(resume(part)).toMatchObject({ changed: true, task: { state: 'active', generation: 2 } });
    store.close();
  });

  it('writes a part that has already expired as expired, so that no clock revives it', () => {
    const { store, clock, insert, state } = stage();
    const parent = insert(1);
    insert(2, { ...partOf(1), deadlineMs: 2_000 });
    clock.nowMs = 3_000;
    store.applyTaskEvent(parent, { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    expect(state(2)).toBe('expired');
    expect(store.taskOf(issuer, taskNumber(2).id)).toMatchObject({ endedAtMs: 2_000 });
    store.close();
  });
});

describe('the state file', () => {
  it('itself prevents changes to an ended task and a lower generation', () => {
    const { store, file, insert } = stage();
    const [ended, live] = [insert(1), insert(2)];
    store.applyTaskEvent(ended, { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    store.applyTaskEvent(live, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    store.applyTaskEvent(live, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator');
    store.close();
    const db = new DatabaseSync(file);
    const update = (sql: string) => () => db.exec(sql);
    const refused = /an ended task does not change/;
    expect(update("UPDATE tasks SET state = 'active', ended_ms = NULL WHERE ended_ms IS NOT NULL")).toThrow(refused);
    expect(update('UPDATE tasks SET generation = 1 WHERE ended_ms IS NULL')).toThrow(refused);
    db.close();
  });
});

describe('Store.insertTask of a part', () => {
  it.each<[string, Partial<Task>, string, RegExp]>([
    ['no such parent', partOf(9), 'conflict', /^there is no task with the id of the parent$/],
    ['a suspended parent', partOf(2), 'conflict', /^the task it is part of is `suspended`$/],
    ['an ended parent', partOf(3), 'conflict', /^the task it is part of is `completed`$/],
    ['a parent that has expired', partOf(4), 'conflict', /^the task it is part of is `expired`$/],
    ['a later deadline', { ...partOf(1), deadlineMs: 50_001 }, 'refused', /^a part outlives the task it is part of$/],
    ['no idle limit', { ...partOf(1), idleMs: null }, 'refused', /^a part may idle for longer than the task/],
    ['a longer idle limit', { ...partOf(1), idleMs: 9_001 }, 'refused', /^a part may idle for longer than the task/],
    ['the parent of another issuer', { ...partOf(1), issuer: 'https://x.test' }, 'conflict', /^there is no task/],
  ])('refuses %s', (_name, change, code, detail) => {
    const { store, clock, insert } = stage();
    insert(1, { deadlineMs: 50_000, idleMs: 9_000 });
    store.applyTaskEvent(insert(2), { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    store.applyTaskEvent(insert(3), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    insert(4, { deadlineMs: 1_500 });
    clock.nowMs = 1_500;
    const part = taskNumber(5, { deadlineMs: 50_000, idleMs: 9_000, ...change });
    expect(store.insertTask(part, tokenNumber(5), [])).toMatchObject({ code, detail: expect.stringMatching(detail) });
    expect(store.taskOf(part.issuer, part.id)).toBeUndefined();
    store.close();
  });

  it('bounds the depth of parts and their number', () => {
    const { store, insert, state } = stage();
    insert(1);
    for (let n = 2; n <= 9; n++) insert(n, partOf(n - 1));
    expect(store.insertTask(taskNumber(10, partOf(9)), tokenNumber(10), [])).toMatchObject({
      code: 'conflict',
      detail: 'a task has parts within parts 8 deep at most',
    });
    for (let n = 100; n < 1_092; n++) insert(n, partOf(1));
    expect(store.insertTask(taskNumber(2_000, partOf(2)), tokenNumber(2_000), [])).toMatchObject({
      code: 'conflict',
      detail: 'a task has 1000 open parts at most',
    });
    store.applyTaskEvent(taskNumber(1), { kind: 'revoke', cause: causeOf('operator.revoked', 'all') }, 'operator');
    expect([9, 100, 1_091].map(state)).toEqual(['revoked', 'revoked', 'revoked']);
    store.close();
  });
});

describe('Store.insertToken', () => {
  it('adds a token to an active task', () => {
    const { store, insert } = stage();
    const task = insert(1);
    expect(store.insertToken(task, tokenNumber(2), [])).toBeNull();
    expect(store.tokenOf('digest-2')).toEqual({ ...tokenNumber(2), revokedAtMs: null, issuer, taskId: task.id });
    expect(store.useStateOf(issuer, task.id, 'digest-2')).toMatchObject({
      task,
      issued: { ...tokenNumber(2), revokedAtMs: null },
    });
    expect(store.tokenOf('digest-9')).toBeUndefined();
    store.close();
  });

  it.each<[string, 'suspend' | 'complete' | 'again', string]>([
    ['a suspended task', 'suspend', 'the task is `suspended`'],
    ['an ended task', 'complete', 'the task is `completed`'],
    ['a task resumed in the meantime', 'again', 'the task was suspended and resumed'],
  ])('refuses %s', (_name, event, detail) => {
    const { store, insert } = stage();
    const task = insert(1);
    store.applyTaskEvent(task, byOperator(event === 'again' ? 'suspend' : event), 'operator');
    if (event === 'again')
      store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator');
    expect(store.insertToken(task, tokenNumber(2), [])).toMatchObject({ code: 'conflict', detail });
    expect(store.tokenOf('digest-2')).toBeUndefined();
    store.close();
  });

  it('refuses an unknown task', () => {
    const { store } = stage();
    expect(store.insertToken(taskNumber(1), tokenNumber(1), [])).toMatchObject({ detail: 'there is no such task' });
    store.close();
  });
});

describe('Store.useStateOf', () => {
  it('finds a token only with the task it was issued for', () => {
    const { store, insert } = stage();
    insert(1);
    insert(2);
    expect(store.useStateOf(issuer, taskNumber(1).id, 'digest-2')).toMatchObject({ issued: undefined });
    expect(store.useStateOf(issuer, taskNumber(3).id, 'digest-1')).toBeUndefined();
    expect(store.useStateOf('https://x.test', taskNumber(1).id, 'digest-1')).toBeUndefined();
    expect(store.useStateOf(issuer, taskNumber(1).id, 'a\0')).toMatchObject({ code: 'refused' });
    store.close();
  });
});

describe('Store.revokeToken', () => {
  it('revokes a token once, with a record, and reports an unknown token', () => {
    const { store, clock, insert, records } = stage();
    const task = insert(1);
    store.insertToken(task, tokenNumber(2), []);
    expect(store.revokeToken('digest-1', causeOf('operator.revoked', 'stolen'), 'operator')).toBe(true);
    clock.nowMs = 2_000;
    expect(store.revokeToken('digest-1', causeOf('operator.revoked', 'again'), 'operator')).toBe(true);
    expect(store.revokeToken('digest-9', causeOf('operator.revoked', 'x'), 'operator')).toBe(false);
    expect([store.tokenOf('digest-1'), store.tokenOf('digest-2')]).toMatchObject([
      { revokedAtMs: 1_000 },
      { revokedAtMs: null },
    ]);
    expect(records(1)).toEqual([
      {
        kind: 'event',
        at: 1_000,
        task: task.id,
        event: 'token-revoked',
        cause: 'operator.revoked',
        note: 'stolen',
        by: 'operator',
        details: { jtiDigest: 'digest-1' },
      },
    ]);
    store.close();
  });
});

const claims = (task: Task, values: Readonly<Record<string, string>>) =>
  ({ kind: 'agent', by: task.agent, values }) as const;
const attests = (by: string, values: Readonly<Record<string, string>>) => ({ kind: 'writer', by, values }) as const;

describe('the facts a task is accepted with', () => {
  const subjectAttributes = { groups: ['finance', 'größe'], tenant: 'acme', level: 3, staff: true };
  it.each<[string, Partial<Task>]>([
    ['nothing', { contextRules: {}, subjectAttributes: {} }],
    ['rules', { contextRules: { model: 'ask' }, subjectAttributes: {} }],
    ['attributes of the subject', { contextRules: {}, subjectAttributes }],
    ['both', { contextRules: { model: 'ask' }, subjectAttributes }],
    ['who acted before', { contextRules: {}, subjectAttributes: {}, priorActors: ['portal', 'https://x.test/y'] }],
  ])('are kept after a change of context and after its end: %s', (_name, accepted) => {
    const { store, insert } = stage();
    const task = insert(1, accepted);
    expect(store.taskOf(issuer, task.id)).toMatchObject(accepted);
    store.setContext(task, claims(task, { model: 'b' }));
    store.applyTaskEvent(task, { kind: 'complete', cause: causeOf('operator.completed', 'done') }, 'operator');
    const ended = store.taskOf(issuer, task.id);
    expect(ended).toMatchObject({ state: 'completed', ...accepted });
    store.close();
  });
});

describe('Store.setContext', () => {
  it("stores the agent's values as claimed, with a record of what changed", () => {
    const { store, insert, records } = stage();
    const task = insert(1, { claimed: { model: 'a', node: 'n', session: 's' }, contextRules: { model: 'ask' } });
    const claimed = { model: 'b', node: 'n', posture: 'p' };
    expect(store.setContext(task, claims(task, claimed))).toMatchObject({
      state: 'active',
      claimed,
      attested: [],
      contextRules: { model: 'ask' },
    });
    expect(records(1)).toMatchObject([
      {
        kind: 'event',
        event: 'context',
        by: task.agent,
        details: { kind: 'agent', claimed: { model: 'b', session: null, posture: 'p' } },
      },
    ]);
    store.setContext(task, claims(task, claimed));
    expect(records(1)).toHaveLength(1);
    expect(store.taskOf(issuer, task.id)).toMatchObject({ claimed, attested: [] });
    store.close();
  });

  it('stores the values of each attester separately, with its name, beside the claimed values', () => {
    const { store, insert, records } = stage();
    const task = insert(1, { claimed: { approval: 'finance' } });
    store.setContext(task, attests('w-1', { approval: 'finance' }));
    store.setContext(task, attests('w-2', { approval: 'legal' }));
    store.setContext(task, claims(task, {}));
    const attested = [
      { name: 'approval', value: 'finance', by: 'w-1', kind: 'writer' },
      { name: 'approval', value: 'legal', by: 'w-2', kind: 'writer' },
    ];
    expect(store.taskOf(issuer, task.id)).toMatchObject({ claimed: {}, attested });
    store.setContext(task, attests('w-1', {}));
    store.setContext(task, { kind: 'operator', by: 'op', values: { hold: 'no' }, withdraw: ['w-2'] });
    expect(store.taskOf(issuer, task.id)).toMatchObject({
      attested: [{ name: 'hold', value: 'no', by: 'op', kind: 'operator' }],
    });
    expect(records(1)).toMatchObject([
      { by: 'w-1', details: { kind: 'writer', attested: [{ name: 'approval', value: 'finance', by: 'w-1' }] } },
      { by: 'w-2', details: { kind: 'writer', attested: [{ name: 'approval', value: 'legal', by: 'w-2' }] } },
      { by: task.agent, details: { kind: 'agent', claimed: { approval: null } } },
      { by: 'w-1', details: { kind: 'writer', attested: [{ name: 'approval', value: null, by: 'w-1' }] } },
      {
        by: 'op',
        details: {
          kind: 'operator',
          attested: [
            { name: 'hold', value: 'no', by: 'op' },
            { name: 'approval', value: null, by: 'w-2' },
          ],
        },
      },
    ]);
    store.close();
  });

  it('refuses attested values beyond the bound, and keeps the existing values', () => {
    const { store, insert } = stage();
    const task = insert(1);
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`n${n}`, 'x']));
    for (const by of ['a', 'b', 'c', 'd']) store.setContext(task, attests(by, many));
    expect(store.setContext(task, attests('e', { one: 'more' }))).toMatchObject({ code: 'refused' });
    expect(store.taskOf(issuer, task.id)).toHaveProperty('attested.length', 64);
    store.close();
  });

  it('applies the event of the change in the same transaction, to the parts too', () => {
    const { store, insert, state, records } = stage();
    const task = insert(1, { claimed: { model: 'a' } });
    insert(2, partOf(1));
    const event = { kind: 'revoke', cause: causeOf('operator.revoked', '`model` changed') } as const;
    expect(store.setContext(task, claims(task, { model: 'b' }), event)).toMatchObject({
      state: 'revoked',
      claimed: { model: 'b' },
    });
    expect([1, 2].map(state)).toEqual(['revoked', 'revoked']);
    expect(records(1).map(({ kind }) => kind)).toEqual(['event', 'end']);
    expect(store.setContext(task, claims(task, { model: 'c' }))).toEqual({ problem: 'ended', state: 'revoked' });
    expect(store.setContext(taskNumber(9), claims(task, {}))).toBeUndefined();
    store.close();
  });

  it('stores names that every object already has', () => {
    const { store, insert, records } = stage();
    const task = insert(1, { claimed: { constructor: 'a' } });
    expect(store.setContext(task, claims(task, { toString: 'b' }))).toMatchObject({ claimed: { toString: 'b' } });
    expect(records(1)).toMatchObject([{ details: { claimed: { constructor: null, toString: 'b' } } }]);
    store.close();
  });
});

describe('Store.setRisk', () => {
  it('sets the level of an open task, with a record if it changes', () => {
    const { store, insert, records } = stage();
    const task = insert(1);
    expect(
      store.setRisk(task, 'high', causeOf('signal.risk-level-change', 'risk-level-change'), 'https://idp.test'),
    ).toMatchObject({ risk: 'high' });
    store.setRisk(task, 'high', causeOf('signal.risk-level-change', 'again'), 'https://idp.test');
    expect(records(1)).toMatchObject([
      {
        event: 'risk',
        cause: 'signal.risk-level-change',
        note: 'risk-level-change',
        by: 'https://idp.test',
        details: { from: 'low', to: 'high' },
      },
    ]);
    expect(store.taskOf(issuer, task.id)).toMatchObject({ risk: 'high' });
    store.applyTaskEvent(task, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    expect(store.setRisk(task, 'medium', causeOf('signal.risk-level-change', ''), 'operator')).toMatchObject({
      state: 'suspended',
      risk: 'medium',
    });
    store.applyTaskEvent(task, { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator');
    expect(store.setRisk(task, 'low', causeOf('signal.risk-level-change', ''), 'operator')).toEqual({
      problem: 'ended',
      state: 'revoked',
    });
    expect(store.setRisk(taskNumber(9), 'low', causeOf('signal.risk-level-change', ''), 'operator')).toBeUndefined();
    store.close();
  });
});

describe('Store.openTasks', () => {
  it('lists tasks whose end is not written, newest first, by all given conditions, whatever the clock says', () => {
    const { store, clock, insert } = stage();
    insert(1, { subject: 'user-1' });
    insert(2, { deadlineMs: 1_500 });
    insert(3, { idleMs: 400, createdAtMs: 1_000, lastUsedMs: 1_000 });
    insert(4);
    insert(5, { subject: 'user-1' });
    store.applyTaskEvent(taskNumber(4), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    store.applyTaskEvent(taskNumber(5), { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    clock.nowMs = 1_600;
    const ids = (filter: Parameters<Store['openTasks']>[0], limit = 10) => {
      const tasks = store.openTasks(filter, limit);
      return isStoreFailure(tasks) ? tasks : tasks.map((task) => Number(task.id.slice(-2)));
    };
    expect(ids({})).toEqual([3, 5, 2, 1]);
    expect(ids({}, 1)).toEqual([3]);
    expect(ids({ subject: 'user-1' })).toEqual([5, 1]);
    expect(ids({ agent: taskNumber(1).agent, subject: 'user-1', id: taskNumber(1).id })).toEqual([1]);
    expect(ids({ agent: 'spiffe://acme.test/other' })).toEqual([]);
    expect(ids({ jtiDigest: 'digest-5' })).toEqual([5]);
    expect(ids({ jtiDigest: 'digest-4' })).toEqual([]);
    expect(ids({ subject: 'user-1', olderThan: taskNumber(5) })).toEqual([1]);
    store.close();
  });
});

describe('the idle limit', () => {
  it('restarts with each allowed use of the task and of its parts, and with nothing else', () => {
    const { store, clock, insert, records } = stage();
    const idle = { idleMs: 1_000, createdAtMs: 1_000, lastUsedMs: 1_000 };
    insert(1, idle);
    insert(2, { ...idle, ...partOf(1) });
    insert(3, idle);
    insert(4);
    const lastUsed = (n: number) => {
      const task = store.taskOf(issuer, taskNumber(n).id);
      return task === undefined || isStoreFailure(task) ? 0 : task.lastUsedMs;
    };
    clock.nowMs = 1_500;
    store.appendRecords([
      allowedUse(2, 1_400),
      allowedUse(2, 1_300),
      allowedUse(3, 1_450, 'deny'),
      allowedUse(4, 1_450),
    ]);
    expect([1, 2, 3, 4].map(lastUsed)).toEqual([1_400, 1_400, 1_000, 4]);
    store.insertToken(taskNumber(3), tokenNumber(30), []);
    store.spend(taskNumber(3), 'digest-3', [{ kind: 'calls', limit: 5 }]);
    clock.nowMs = 2_000;
    expect(store.endExpired()).toBe(1);
    expect(records(3).at(-1)).toMatchObject({
      kind: 'end',
      state: 'expired',
      cause: 'idle',
      by: 'remit',
    });
    expect(store.taskOf(issuer, taskNumber(3).id)).toMatchObject({ endedAtMs: 2_000 });
    store.close();
  });

  it('is not undone by a use written after it was reached', () => {
    const { store, clock, insert } = stage();
    insert(1, { idleMs: 1_000, createdAtMs: 1_000, lastUsedMs: 1_000 });
    clock.nowMs = 2_000;
    store.appendRecords([allowedUse(1, 1_990)]);
    expect(store.endExpired()).toBe(1);
    expect(store.openTasks({}, 10)).toEqual([]);
    store.close();
  });

  it('does not run while the task is suspended', () => {
    const { store, clock, insert } = stage();
    const task = insert(1, { idleMs: 1_000, createdAtMs: 1_000, lastUsedMs: 1_000 });
    store.applyTaskEvent(task, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    clock.nowMs = 90_000;
    expect(store.endExpired()).toBe(0);
    expect(store.tasks({ state: 'suspended' })).toHaveLength(1);
    store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator');
    expect(store.tasks({ state: 'active' })).toMatchObject([{ lastUsedMs: 90_000 }]);
    clock.nowMs = 91_000;
    expect(store.tasks({ state: 'expired' })).toHaveLength(1);
    store.close();
  });

  it('ends the parts together with the task, each counted once', () => {
    const { store, clock, insert, state } = stage();
    insert(1, { idleMs: 1_000, createdAtMs: 1_000, lastUsedMs: 1_000, deadlineMs: 1_900 });
    insert(2, { ...partOf(1), idleMs: 500, createdAtMs: 1_000, lastUsedMs: 1_000, deadlineMs: 1_900 });
    clock.nowMs = 5_000;
    store.endExpired();
    expect([1, 2].map(state)).toEqual(['expired', 'expired']);
    expect(store.endExpired()).toBe(0);
    store.close();
  });
});

describe('Store.rememberOnce', () => {
  it('remembers a key until it expires, even after a restart', () => {
    const { store, file, clock } = stage();
    expect(store.rememberOnce('signal', 'a', 2_000)).toBe('new');
    expect(store.rememberOnce('signal', 'a', 9_000)).toBe('seen');
    expect(store.rememberOnce('signal', 'b', 2_000)).toBe('new');
    store.close();
    const again = mustOpen(file, { nowMs: () => clock.nowMs });
    expect(again.rememberOnce('signal', 'a', 2_000)).toBe('seen');
    clock.nowMs = 2_000;
    expect(again.rememberOnce('signal', 'a', 3_000)).toBe('new');
    expect(again.rememberOnce('signal', 'a\0', 3_000)).toMatchObject({ code: 'refused' });
    again.close();
  });

  it('is full at 100,000 keys, and has room again once they expire', () => {
    const { store, file, clock } = stage();
    store.close();
    const db = new DatabaseSync(file);
    db.exec(`INSERT INTO remembered
      SELECT 'signal', 'key-' || value, 2000 FROM (WITH RECURSIVE n (value) AS
        (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 100000) SELECT value FROM n)`);
    db.close();
    const again = mustOpen(file, { nowMs: () => clock.nowMs });
    expect(again.rememberOnce('signal', 'new', 9_000)).toMatchObject({
      code: 'full',
      detail: 'the replay memory holds 100000 keys, none of which has expired',
    });
    expect(again.rememberOnce('signal', 'key-7', 9_000)).toBe('seen');
    clock.nowMs = 2_000;
    expect(again.rememberOnce('signal', 'new', 9_000)).toBe('new');
    again.close();
  });
});

describe('Store.taskCounts', () => {
  it('is correct for every way in which tasks begin, change and end, across processes', () => {
    const { store, file, insert, clock } = stage();
    const counts = () => store.taskCounts();
    expect(counts()).toEqual({ active: 0, suspended: 0, ended: 0 });
    const [task] = [insert(1), insert(2, partOf(1)), insert(3, { deadlineMs: 2_000 }), insert(4)];
    expect(counts()).toEqual({ active: 4, suspended: 0, ended: 0 });
    store.applyTaskEvent(task, { kind: 'suspend', cause: causeOf('operator.suspended', 'look at it') }, 'operator');
    expect(counts()).toEqual({ active: 2, suspended: 2, ended: 0 });
    store.applyTaskEvent(task, { kind: 'suspend', cause: causeOf('operator.suspended', 'once more') }, 'operator');
    expect(counts()).toEqual({ active: 2, suspended: 2, ended: 0 });
    store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', 'it is fine') }, 'operator');
    expect(counts()).toEqual({ active: 3, suspended: 1, ended: 0 });
    clock.nowMs = 3_000;
    expect(counts()).toEqual({ active: 3, suspended: 1, ended: 0 });
    store.endExpired();
    expect(counts()).toEqual({ active: 2, suspended: 1, ended: 1 });
    const other = mustOpen(file, { nowMs: () => clock.nowMs });
    other.applyTaskEvent(task, { kind: 'cancel', cause: causeOf('operator.cancelled', 'enough of it') }, 'operator');
    expect(counts()).toEqual({ active: 1, suspended: 0, ended: 3 });
    other.close();
    store.close();
  });
});
