import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { ReasonCode } from '../../../../src/core/decision/reasons.ts';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { type Answer, type Bench, startBench } from '../bench.ts';
import { newTask, recordsOf, taskNow } from '../signals/transmitter.ts';

const folder = testFolders(() => bench.close());
const reporterId = 'spiffe://acme.test/ns/agents/sa/reporter' as SpiffeId;
const plannerId = 'spiffe://acme.test/ns/agents/sa/planner';
const monitorId = 'spiffe://acme.test/ns/agents/sa/monitor' as SpiffeId;
const otherMonitorId = 'spiffe://acme.test/ns/agents/sa/other-monitor' as SpiffeId;
const operatorId = 'spiffe://acme.test/ns/ops/sa/operator' as SpiffeId;
let monitor: IssuedCertificate;
let otherMonitor: IssuedCertificate;
let operator: IssuedCertificate;
let bench: Bench;
/** The answer of the policies; `null` uses the real ones. */
let refusal: ReasonCode | null = null;
const asked: Question[] = [];

beforeAll(async () => {
  const first = await startBench(folder());
  const { grant } = first;
  const { settings } = first.services;
  await first.close();
  bench = await startBench(folder(), {
    settings: {
      ...settings,
      contextWriters: new Set([monitorId, reporterId, otherMonitorId]),
      operators: new Set([operatorId]),
    },
    grant: (question) => {
      asked.push(question);
      return refusal === null ? grant(question) : deny(refusal, 'no');
    },
  });
  monitor = await bench.authority.svid('/ns/agents/sa/monitor');
  otherMonitor = await bench.authority.svid('/ns/agents/sa/other-monitor');
  operator = await bench.authority.svid('/ns/ops/sa/operator');
});

const store = () => bench.store;
const headers = { 'content-type': 'application/json' };
const put = (
  task: Pick<Task, 'id'>,
  body: string,
  as: IssuedCertificate = bench.planner,
  type = headers,
): Promise<Answer> => bench.ask(`/tasks/${task.id}/context`, { method: 'PUT', body, headers: type, as });
const putContext = (task: Task, values: unknown, as: IssuedCertificate = bench.planner): Promise<Answer> =>
  put(task, JSON.stringify({ context: values }), as);

const context = { model: 'm-1', node: 'n-1', posture: 'good', session: 's-1' };
const contextRules = { model: 'ask', node: 'suspend', posture: 'revoke' } as const;
const accepted = (change: Partial<Task> = {}) => newTask(store(), { claimed: context, contextRules, ...change }).task;

describe('PUT /tasks/{id}/context', () => {
  it.each<[string, object, ReasonCode | null, string]>([
    ['nothing', {}, null, 'active'],
    ['a value to ask about, granted', { model: 'm-2' }, null, 'active'],
    ['a value to ask about, not permitted', { model: 'm-2' }, 'policy.not-permitted', 'revoked'],
    ['a value to ask about, forbidden', { model: 'm-2' }, 'policy.forbidden', 'revoked'],
    ['a value to ask about, no answer', { model: 'm-2' }, 'policy.unavailable', 'suspended'],
    ['a value that suspends', { node: 'n-2' }, null, 'suspended'],
    ['a value that revokes', { posture: 'bad' }, null, 'revoked'],
    ['a value without a rule', { session: 's-2' }, null, 'revoked'],
    ['a value to ask about and a value that suspends', { model: 'm-2', node: 'n-2' }, null, 'suspended'],
    [
      'a value to ask about, refused, and a value that suspends',
      { model: 'm-2', node: 'n-2' },
      'policy.forbidden',
      'revoked',
    ],
    ['a value of each kind', { model: 'm-2', node: 'n-2', posture: 'bad' }, null, 'revoked'],
    ['a new name', { region: 'eu' }, null, 'revoked'],
    ['a name that is gone', { posture: undefined }, null, 'revoked'],
    ['a name to suspend by that is gone', { node: undefined }, null, 'suspended'],
  ])('with %s changed (%j), if the policies answer %s: %s', async (_name, change, answer, state) => {
    refusal = answer;
    const task = accepted();
    const reply = await putContext(task, { ...context, ...change });
    refusal = null;
    expect([reply.status, reply.json['state']]).toEqual([200, state]);
    const now = taskNow(store(), task);
    expect([now.state, now.claimed]).toEqual([state, JSON.parse(JSON.stringify({ ...context, ...change }))]);
    expect(reply.json).toMatchObject({ id: task.id, claimed: now.claimed, attested: [] });
  });

  it('asks about each granted action like the issuance', async () => {
    asked.length = 0;
    const details = [
      {
        type: 'urn:remit:task',
        locations: ['https://payments.acme.test'],
        actions: ['payments.read', 'payments.list'],
      },
    ];
    const task = accepted({ detailsJson: JSON.stringify(details) });
    expect((await putContext(task, { ...context, model: 'm-3' })).status).toBe(200);
    expect(asked).toMatchObject(
      ['payments.read', 'payments.list'].map((action) => ({
        principal: plannerId,
        action: 'issue',
        server: { audience: 'https://payments.acme.test' },
        context: {
          intent: { purpose: 'pay the invoices of may', actions: ['payments.list', 'payments.read'] },
          requested: { action },
          claimed: ['model=m-3', 'node=n-1', 'posture=good', 'session=s-1'],
          attested: [],
        },
      })),
    );
  });

  it('records the change, who made it, and its effect', async () => {
    const task = accepted();
    await putContext(task, { ...context, node: 'n-2' });
    const cause = { cause: 'context.changed', note: 'the context changed: node' };
    expect(recordsOf(store(), task.id)).toMatchObject([
      { kind: 'event', event: 'context', by: plannerId, details: { kind: 'agent', claimed: { node: 'n-2' } } },
      { kind: 'event', event: 'suspended', ...cause, by: plannerId },
    ]);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'task.context',
      attributes: { 'remit.task.id': task.id, 'remit.task.state': 'suspended', 'http.response.status_code': 200 },
    });
  });

  it('changes and records nothing if nothing changed', async () => {
    const task = accepted();
    expect((await putContext(task, context)).json).toMatchObject({ state: 'active' });
    expect(recordsOf(store(), task.id)).toEqual([]);
  });

  it('keeps a task suspended when the old value returns', async () => {
    const task = accepted();
    await putContext(task, { ...context, node: 'n-2' });
    expect((await putContext(task, context)).json).toMatchObject({ state: 'suspended', claimed: context });
  });

  it('is not found for other agents', async () => {
    const task = accepted();
    const thief = await bench.authority.svid('/ns/agents/sa/thief');
    const other = await putContext(task, { ...context, node: 'n-2' }, thief);
    expect([other.status, other.json]).toEqual([
      404,
      { error: 'not_found', error_description: 'this client has no task with this id' },
    ]);
    const foreign = accepted({ agent: reporterId });
    expect((await putContext(foreign, context)).status).toBe(404);
    expect(taskNow(store(), foreign).state).toBe('active');
    expect((await put({ id: '0198c0de-0000-7000-8000-eeeeeeeeeeee' }, '{"context":{}}', monitor)).status).toBe(404);
  });

  it('is 409 on an ended task', async () => {
    const task = accepted();
    store().applyTaskEvent(task, { kind: 'complete', cause: causeOf('agent.completed', 'done') }, plannerId);
    const reply = await putContext(task, { ...context, model: 'm-2' });
    expect([reply.status, reply.json]).toEqual([
      409,
      { error: 'task_ended', error_description: 'the task is already completed' },
    ]);
  });

  it.each([
    ['no JSON', 'hello', 'the body is not valid JSON'],
    ['a duplicate name', '{"context":{"a":"1","a":"2"}}', 'the body has a duplicate member name'],
    ['another member', '{"context":{},"x":1}', 'the body has an unknown member `x`'],
    ['no context', '{}', 'the body member `context` is required'],
    ['an array', '{"context":[]}', 'the body member `context` must be an object'],
    ['a number', '{"context":{"a":1}}', 'the body member `context` value `a` must be a string of 0 to 256 characters'],
    [
      'a long value',
      JSON.stringify({ context: { a: 'x'.repeat(257) } }),
      'the body member `context` value `a` must be a string of 0 to 256 characters',
    ],
    [
      'a name that is none',
      '{"context":{"__proto__":"x"}}',
      'the body member `context` has an invalid name: must be a letter and up to 63 letters, digits, _, . and -',
    ],
    [
      'too many names',
      JSON.stringify({ context: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`n${n}`, ''])) }),
      'the body member `context` must have at most 16 names',
    ],
    ['a large body', JSON.stringify({ context: {}, x: 'x'.repeat(17_000) }), 'the body is larger than 16384 bytes'],
  ])('refuses %s', async (_name, body, description) => {
    const task = accepted();
    const reply = await put(task, body);
    expect([reply.status, reply.json]).toEqual([400, { error: 'invalid_request', error_description: description }]);
    expect(taskNow(store(), task).state).toBe('active');
  });

  it('refuses another content-type', async () => {
    const reply = await put(accepted(), '{}', bench.planner, { 'content-type': 'text/plain' });
    expect([reply.status, reply.json['error_description']]).toEqual([400, 'the content-type must be application/json']);
  });

  it('supports PUT only', async () => {
    const answer = await bench.ask(`/tasks/${accepted().id}/context`, { method: 'POST' });
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'PUT']);
  });

  it.each([
    ['nobody', '{"context":{},"withdraw":[]}', 'the body member `withdraw` must be an array of 1 to 64 entries'],
    ['no SPIFFE ID', '{"context":{},"withdraw":["x"]}', /^the body member `withdraw` entry 0 /],
  ])('refuses to withdraw what %s attested', async (_name, body, description) => {
    const reply = await put(accepted(), body, operator);
    expect([reply.status, reply.json['error_description']]).toEqual([400, expect.stringMatching(description)]);
  });

  it('answers any JSON with 200 or 400, and never with a fault', async () => {
    const task = accepted();
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const answers = [await put(task, JSON.stringify(value)), await put(task, JSON.stringify({ context: value }))];
        expect(answers.every(({ status }) => [200, 400, 409].includes(status))).toBe(true);
      }),
      { numRuns: 30 },
    );
    expect(bench.problems).toEqual([]);
  });
});

const by = (who: string, values: Readonly<Record<string, string>>, kind = 'writer') =>
  Object.entries(values).map(([name, value]) => ({ name, value, by: who, kind }));

describe('PUT /tasks/{id}/context, claimed or attested (issue "Mend what was found in attack")', () => {
  const approval = { approval: 'finance' };

  it("stores an agent's values as claims and a writer's as attested", async () => {
    const task = accepted({ claimed: {}, contextRules: { approval: 'ask' } });
    expect((await putContext(task, approval)).json).toMatchObject({ claimed: approval, attested: [] });
    const attested = by(monitorId, approval);
    expect((await putContext(task, approval, monitor)).json).toMatchObject({ claimed: approval, attested });
    expect(recordsOf(store(), task.id)).toMatchObject([
      { event: 'context', by: plannerId, details: { kind: 'agent', claimed: approval } },
      {
        event: 'context',
        by: monitorId,
        details: { kind: 'writer', attested: [{ name: 'approval', value: 'finance', by: monitorId }] },
      },
    ]);
  });

  it('does not let an agent change or remove attested values', async () => {
    const task = accepted({ claimed: {}, contextRules: { approval: 'ask' } });
    await putContext(task, approval, monitor);
    for (const values of [{}, { approval: 'nobody' }, approval]) {
      expect((await putContext(task, values)).json).toMatchObject({
        claimed: values,
        attested: by(monitorId, approval),
      });
    }
    const withdrawing = await put(task, JSON.stringify({ context: {}, withdraw: [monitorId] }));
    expect([withdrawing.status, withdrawing.json]).toEqual([
      403,
      { error: 'access_denied', error_description: 'only an operator can withdraw what another workload attested' },
    ]);
  });

  it('lets a writer change its own values only, and an operator withdraw those of others', async () => {
    const task = accepted({ claimed: {}, contextRules: { approval: 'ask', hold: 'ask' } });
    await putContext(task, approval, monitor);
    await putContext(task, { approval: 'nobody' }, otherMonitor);
    const both = [...by(monitorId, approval), ...by(otherMonitorId, { approval: 'nobody' })];
    expect(taskNow(store(), task).attested).toEqual(both);
    const refused = await put(task, JSON.stringify({ context: {}, withdraw: [monitorId] }), otherMonitor);
    expect([refused.status, refused.json['error']]).toEqual([403, 'access_denied']);
    await putContext(task, {}, otherMonitor);
    expect(taskNow(store(), task).attested).toEqual(by(monitorId, approval));
    const body = JSON.stringify({ context: { hold: 'no' }, withdraw: [monitorId] });
    expect((await put(task, body, operator)).json).toMatchObject({
      attested: by(operatorId, { hold: 'no' }, 'operator'),
    });
  });

  it('stores values of a writer about its own task as claims', async () => {
    const task = accepted({ agent: reporterId, claimed: {}, contextRules: { approval: 'ask' } });
    const reply = await putContext(task, approval, bench.reporter);
    expect(reply.json).toMatchObject({ claimed: approval, attested: [] });
  });

  it('refuses values of a writer that delegated the task', async () => {
    const whole = accepted({ agent: reporterId, claimed: {} });
    const part = accepted({ parentId: whole.id, deadlineMs: whole.deadlineMs, claimed: {} });
    const reply = await putContext(part, approval, bench.reporter);
    expect([reply.status, reply.json]).toEqual([
      403,
      {
        error: 'access_denied',
        error_description: 'a workload that delegated the task, or an ancestor of it, cannot attest values of it',
      },
    ]);
    expect(taskNow(store(), part).attested).toEqual([]);
  });

  it.each<[string, Partial<Task>, object, ReasonCode | null, string]>([
    ['a new value asks, granted', {}, approval, null, 'active'],
    ['a new value asks, refused', {}, approval, 'policy.forbidden', 'revoked'],
    ['a new value with a rule', { contextRules: { approval: 'suspend' } }, approval, null, 'suspended'],
    ['another value', { attested: by(monitorId, { approval: 'hr' }) as Task['attested'] }, approval, null, 'revoked'],
    ['a value that is gone', { attested: by(monitorId, approval) as Task['attested'] }, {}, null, 'revoked'],
  ])('without a rule of its own: %s', async (_name, change, values, answer, state) => {
    const task = accepted({ claimed: {}, contextRules: {}, ...change });
    refusal = answer;
    const reply = await putContext(task, values, monitor);
    refusal = null;
    expect([reply.status, reply.json['state']]).toEqual([200, state]);
  });

  it('refuses more values than a task can hold', async () => {
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`n${n}`, 'x']));
    const attested = ['a', 'b', 'c', 'd'].flatMap((who) => by(who, many)) as Task['attested'];
    const reply = await putContext(accepted({ attested }), approval, monitor);
    expect([reply.status, reply.json['error_description']]).toEqual([
      400,
      'the task would have more than 64 attested values: an operator can withdraw those of an attester',
    ]);
  });
});
