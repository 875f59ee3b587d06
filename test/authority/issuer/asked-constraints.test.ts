import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Question } from '../../../src/core/policy/question.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { type Bench, details, startBench } from './bench.ts';

const folder = testFolders(() => bench.close());
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

  it('are evaluated again if the context of the task changes', async () => {
    const constraints = {
      max_amount: { argument: 'amount', limit: 5, currency: { argument: 'currency', value: 'EUR' } },
    };
    const asks = {
      authorization_details: JSON.stringify([entry(constraints, ['payments.create'])]),
      task_context: '{"model":"a"}',
    };
    const { json } = await bench.token(asks);
    const first = requested();
    expect(first).toEqual([
      {
        action: 'payments.create',
        risk: 'high',
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

  it('have `max_amount` for the actions that have its argument, and for no other', async () => {
    const constraints = { max_calls: 5, max_amount: { argument: 'amount', limit: 500 } };
    const granted = await bench.token({
      authorization_details: JSON.stringify([
        entry(constraints, ['payments.read', 'payments.create', 'payments.list']),
      ]),
    });
    const bounded = entry(constraints, ['payments.create']);
    expect([granted.status, granted.json['authorization_details']]).toEqual([
      200,
      [bounded, entry({ max_calls: 5 }, ['payments.read', 'payments.list'])],
    ]);
    const maxAmount = { argument: 'amount', limit: 500 };
    expect(requested()).toEqual([
      { action: 'payments.create', risk: 'high', constraints: { singleUse: false, maxCalls: 5, maxAmount } },
      { action: 'payments.read', risk: 'low', constraints: { singleUse: false, maxCalls: 5 } },
      { action: 'payments.list', risk: 'low', constraints: { singleUse: false, maxCalls: 5 } },
    ]);
    // The same intent again is not wider than what was granted of it.
    const renewed = await bench.exchange(String(granted.json['access_token']), {
      authorization_details: JSON.stringify([entry(constraints, ['payments.read', 'payments.create'])]),
    });
    expect([renewed.status, renewed.json['authorization_details']]).toEqual([
      200,
      [bounded, entry({ max_calls: 5 }, ['payments.read'])],
    ]);
    requested();
  });

  it('are absent if `max_amount` was the only constraint and does not bound the action', async () => {
    const constraints = { max_amount: { argument: 'amount', limit: 500 } };
    const { json } = await bench.token({
      authorization_details: JSON.stringify([entry(constraints, ['payments.list', 'payments.create'])]),
    });
    expect(json['authorization_details']).toEqual([
      entry(constraints, ['payments.create']),
      entry(undefined, ['payments.list']),
    ]);
    requested();
  });

  it.each<[string, unknown, readonly string[], string]>([
    [
      'an argument that no action has',
      { argument: 'amuont', limit: 5 },
      ['payments.create', 'payments.read'],
      'no action of the entry has the argument amuont of max_amount: payments.create, payments.read',
    ],
    [
      'an argument that actions outside the entry have',
      { argument: 'amount', limit: 5 },
      ['payments.read'],
      'no action of the entry has the argument amount of max_amount: payments.read',
    ],
    [
      'a text',
      { argument: 'currency', limit: 5 },
      ['payments.create'],
      'max_amount sums a long or a decimal, and currency of payments.create is a string',
    ],
    [
      'a text of the path',
      { argument: 'id', limit: 5 },
      ['payments.read'],
      'max_amount sums a long or a decimal, and id of payments.read is a string',
    ],
    [
      'a currency that the action does not have',
      { argument: 'amount', limit: 5, currency: { argument: 'money', value: 'EUR' } },
      ['payments.create'],
      'payments.create has no argument money, the currency of its max_amount',
    ],
    [
      'a currency that is a number',
      { argument: 'amount', limit: 5, currency: { argument: 'amount', value: '5' } },
      ['payments.create'],
      'the currency of max_amount is a string, and amount of payments.create is a long',
    ],
  ])('are refused with `max_amount` of %s', async (_name, maxAmount, actions, description) => {
    const { status, json } = await bench.token({
      authorization_details: JSON.stringify([entry({ max_amount: maxAmount }, actions)]),
    });
    expect([status, json['error'], json['error_description']]).toEqual([
      400,
      'invalid_authorization_details',
      description,
    ]);
    expect(requested()).toEqual([]);
  });

  it('are at most 32 entries, with those that `max_amount` divides', async () => {
    const actions = ['payments.read', 'payments.create'];
    const entries = Array.from({ length: 17 }, (_, at) =>
      entry({ max_amount: { argument: 'amount', limit: at } }, actions),
    );
    const { json } = await bench.token({ authorization_details: JSON.stringify(entries) });
    expect(json['error_description']).toMatch(/^an intent has at most 32 entries/);
    expect(requested()).toEqual([]);
    const fewer = await bench.token({ authorization_details: JSON.stringify(entries.slice(1)) });
    expect([fewer.json['error_description'], requested().length]).toEqual([
      'authorization_details are too large for a token',
      17,
    ]);
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

  it('come with the life of the token and of its task, which stays the same for each further token', async () => {
    const notAfter = Math.floor(Date.now() / 1_000) + 7_200;
    const first = await bench.token({
      authorization_details: JSON.stringify([entry({ not_after: notAfter })]),
      task_context: '{"model":"a"}',
    });
    await bench.exchange(String(first.json['access_token']));
    const path = `/tasks/${String(first.json['txn'])}`;
    const headers = { 'content-type': 'application/json' };
    await bench.ask(`${path}/context`, {
      method: 'PUT',
      body: '{"context":{"model":"b"}}',
      headers,
      as: bench.planner,
    });
    await bench.ask(`${path}/token`, { method: 'POST', as: bench.planner });
    const lives = asked.splice(0).map(({ context }) => [context['ttlSeconds'], context['taskSeconds']]);
    const [[, taskSeconds] = []] = lives;
    expect(taskSeconds).toBeGreaterThan(7_000);
    expect(taskSeconds).toBeLessThanOrEqual(7_200);
    expect(lives).toEqual([
      [300, taskSeconds],
      // An exchange gives no longer life.
      [expect.any(Number), taskSeconds],
      [300, taskSeconds],
      [300, taskSeconds],
    ]);
  });

  it('are clamped to the last instant that Cedar can represent', async () => {
    await bench.token({ authorization_details: JSON.stringify([entry({ not_after: 253_402_300_799 })]) });
    expect(requested()).toMatchObject([
      { constraints: { notAfter: { __extn: { arg: expect.stringMatching(/^9999-12-30/) } } } },
    ]);
  });
});
