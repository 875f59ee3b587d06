// Issue 42, point 4: signals that stop an agent or a user.
import { describe, expect, it } from '@jest/globals';
import type { StopEffect } from '../../../../src/authority/issuer/signals/effects.ts';
import type { StopOrder } from '../../../../src/core/order/order.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { type Bench, issuerUrl, startBench } from '../bench.ts';
import { eventUri, newTask, push, setOf, signalServices, taskNow, transmitterIssuer } from './transmitter.ts';

const folder = testFolders();

const planner = 'spiffe://acme.test/ns/agents/sa/planner';

async function withStops(effect: StopEffect, act: (bench: Bench) => Promise<void>, stopMinutes: number | null = null) {
  const bench = await startBench(folder(), {
    signals: { ...signalServices({ 'session-revoked': effect, 'risk-level-change': effect }), stopMinutes },
    enforcement: {
      enforced: async () => ({ enforced: true, holders: 1, acknowledged: 1, fenced: 0 }),
      monotonicMs: () => 0,
    },
  });
  try {
    await act(bench);
  } finally {
    await bench.close();
  }
}

const stopsOf = ({ store }: Bench): readonly StopOrder[] =>
  must(store.ordersInForce()).list.filter((order) => order.of === 'stop');
const whatOf = (bench: Bench) => stopsOf(bench).map(({ kind, what }) => `${kind} ${what}`);

const agentNumber = (n: number) => mustSpiffeId(`spiffe://acme.test/ns/agents/sa/a-${n}`);

const uri = (id: string) => ({ format: 'uri', uri: id });

describe('a signal', () => {
  const user = { format: 'iss_sub', iss: transmitterIssuer, sub: 'alice' };

  it.each<[string, StopEffect, object, readonly string[]]>([
    ['a SPIFFE ID', 'stop-agent', uri(planner), [`agent ${planner}`]],
    ['an application', 'stop-agent', { format: 'complex', application: uri(planner), user }, [`agent ${planner}`]],
    ['issuer and subject', 'stop-user', user, [`user ${transmitterIssuer} alice`]],
    [
      'a user among other members',
      'stop-user',
      { format: 'complex', application: uri(planner), user },
      [`user ${transmitterIssuer} alice`],
    ],
    [
      'an e-mail',
      'stop-user',
      { format: 'email', email: 'Alice@acme.test' },
      ['user Alice@acme.test', 'user alice@acme.test'],
    ],
  ])('stops by %s: %s', async (_what, effect, subject, stops) => {
    await withStops(effect, async (bench) => {
      const { task } = newTask(bench.store, { subject: 'alice' });
      expect((await push(bench, setOf({ sub_id: subject }))).status).toBe(202);
      expect(whatOf(bench).toSorted()).toEqual([...stops]);
      expect(stopsOf(bench)[0]).toMatchObject({
        by: transmitterIssuer,
        because: 'signal session-revoked',
        untilMs: null,
      });
      // Ended tasks would not go on once the stop is lifted.
      expect(taskNow(bench.store, task).state).toBe('active');
      expect((await bench.token()).status).toBe(effect === 'stop-agent' ? 403 : 200);
    });
  });

  it('stops the agent or the user of the token or task that it names', async () => {
    for (const [effect, stop] of [
      ['stop-agent', `agent ${planner}`],
      ['stop-user', 'user alice'],
    ] as const) {
      await withStops(effect, async (bench) => {
        const { task, tokenId } = newTask(bench.store, { subject: 'alice' });
        await push(bench, setOf({ sub_id: { format: 'jwt_id', iss: issuerUrl, jti: tokenId } }));
        await push(bench, setOf({ sub_id: { format: 'opaque', id: task.id } }));
        expect(new Set(whatOf(bench))).toEqual(new Set([stop]));
      });
    }
  });

  it('holds for the minutes that the operator set', async () => {
    await withStops(
      'stop-user',
      async (bench) => {
        await push(bench, setOf());
        const [stop] = stopsOf(bench);
        expect((stop?.untilMs ?? 0) - (stop?.madeAtMs ?? 0)).toBeGreaterThanOrEqual(5 * 60_000);
      },
      5,
    );
  });

  it.each<[string, StopEffect, object]>([
    ['a user', 'stop-agent', user],
    ['an opaque user', 'stop-agent', { format: 'opaque', id: 'alice' }],
    ['an opaque user among members', 'stop-agent', { format: 'complex', user: { format: 'opaque', id: 'alice' } }],
    ['a session', 'stop-agent', { format: 'complex', user, session: { format: 'opaque', id: 's-1' } }],
    ['a session', 'stop-user', { format: 'complex', session: { format: 'opaque', id: 's-1' } }],
  ])('by %s stops nobody with `%s`, and revokes all its tasks instead', async (_what, effect, subject) => {
    await withStops(effect, async (bench) => {
      const of = { subject: 'alice', claimed: { session: 's-1' } };
      const tasks = Array.from({ length: 18 }, (_, n) => newTask(bench.store, { ...of, agent: agentNumber(n) }).task);
      const { task: other } = newTask(bench.store, { subject: 'bob' });
      expect((await push(bench, setOf({ sub_id: subject }))).status).toBe(202);
      expect(whatOf(bench)).toEqual([]);
      expect(new Set(tasks.map((task) => taskNow(bench.store, task).state))).toEqual(new Set(['revoked']));
      expect(taskNow(bench.store, other).state).toBe('active');
    });
  });

  it('stops a user by an opaque subject, once for many tasks', async () => {
    await withStops('stop-user', async (bench) => {
      for (let n = 0; n < 3; n += 1) newTask(bench.store, { subject: 'alice', agent: agentNumber(n) });
      await push(bench, setOf({ sub_id: { format: 'opaque', id: 'alice' } }));
      expect(whatOf(bench)).toEqual(['user alice']);
    });
  });

  it('stops nobody by a user of an issuer that its transmitter may not name, nor if it takes nothing away', async () => {
    await withStops('stop-user', async (bench) => {
      await push(bench, setOf({ sub_id: { ...user, iss: 'https://other.test' } }));
      const lower = { [eventUri('risk-level-change')]: { principal: 'USER', current_level: 'LOW' } };
      await push(bench, setOf({ events: lower }));
      expect(whatOf(bench)).toEqual([]);
    });
  });

  it('makes a single stop, however often it is delivered, and no further stop once that is lifted', async () => {
    await withStops('stop-user', async (bench) => {
      const set = setOf();
      await Promise.all([push(bench, set), push(bench, set)]);
      const [stop, ...more] = stopsOf(bench);
      expect(more).toEqual([]);
      mustFind(bench.store.liftOrder(stop?.id ?? '', []));
      expect((await push(bench, set)).status).toBe(202);
      expect(stopsOf(bench)).toEqual([]);
    });
  });

  it('is recorded with its effect, and its stop with the transmitter and a receipt', async () => {
    await withStops('stop-user', async (bench) => {
      await push(bench, setOf());
      const records = must(bench.store.outbox(0, 100)).map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()));
      expect(records).toMatchObject([
        { event: 'order-made', by: transmitterIssuer, details: { kind: 'user' } },
        { event: 'signal', cause: 'signal.session-revoked', details: { effect: 'stop-user' } },
        { event: 'receipt', details: { change: 'order-made', enforced: true } },
      ]);
    });
  });
});
