// Issue 41, point 7: emergencies at the issuer.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { Receipt } from '../../../../src/core/fleet/receipt.ts';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { type Answer, type Bench, startBench } from '../bench.ts';

const operatorId = 'spiffe://acme.test/ns/ops/sa/desk';
const agents = ['spiffe://acme.test/ns/agents/*'];

const folder = testFolders();
let bench: Bench;
let operator: IssuedCertificate;
let receipts: string[][] = [];
const enforced: Receipt = { enforced: true, holders: 3, acknowledged: 2, fenced: 1 };

const start = async (change: Parameters<typeof startBench>[1] = {}): Promise<void> => {
  receipts = [];
  bench = await startBench(folder(), {
    settings: { emergencyOperators: new Set([mustSpiffeId(operatorId)]), operators: new Set([reporterId]) },
    enforcement: {
      enforced: async (roots) => {
        receipts.push([...roots]);
        return enforced;
      },
      monotonicMs: () => 0,
    },
    ...change,
  });
  operator = await bench.authority.svid('/ns/ops/sa/desk');
};
const reporterId = 'spiffe://acme.test/ns/agents/sa/reporter' as SpiffeId;
beforeEach(() => start());
afterEach(() => bench.close());

const json = { 'content-type': 'application/json' };
const begin = (body: object, as: IssuedCertificate = operator, query = ''): Promise<Answer> =>
  bench.ask(`/emergencies${query}`, {
    method: 'POST',
    as,
    headers: json,
    body: JSON.stringify({ because: 'INC-42', agents, ...body }),
  });
const end = (id: unknown, as = operator): Promise<Answer> =>
  bench.ask(`/emergencies/${String(id)}/end`, { method: 'POST', as });
const list = (as = operator): Promise<Answer> => bench.ask('/emergencies', { as });
const recorded = (): readonly Record<string, unknown>[] =>
  must(bench.store.outbox(0, 100)).map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')));

describe('the endpoints of emergencies', () => {
  it('start, list and end an emergency for a configured operator, with a receipt each', async () => {
    const started = await begin({ servers: ['payments'], minutes: 30 });
    expect(started).toMatchObject({
      status: 201,
      json: { agents, servers: ['payments'], by: operatorId, because: 'INC-42', enforcement: { ...enforced, ms: 0 } },
    });
    const { id, made, until, enforcement: _receipt } = started.json;
    expect(Date.parse(String(until)) - Date.parse(String(made))).toBe(30 * 60_000);
    expect((await list()).json).toMatchObject({ emergencies: [{ id, agents, servers: ['payments'] }] });
    expect(await end(id)).toMatchObject({ status: 200, json: { id, enforcement: enforced } });
    expect((await list()).json).toEqual({ emergencies: [] });
    expect((await end(id)).status).toBe(404);
    expect(receipts).toHaveLength(2);
  });

  it('record start and end with the operator, the cause, the end and the receipt', async () => {
    const { json: started } = await begin({});
    await end(started['id']);
    const { id, until } = started;
    expect(recorded()).toMatchObject([
      {
        event: 'order-made',
        cause: 'operator.observed',
        note: 'INC-42',
        by: operatorId,
        details: { order: id, of: 'observe', until: Date.parse(String(until)), agents, servers: null },
      },
      { event: 'receipt', details: { order: id, change: 'order-made', ...enforced } },
      { event: 'order-lifted', cause: 'operator.lifted', by: operatorId, details: { order: id } },
      { event: 'receipt', details: { order: id, change: 'order-lifted', ...enforced } },
    ]);
  });

  it('end with a reason, which is recorded, and refuse one that is malformed', async () => {
    const { json: started } = await begin({});
    const path = `/emergencies/${String(started['id'])}/end`;
    const ending = (body: string) => bench.ask(path, { method: 'POST', as: operator, headers: json, body });
    for (const body of ['{"because":""}', '{"because":7}', `{"because":"${'x'.repeat(201)}"}`, '{"why":"x"}', 'x'])
      expect(await ending(body)).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    expect((await list()).json).toMatchObject({ emergencies: [{}] });
    expect((await ending('{"because":"INC-42 is over"}')).status).toBe(200);
    expect(recorded().filter(({ event }) => event === 'order-lifted')).toMatchObject([{ note: 'INC-42 is over' }]);
  });

  it('observe 15 minutes by default, and answer after the commit alone with `?wait=committed`', async () => {
    const { json: started } = await begin({}, operator, '?wait=committed');
    expect(Date.parse(String(started['until'])) - Date.parse(String(started['made']))).toBe(15 * 60_000);
    expect(started).not.toHaveProperty('enforcement');
    expect(receipts).toEqual([]);
  });

  it('are for those operators alone: not for agents, nor for operators of tasks', async () => {
    for (const as of [bench.planner, bench.reporter]) {
      expect(await begin({}, as)).toMatchObject({ status: 403, json: { error: 'access_denied' } });
      expect((await list(as)).status).toBe(403);
      expect((await end('0123456789abcdef', as)).status).toBe(403);
    }
    expect(must(bench.store.ordersInForce()).list).toEqual([]);
  });

  it('are impossible if they are not configured, and say so', async () => {
    await bench.close();
    await start({ settings: { operators: new Set([mustSpiffeId(operatorId)]) } });
    expect(await begin({})).toMatchObject({
      status: 403,
      json: {
        error_description:
          'emergencies are not configured: the key enforcement.emergency.operators of the authority names who may start an emergency',
      },
    });
  });

  it('start none without a policy set: nothing would be observed', async () => {
    await bench.close();
    await start({ catalog: deny('policy.unavailable', 'no policies are loaded') });
    expect(await begin({})).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
  });

  it('start under a set that has expired, with the servers of its catalog', async () => {
    const catalog = bench.services.lastCatalog();
    await bench.close();
    await start({ catalog: deny('policy.expired', 'the policy set expired'), lastCatalog: () => catalog });
    expect(await begin({ servers: ['payments'] })).toMatchObject({ status: 201, json: { servers: ['payments'] } });
    expect(await begin({ servers: ['paymets'] })).toMatchObject({ status: 400 });
  });

  it.each<[string, object, RegExp]>([
    ['no agents', { agents: [] }, /agents/],
    ['65 agents', { agents: Array.from({ length: 65 }, (_, n) => `spiffe://acme.test/a${n}`) }, /agents/],
    ['an agent that is none', { agents: ['planner'] }, /agents/],
    ['all agents at every server', { agents: ['*'] }, /are all, at every server: name the servers, or the agents/],
    ['all agents by a pattern', { agents: ['spiffe://acme.test/ns/*/sa/*'] }, /are all, at every server/],
    ['an unknown server', { servers: ['paymets'] }, /paymets is neither in the catalog nor a host: .*payments/],
    ['no servers', { servers: [] }, /servers/],
    ['no minute', { minutes: 0 }, /minutes/],
    ['more than an hour', { minutes: 61 }, /minutes/],
    ['half a minute', { minutes: 0.5 }, /minutes/],
    ['no cause', { because: '' }, /because/],
    ['a long cause', { because: 'x'.repeat(201) }, /because/],
    ['control characters', { because: 'a\u001B[2J' }, /because/],
    ['an unknown member', { until: '2027-01-01' }, /until/],
  ])('refuse %s', async (_name, body, why) => {
    const refused = await begin(body);
    expect([refused.status, refused.json['error']]).toEqual([400, 'invalid_request']);
    expect(refused.json['error_description']).toMatch(why);
    expect(must(bench.store.ordersInForce()).list).toEqual([]);
  });

  it.each<[string, object]>([
    ['all agents at a server', { agents: ['*'], servers: ['payments'] }],
    ['a host that the catalog lacks', { servers: ['legacy.acme.test', '*.old.acme.test'] }],
    ['an hour', { minutes: 60 }],
  ])('accept %s', async (_name, body) => {
    expect((await begin(body)).status).toBe(201);
  });

  it('neither show nor end stops, and what is over', async () => {
    must(bench.store.putOrder(stopOrder(), []));
    const nowMs = bench.store.nowMs();
    must(bench.store.putOrder(observeOrder({ madeAtMs: nowMs - 60_000, untilMs: nowMs }), []));
    expect((await list()).json).toEqual({ emergencies: [] });
    expect((await end(stopOrder().id)).status).toBe(404);
    expect((await end(observeOrder().id)).status).toBe(404);
  });

  it('start at most 64 at once', async () => {
    const nowMs = bench.store.nowMs();
    for (let n = 0; n < 64; n += 1) {
      const id = String(n).padStart(16, '0');
      expect(bench.store.putOrder(observeOrder({ id, madeAtMs: nowMs, untilMs: nowMs + 600_000 }), [])).toBeNull();
    }
    expect((await begin({})).status).toBe(400);
  });
});
