import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Question } from '../../src/policy/question.ts';
import { scratch } from '../builders/scratch.ts';
import { type Bench, details, startBench } from './bench.ts';

const { folder, remove } = scratch();
const asked: Question[] = [];
let bench: Bench;

beforeAll(async () => {
  const first = await startBench(folder());
  const { grant } = first;
  const { settings } = first.services;
  await first.close();
  bench = await startBench(folder(), {
    settings: { ...settings, contextRules: { model: 'ask' } },
    grant: (question) => {
      asked.push(question);
      return grant(question);
    },
  });
});
afterAll(async () => {
  await bench.close();
  remove();
});

const entry = (constraints: unknown, actions: readonly string[] = ['payments.read']): unknown =>
  JSON.parse(details({ actions, ...(constraints === undefined ? {} : { constraints }) }))[0];
const requested = (): readonly unknown[] => asked.splice(0).map(({ context }) => context['requested']);

describe('requested constraints', () => {
  it('are part of the question about an action, once per distinct constraints', async () => {
    const entries = [
      entry({ max_calls: 3, not_after: 4_102_444_800 }),
      entry({ not_after: 4_102_444_800, max_calls: 3 }),
      entry({ single_use: true }),
      entry(undefined, ['payments.list']),
    ];
    const { status } = await bench.token({ authorization_details: JSON.stringify(entries) });
    expect(status).toBe(200);
    const read = { action: 'payments.read', risk: 'low' };
    const notAfter = { __extn: { fn: 'datetime', arg: '2100-01-01T00:00:00Z' } };
    expect(requested()).toEqual([
      { ...read, constraints: { singleUse: false, maxCalls: 3, notAfter } },
      { ...read, constraints: { singleUse: true } },
      { action: 'payments.list', risk: 'low', constraints: { singleUse: false } },
    ]);
  });

  it('are evaluated again where the context of the task changes', async () => {
    const constraints = {
      max_amount: { argument: 'amount', limit: 5, currency: { argument: 'currency', value: 'EUR' } },
    };
    const asks = { authorization_details: JSON.stringify([entry(constraints)]), task_context: '{"model":"a"}' };
    const { json } = await bench.token(asks);
    const first = requested();
    expect(first).toEqual([
      {
        action: 'payments.read',
        risk: 'low',
        constraints: {
          singleUse: false,
          maxAmount: { argument: 'amount', limit: 5, currency: { argument: 'currency', value: 'EUR' } },
        },
      },
    ]);
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ context: { model: 'b' } });
    const changed = await bench.ask(`/tasks/${String(json['txn'])}/context`, {
      method: 'PUT',
      body,
      headers,
      as: bench.planner,
    });
    expect([changed.status, changed.json['state']]).toEqual([200, 'active']);
    expect(requested()).toEqual(first);
  });

  it('are limited, so that the number of decisions per intent is', async () => {
    const entries = Array.from({ length: 30 }, (_, at) => entry({ max_calls: at + 1 }, ['payments.*']));
    const { json } = await bench.token({ authorization_details: JSON.stringify(entries) });
    expect(json).toMatchObject({
      error: 'invalid_authorization_details',
      error_description: 'an intent has at most 64 actions, each counted once for each of its constraints',
    });
    expect(requested()).toEqual([]);
  });

  it('are clamped to the last instant that Cedar can represent', async () => {
    await bench.token({ authorization_details: JSON.stringify([entry({ not_after: 253_402_300_799 })]) });
    expect(requested()).toMatchObject([
      { constraints: { notAfter: { __extn: { arg: expect.stringMatching(/^9999-12-30/) } } } },
    ]);
  });
});
