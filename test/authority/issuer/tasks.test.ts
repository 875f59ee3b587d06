import { beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { stateAt } from '../../../src/core/task/task.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { type Answer, type Bench, details, issuerUrl, startBench } from './bench.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
beforeAll(async () => {
  bench = await startBench(folder());
});

const newTask = async (): Promise<string> => String((await bench.token()).json['txn']);
const post = (id: string, what: string, as = bench.planner): Promise<Answer> =>
  bench.ask(`/tasks/${id}/${what}`, { method: 'POST', as });
const stateOf = (id: string): string => {
  const task = bench.store.taskOf(issuerUrl, id);
  return task === undefined || isStoreFailure(task) ? 'none' : stateAt(task, bench.store.nowMs());
};

describe('POST /tasks/{id}/complete and cancel', () => {
  it.each([
    ['complete', 'completed', 'agent.completed'],
    ['cancel', 'cancelled', 'agent.cancelled'],
  ])('ends the task by %s, on disk before the answer', async (what, state, cause) => {
    const id = await newTask();
    expect(stateOf(id)).toBe('active');
    const answer = await post(id, what);
    expect([answer.status, answer.json['state'], answer.json['cause']]).toEqual([200, state, cause]);
    expect(stateOf(id)).toBe(state);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'task.end',
      attributes: { 'remit.task.id': id, 'remit.task.state': state },
    });
  });

  it('acknowledges the same end again with the same instant, and refuses another', async () => {
    const id = await newTask();
    const first = await post(id, 'complete');
    expect((await post(id, 'complete')).json).toEqual(first.json);
    const other = await post(id, 'cancel');
    expect([other.status, other.json]).toEqual([
      409,
      { error: 'task_ended', error_description: 'the task is already completed' },
    ]);
  });

  it('hides the tasks of other agents like unknown tasks', async () => {
    const id = await newTask();
    const absent = '0198c0de-0000-7000-8000-000000000001';
    const answers = await Promise.all([
      post(id, 'complete', bench.reporter),
      post(id, 'cancel', bench.reporter),
      bench.ask(`/tasks/${id}`, { as: bench.reporter }),
      bench.ask(`/tasks/${id}/timeline`, { as: bench.reporter }),
      post(absent, 'complete'),
      bench.ask(`/tasks/${absent}`),
    ]);
    const hidden = { error: 'not_found', error_description: 'this client has no task with this id' };
    expect(answers.map(({ status, json }) => [status, json])).toEqual(answers.map(() => [404, hidden]));
    expect(stateOf(id)).toBe('active');
  });

  it('applies one of 100 concurrent ends, with one record', async () => {
    const id = await newTask();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => post(id, n % 2 === 0 ? 'complete' : 'cancel')),
    );
    const state = stateOf(id);
    const winners = answers.filter(({ status }) => status === 200);
    expect(winners).toHaveLength(50);
    expect(new Set(winners.map(({ json }) => JSON.stringify(json))).size).toBe(1);
    expect(winners[0]?.json['state']).toBe(state);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(50);
    const records = bench.store.recordsOf(id, 100);
    expect(isStoreFailure(records) ? records : records.length).toBe(3);
  });

  it('refuses to complete a task whose deadline has passed, and calls it expired', async () => {
    const clock = { aheadMs: 0 };
    const late = await startBench(folder(), { ports: { ...systemPorts, nowMs: () => Date.now() + clock.aheadMs } });
    const id = String((await late.token()).json['txn']);
    clock.aheadMs = 901_000;
    const answer = await late.ask(`/tasks/${id}/complete`, { method: 'POST' });
    expect([answer.status, answer.json['error_description']]).toEqual([409, 'the task is already expired']);
    clock.aheadMs = 0;
    expect((await late.ask(`/tasks/${id}`)).json).toMatchObject({ state: 'expired', cause: 'deadline' });
    await late.close();
  });
});

describe('GET /tasks/{id}', () => {
  it('returns the task with RFC 3339 times and OAuth names', async () => {
    const id = await newTask();
    const { json } = await bench.ask(`/tasks/${id}`);
    expect(json).toEqual({
      id,
      issuer: issuerUrl,
      agent: 'spiffe://acme.test/ns/agents/sa/planner',
      purpose: 'pay the invoices of may',
      intent_hash: expect.stringMatching(/^sha-256:/),
      state: 'active',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      deadline: expect.stringMatching(/Z$/),
      ended_at: null,
      cause: null,
      cause_note: null,
      trace_id: bench.spans.at(-1)?.traceId,
      span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
      authorization_details: JSON.parse(details()),
      subject: 'spiffe://acme.test/ns/agents/sa/planner',
      parent: null,
      subject_attributes: {},
      claimed: {},
      attested: [],
      context_rules: {},
      generation: 1,
      idle_seconds: null,
      last_used_at: json['created_at'],
      risk: 'low',
    });
  });
});

describe('GET /tasks/{id}/timeline', () => {
  it('returns the records of the task in order, from intent to end', async () => {
    const id = await newTask();
    await post(id, 'complete');
    const { json } = await bench.ask(`/tasks/${id}/timeline`);
    expect(json).toMatchObject({
      task: { id, state: 'completed' },
      truncated: false,
      records: [
        { kind: 'intent', task: id, decision: 'allow' },
        { kind: 'token', task: id },
        { kind: 'end', task: id, state: 'completed', by: 'spiffe://acme.test/ns/agents/sa/planner' },
      ],
    });
  });
});

describe('the issuer over a restart', () => {
  it('has committed everything it acknowledged before it was killed', async () => {
    const at = folder();
    const child = spawn(process.execPath, ['--no-warnings', join(import.meta.dirname, 'killed-issuer.ts'), at], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.split('\n').length > 40) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const acknowledged = output.split('\n').slice(0, -1);
    const store = mustOpen(join(at, 'state.db'), { nowMs: systemPorts.nowMs });
    expect(acknowledged.length).toBeGreaterThanOrEqual(40);
    for (const line of acknowledged) {
      const [id = '', state = ''] = line.split(' ');
      const task = store.taskOf(issuerUrl, id);
      const isKept = task !== undefined && !isStoreFailure(task) && (state === 'active' || task.state === state);
      const records = store.recordsOf(id, 10);
      expect([line, isKept, isStoreFailure(records) ? 0 : records.length >= 2]).toEqual([line, true, true]);
    }
    store.close();
  });

  it('keeps tasks and its key, so that tokens stay valid and ended tasks stay ended', async () => {
    const at = folder();
    const first = await startBench(at);
    const ended = String((await first.token()).json['txn']);
    const live = String((await first.token()).json['txn']);
    await first.ask(`/tasks/${ended}/complete`, { method: 'POST' });
    const { keyId } = first.services.signingKeys.current();
    await first.close();
    const second = await startBench(at);
    expect(second.services.signingKeys.current().keyId).toBe(keyId);
    const { store } = second;
    expect([store.taskOf(issuerUrl, ended), store.taskOf(issuerUrl, live)]).toMatchObject([
      { state: 'completed' },
      { state: 'active' },
    ]);
    await second.close();
  });

  it('answers 503 and never a token after its store was closed', async () => {
    const at = folder();
    const store = mustOpen(join(at, 'state.db'), { nowMs: systemPorts.nowMs });
    const orphan = await startBench(at, { store });
    const id = String((await orphan.token()).json['txn']);
    store.close();
    const answers = await Promise.all([
      orphan.token(),
      orphan.ask(`/tasks/${id}`),
      orphan.ask(`/tasks/${id}/complete`, { method: 'POST' }),
      orphan.ask(`/tasks/${id}/timeline`),
    ]);
    expect(answers.map(({ status, json }) => [status, json['error']])).toEqual(
      answers.map(() => [503, 'temporarily_unavailable']),
    );
    await orphan.close();
  });
});
