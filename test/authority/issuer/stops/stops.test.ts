// Issue 42, points 1 and 2: stops at the issuer.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import type { StopOrder } from '../../../../src/core/order/order.ts';
import type { Receipt } from '../../../../src/core/fleet/receipt.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { stopOrder } from '../../../builders/order.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { type Answer, type Bench, details, startBench } from '../bench.ts';
import { newTask, signalServices } from '../signals/transmitter.ts';

const plannerId = 'spiffe://acme.test/ns/agents/sa/planner';
const reporterId = 'spiffe://acme.test/ns/agents/sa/reporter';
const operatorId = 'spiffe://acme.test/ns/ops/sa/operator';

const folder = testFolders();
let bench: Bench;
let operator: IssuedCertificate;
let receipts: string[][] = [];
const enforced: Receipt = { enforced: true, holders: 3, acknowledged: 2, fenced: 1 };

beforeEach(async () => {
  receipts = [];
  bench = await startBench(folder(), {
    signals: signalServices({}),
    settings: { operators: new Set([mustSpiffeId(operatorId)]), introspectors: new Set([mustSpiffeId(reporterId)]) },
    enforcement: {
      enforced: async (roots) => {
        receipts.push([...roots]);
        return enforced;
      },
      monotonicMs: () => 0,
    },
  });
  operator = await bench.authority.svid('/ns/ops/sa/operator');
});
afterEach(() => bench.close());

const json = { 'content-type': 'application/json' };
const make = (stop: object, as = operator, query = ''): Promise<Answer> =>
  bench.ask(`/stops${query}`, {
    method: 'POST',
    as,
    headers: json,
    body: JSON.stringify({ because: 'INC-42', ...stop }),
  });
const lift = (id: string, as = operator): Promise<Answer> => bench.ask(`/stops/${id}`, { method: 'DELETE', as });
const list = (as = operator): Promise<Answer> => bench.ask('/stops', { as });
const put = (stop: Partial<StopOrder>): void => void must(bench.store.putOrder(stopOrder(stop), []));

const refusedBy = (reason: string) => ({ status: 403, json: { error: 'access_denied', reason, next: 'stop' } });

describe('the endpoints of stops', () => {
  it('make, list and lift a stop for an operator, with a receipt each', async () => {
    const made = await make({ kind: 'agent', what: plannerId, minutes: 30 });
    expect(made).toMatchObject({
      status: 201,
      json: {
        kind: 'agent',
        what: plannerId,
        by: operatorId,
        because: 'INC-42',
        enforcement: { ...enforced, ms: 0 },
      },
    });
    const { id, made: at, until } = made.json;
    const heldMs = Date.parse(String(until)) - Date.parse(String(at));
    // The two clocks are read one after the other.
    expect(heldMs).toBeGreaterThanOrEqual(30 * 60_000);
    expect(Math.round(heldMs / 60_000)).toBe(30);
    const { enforcement: _receipt, ...shown } = made.json;
    expect((await list()).json).toEqual({ stops: [shown] });
    expect(await lift(String(id))).toMatchObject({ status: 200, json: { id, enforcement: enforced } });
    expect((await list()).json).toEqual({ stops: [] });
    expect(receipts).toEqual([['orders'], ['orders']]);
    expect((await lift(String(id))).status).toBe(404);
  });

  it('record both with the operator, the cause and the receipt', async () => {
    const { json: made } = await make({ kind: 'all' });
    await lift(String(made['id']));
    const records = must(bench.store.outbox(0, 100)).map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()));
    expect(records).toMatchObject([
      { kind: 'event', event: 'order-made', cause: 'operator.stopped', note: 'INC-42', by: operatorId },
      {
        kind: 'event',
        event: 'receipt',
        details: { order: made['id'], change: 'order-made', enforced: true, holders: 3 },
      },
      { kind: 'event', event: 'order-lifted', cause: 'operator.lifted', by: operatorId },
      { kind: 'event', event: 'receipt', details: { order: made['id'], change: 'order-lifted' } },
    ]);
  });

  it('wait for no receipt with `?wait=committed`', async () => {
    const made = await make({ kind: 'all' }, operator, '?wait=committed');
    expect([made.status, made.json['enforcement'], receipts]).toEqual([201, undefined, []]);
  });

  it('are for operators alone', async () => {
    put({ kind: 'agent', what: plannerId });
    const answers = await Promise.all([
      make({ kind: 'agent', what: reporterId }, bench.planner),
      list(bench.planner),
      lift(stopOrder().id, bench.planner),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect((await list()).json['stops']).toHaveLength(1);
  });

  it.each<[string, StopOrder['kind'], string]>([
    ['itself', 'agent', operatorId],
    ['a pattern that covers it', 'agent', operatorId.replace(/[^/]+$/, '*')],
    ['itself as a user', 'user', operatorId],
    ['itself as a user of an issuer', 'user', `spiffe://acme.test ${operatorId}`],
  ])('let no operator lift a stop of %s', async (_what, kind, what) => {
    put({ kind, what });
    expect(await lift(stopOrder().id)).toMatchObject({ status: 403, json: { error: 'access_denied' } });
  });

  it.each<[string, object, RegExp]>([
    ['an unknown kind', { kind: 'tool', what: 'x' }, /kind/],
    ['no cause', { kind: 'all', because: '' }, /because/],
    ['an end that is too far', { kind: 'all', minutes: 525_601 }, /minutes/],
    ['an agent that is no SPIFFE ID', { kind: 'agent', what: 'planner' }, /SPIFFE ID/],
    ['something with everything', { kind: 'all', what: 'x' }, /what/],
    [
      'a server that the catalog lacks',
      { kind: 'server', what: 'paiments' },
      /no server .paiments.; did you mean .payments.\?/,
    ],
    ['an action that the catalog lacks', { kind: 'action', what: 'payments.raed' }, /did you mean .payments.read./],
    ['an unknown member', { kind: 'all', agent: 'x' }, /agent/],
  ])('refuse %s', async (_what, stop, description) => {
    const answer = await make(stop);
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    expect(answer.json['error_description']).toMatch(description);
  });

  it('answer other methods with those that there are', async () => {
    const answer = await bench.ask('/stops', { method: 'PUT', as: operator });
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, HEAD, POST']);
  });
});

describe('the issuer, while there is a stop', () => {
  it.each<[Partial<StopOrder>, string]>([
    [{ kind: 'all', what: '' }, 'stopped.all'],
    [{ kind: 'agent', what: plannerId }, 'stopped.agent'],
    [{ kind: 'agent', what: 'spiffe://acme.test/ns/agents/*' }, 'stopped.agent'],
    [{ kind: 'user', what: plannerId }, 'stopped.user'],
    [{ kind: 'server', what: 'payments' }, 'stopped.server'],
    [{ kind: 'action', what: 'payments.read' }, 'stopped.action'],
  ])('declares no task: %j', async (stop, reason) => {
    put(stop);
    const answer = await bench.token();
    expect(answer).toMatchObject(refusedBy(reason));
    expect(answer.headers['retry-after']).toBeUndefined();
    expect(bench.refusals.at(-1)).toMatchObject({ kind: 'intent', decision: 'deny', reason });
    expect(must(bench.store.openTasks({}, 10))).toEqual([]);
  });

  it('declares what it does not concern', async () => {
    put({ kind: 'agent', what: reporterId });
    put({ id: '00000000000000a2', kind: 'action', what: 'payments.read' });
    const both = details({ actions: ['payments.list', 'payments.read'] });
    expect((await bench.token({ authorization_details: both })).status).toBe(200);
  });

  it('gives no token by renewal, exchange, refresh or preview, and calls none alive', async () => {
    const first = (await bench.token()).json;
    const [token, id, refresh] = [String(first['access_token']), String(first['txn']), String(first['refresh_token'])];
    const introspected = () => bench.form('/oauth/introspect', { token }, bench.reporter);
    expect((await introspected()).json['active']).toBe(true);
    put({ kind: 'agent', what: plannerId });
    const answers = await Promise.all([
      bench.ask(`/tasks/${id}/token`, { method: 'POST' }),
      bench.exchange(token),
      bench.form('/oauth/token', { grant_type: 'refresh_token', refresh_token: refresh }),
    ]);
    for (const answer of answers) expect(answer).toMatchObject(refusedBy('stopped.agent'));
    expect((await introspected()).json).toEqual({ active: false });
    expect((await bench.form('/oauth/introspect', { token: refresh })).json).toEqual({ active: false });
    mustFind(bench.store.liftOrder(stopOrder().id, []));
    expect((await bench.ask(`/tasks/${id}/token`, { method: 'POST' })).status).toBe(200);
  });

  it('gives no part of a task of a stopped agent, user or ancestor to another agent', async () => {
    const first = (await bench.token()).json;
    const handed = await bench.exchange(String(first['access_token']), { delegate: reporterId });
    const subject = String(handed.json['access_token']);
    put({ kind: 'agent', what: plannerId });
    expect(await bench.exchange(subject, {}, bench.reporter)).toMatchObject(refusedBy('stopped.agent'));
    mustFind(bench.store.liftOrder(stopOrder().id, []));
    const part = await bench.exchange(subject, {}, bench.reporter);
    expect(part.status).toBe(200);
    put({ id: '00000000000000a2', kind: 'agent', what: plannerId });
    const further = await bench.ask(`/tasks/${String(part.json['txn'])}/token`, { method: 'POST', as: bench.reporter });
    expect(further).toMatchObject(refusedBy('stopped.agent'));
  });

  it('renews no task on behalf of a stopped user, whoever vouched for that user', async () => {
    const { task } = newTask(bench.store, { subject: 'alice' });
    put({ kind: 'user', what: 'https://idp.acme.test alice' });
    expect(await bench.ask(`/tasks/${task.id}/token`, { method: 'POST' })).toMatchObject(refusedBy('stopped.user'));
  });

  it('lets tasks be ended', async () => {
    const { task } = newTask(bench.store);
    put({ kind: 'all', what: '' });
    expect((await bench.ask(`/tasks/${task.id}/complete`, { method: 'POST' })).status).toBe(200);
  });
});
