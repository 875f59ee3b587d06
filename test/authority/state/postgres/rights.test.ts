import type { LimitSpend } from '../../../../src/core/limit/limit-spend.ts';
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import { stopBySignal } from '../../../../src/authority/issuer/signals/stop.ts';
import { openPostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import type { PostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import { orderLimits } from '../../../../src/core/order/order.ts';
import { UNSEALED } from '../../../../src/core/order/unsealed.ts';
import { encodedRecord } from '../../../../src/core/ledger/encoded-record.ts';
import { signalLimits } from '../../../../src/core/state/signal-queue.ts';
import { migratePostgres } from '../../../../src/authority/state/postgres/migrate.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { openAttack } from '../../../postgres/opening.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { OWNER, PostgresPlaces } from '../../../postgres/places.ts';

const limitSpend = (of: Partial<LimitSpend>): LimitSpend => ({
  kind: 'limit',
  limit: 'a-day',
  measure: 'calls',
  who: '[]',
  windowMs: 86_400_000,
  amount: 1,
  max: 9,
  effect: 'deny',
  ...of,
});
const ofLimits = (decisionId: string) => ({ decisionId, key: null, jtiDigest: '' });
const limited = (n: number, amount = 1) => ({ ...ofLimits(`d-${n}`), spends: [limitSpend({ amount, max: 3 })] });

/** Adds signals that no authority wrote. */
const junkSignals = (count: number): string => `INSERT INTO remit.signals (receiver, at_ms, rank, bytes)
  SELECT 'siem', (extract(epoch FROM now()) * 1000)::bigint, 2, '{}' FROM generate_series(1, ${count})`;

const folder = testFolders();
const HOUR_MS = 3_600_000;
const key = { issuer, id: taskNumber(1).id };

// Issue 37, point 11.
describeWith(postgresPart(), 'what the login of the authorities may not do', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  const closers: (() => unknown)[] = [];
  beforeAll(() => places.start());
  // A server has 100 connections, and an idle one is closed after 10 s only.
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });
  afterAll(() => places.stop());

  const open = async (
    url: string,
    {
      stateKey = null,
      forged = [],
      aheadMs = 0,
      receivers = [],
    }: { stateKey?: Uint8Array | null; forged?: string[]; aheadMs?: number; receivers?: string[] },
  ): Promise<PostgresState> => {
    const state = must(
      await openPostgresState({
        target: must(postgresTargetFrom(url)),
        durability: 'single',
        clocks: agreeing(() => Date.now() + aheadMs),
        randomBytes,
        address: '',
        askMs: 60_000,
        stateKey,
        receivers,
        onForged: (what) => forged.push(what),
      }),
    );
    closers.push(() => state.close());
    return state;
  };

  /** A state with task 1, its token and what it has used, and the login. */
  const opened = async (stateKey: Uint8Array | null = null) => {
    const url = await places.next();
    const forged: string[] = [];
    const state = await open(url, { stateKey, forged });
    const nowMs = Date.now();
    const times = { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + HOUR_MS };
    const token = { ...tokenNumber(1), issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS / 2 };
    expect(await state.authority.insertTask(taskNumber(1, times), token, [])).toBeNull();
    const entry = { version: 0, action: 'a.read', labels: ['seen'] };
    const use = { decisionId: 'd-1', key, jtiDigest: token.jtiDigest, spends: [{ kind: 'calls', limit: 9 }] as const };
    expect(await state.settling.settle({ ...use, entry })).toBeNull();
    const distinct = limitSpend({ measure: 'distinct', value: 'v'.repeat(43) });
    const spends = [limitSpend({}), distinct];
    expect(await state.settling.settle({ ...ofLimits('d-0'), spends })).toEqual({ left: [8, 8] });
    expect(await state.authority.rememberOnce('signal', 'one', nowMs + HOUR_MS)).toBe('new');
    expect(await state.authority.putOrder(stopOrder(), [])).toBeNull();
    const attack = await openAttack(url, closers);
    return { state, url, forged, attack };
  };

  it.each([
    ['widen an intent', `UPDATE remit.tasks SET details = '[1]'`, 'a task only moves forward'],
    [
      'give a task to another agent',
      `UPDATE remit.tasks SET agent = 'spiffe://acme.test/x'`,
      'a task only moves forward',
    ],
    ['live longer', 'UPDATE remit.tasks SET deadline_ms = deadline_ms + 1', 'a task only moves forward'],
    ['bind a token to another key', `UPDATE remit.tokens SET bound_to = 'x'`, 'a token does not change'],
    ['delete a token', 'DELETE FROM remit.tokens', 'a token'],
    ['delete a task', 'DELETE FROM remit.tasks', 'an open task is not deleted'],
    ['refund a budget', 'UPDATE remit.budgets SET spent = 0', 'what was spent stays spent'],
    ['delete a budget', 'DELETE FROM remit.budgets', 'what was used of a task is kept'],
    ['refund a limit', 'UPDATE remit.limit_counts SET used = 0', 'what was used of a limit stays used'],
    ['move a limit', `UPDATE remit.limit_counts SET counter = 'x'`, 'what was used of a limit stays used'],
    ['delete a limit', 'DELETE FROM remit.limit_counts', 'what was used of a limit is kept'],
    ['change a value of a limit', `UPDATE remit.limit_values SET digest = 'x'`, 'a value of a limit does not change'],
    ['delete a value of a limit', 'DELETE FROM remit.limit_values', 'what was used of a limit is kept'],
    ['forget a label', `UPDATE remit.histories SET version = version + 1, labels = '[]'`, 'a history only grows'],
    ['delete a history', 'DELETE FROM remit.histories', 'what was used of a task is kept'],
    ['forget a signal', 'DELETE FROM remit.remembered', 'a key is remembered until its time'],
    ['let a signal be new', 'UPDATE remit.remembered SET until_ms = 0', 'a key is remembered until its time'],
    ['delete a stop', 'DELETE FROM remit.orders', 'a stop is not deleted before its time is over'],
    ['end a stop', 'UPDATE remit.orders SET until_ms = 0', 'an order does not change'],
    [
      'turn a stop to another',
      `UPDATE remit.orders SET body = replace(body, 'planner', 'x')`,
      'an order does not change',
    ],
    ['lift stops with a seal of its own', 'UPDATE remit.orders SET lift_digest = NULL', 'an order does not change'],
    ['hide a stop by an earlier number', 'UPDATE remit.orders_head SET version = version', 'changes of orders rises'],
    ['skip a number of orders', 'UPDATE remit.orders_head SET version = version + 2', 'changes of orders rises by one'],
    [
      'hide stops by a huge number',
      'UPDATE remit.orders_head SET version = 1::bigint << 60',
      'changes of orders rises',
    ],
    ['empty a table', 'TRUNCATE remit.remembered', 'permission denied'],
    ['empty the records', 'TRUNCATE remit.outbox', 'permission denied'],
    ['forget revoked keys', 'DELETE FROM remit.revoked_keys', 'permission denied'],
    ['drop a trigger', 'ALTER TABLE remit.tasks DISABLE TRIGGER ALL', 'must be owner'],
  ])('%s', async (_name, text, refusal) => {
    const { attack } = await opened();
    expect(await attack(text)).toContain(refusal);
  });

  // A function of the owner in a trigger of a table of the login would run the casts of that table as the owner.
  it('run code as the owner of the tables', async () => {
    const { attack, url } = await opened();
    await places.sql(url, `INSERT INTO remit.revoked_keys VALUES ('k')`);
    const made = [
      'CREATE TYPE pg_temp.own AS (v int)',
      `CREATE FUNCTION pg_temp.run(pg_temp.own) RETURNS bigint LANGUAGE plpgsql AS
        $$ BEGIN DELETE FROM remit.revoked_keys; RETURN 0; END $$`,
      'CREATE CAST (pg_temp.own AS bigint) WITH FUNCTION pg_temp.run(pg_temp.own) AS IMPLICIT',
      'CREATE TABLE pg_temp.mine (deadline_ms pg_temp.own)',
    ];
    for (const text of made) expect(await attack(text)).toBe('null rows');
    const trigger = 'CREATE TRIGGER t BEFORE DELETE ON pg_temp.mine FOR EACH ROW EXECUTE FUNCTION remit.task_is_over()';
    const added = await attack(trigger);
    await attack('INSERT INTO pg_temp.mine VALUES (ROW(1))');
    await attack('DELETE FROM pg_temp.mine');
    expect(added).toContain('permission denied for function');
    expect(await places.sql(url, 'SELECT kid FROM remit.revoked_keys')).toEqual([{ kid: 'k' }]);
  });

  it('resumes no task without a new generation', async () => {
    const { state, attack } = await opened();
    await state.authority.applyTaskEvent(key, byOperator('suspend'), 'operator');
    const active = `state = 'active', cause = NULL, cause_note = NULL`;
    expect(await attack(`UPDATE remit.tasks SET ${active}`)).toBe('a task only moves forward');
    expect(await state.authority.applyTaskEvent(key, byOperator('resume'), 'operator')).toMatchObject({
      changed: true,
    });
  });

  it('deletes no ended task before its deadline, and pruning deletes it after', async () => {
    const { state, attack, url } = await opened();
    await state.authority.applyTaskEvent(key, byOperator('complete'), 'operator');
    expect(await attack('DELETE FROM remit.tokens')).toBe('a token is not deleted before it expires');
    await state.authority.forget(1_000);
    expect(await state.authority.prune(0)).toMatchObject({ tasks: 0 });
    // As two hours later.
    for (const table of ['tasks', 'tokens']) await places.sql(url, `ALTER TABLE remit.${table} DISABLE TRIGGER USER`);
    await places.sql(url, `UPDATE remit.tasks SET ended_ms = 1, deadline_ms = 1`);
    await places.sql(url, 'UPDATE remit.tokens SET expires_ms = 1');
    for (const table of ['tasks', 'tokens']) await places.sql(url, `ALTER TABLE remit.${table} ENABLE TRIGGER USER`);
    expect(await state.authority.prune(0)).toMatchObject({ tasks: 1 });
  });

  it('lets an authority whose clock is ahead of the database remember what it asked for before, and prune', async () => {
    const { url } = await opened();
    const { authority } = await open(url, { aheadMs: 3_000 });
    // A signal is looked up by an entry that expires at once, and remembered once it has had its effect.
    expect(await authority.rememberOnce('signal', 'two', authority.floorMs())).toBe('new');
    expect(await authority.rememberOnce('signal', 'two', authority.floorMs() + HOUR_MS)).toBe('new');
    expect(await authority.rememberOnce('signal', 'two', authority.floorMs() + HOUR_MS)).toBe('seen');
    expect(await authority.rememberOnce('signal', 'three', authority.floorMs())).toBe('new');
    expect(await authority.prune(0)).toEqual({ tasks: 0, isMore: false });
  });

  it('with a key of the state: a row that no authority wrote is not there, and is named', async () => {
    const stateKey = randomBytes(32);
    const { state, attack, forged, url } = await opened(stateKey);
    const id = taskNumber(7).id;
    const copy = (change: object): string =>
      `INSERT INTO remit.tasks SELECT (json_populate_record(t, '${JSON.stringify(change)}')).* FROM remit.tasks t WHERE id = '${key.id}'`;
    expect(await attack(copy({ id, root: id }))).toBe('1 rows');
    const other = { issuer, id };
    expect(await state.authority.taskOf(issuer, id)).toBeUndefined();
    expect(must(await state.feed.cards([{ key: other, jtiDigests: [] }])).cards).toEqual([null]);
    expect(await state.authority.insertToken(other, tokenNumber(7), [])).not.toBeNull();
    expect(await state.authority.applyTaskEvent(other, byOperator('complete'), 'operator')).toBeUndefined();
    expect(must(await state.reader.tasks({})).map((task) => task.id)).toEqual([key.id]);
    expect(forged[0]).toBe(`task ${id}`);
    const token = `INSERT INTO remit.tokens SELECT (json_populate_record(t, '{"jti_digest":"mine"}')).* FROM remit.tokens t`;
    expect(await attack(token)).toBe('1 rows');
    expect(await state.authority.tokenOf('mine')).toBeUndefined();
    expect(must(await state.feed.cards([{ key, jtiDigests: ['mine', 'digest-1'] }])).cards[0]?.tokens).toHaveLength(1);
    // Another authority with the same key sees the same; with another key it sees none of them.
    expect(await (await open(url, { stateKey })).authority.taskOf(issuer, key.id)).toMatchObject({ state: 'active' });
    expect(await (await open(url, { stateKey: randomBytes(32) })).authority.taskOf(issuer, key.id)).toBeUndefined();
  });

  it.each([
    ['counts without a key of the state', false],
    ['does not count with a key of the state, and is named', true],
  ])('what the login gives back of a budget %s', async (_what, hasKey) => {
    const { state, attack, forged } = await opened(hasKey ? randomBytes(32) : null);
    const use = (n: number, count = 1) => ({
      decisionId: `d-${n}`,
      key,
      jtiDigest: 'digest-1',
      spends: [{ kind: 'calls', limit: 3, count }] as const,
    });
    expect(await state.settling.settle(use(2, 2))).toBeNull();
    expect(await state.settling.settle(use(3))).toMatchObject({ problem: 'exhausted' });
    // What an authority gives back counts, and stays.
    expect(await state.settling.giveBack(use(2, 2))).toBe(true);
    expect(await state.settling.settle(use(4, 2))).toBeNull();
    expect(await attack('UPDATE remit.budgets SET given = given + 1')).toBe('1 rows');
    const settled = await state.settling.settle(use(5));
    expect(settled).toEqual(hasKey ? expect.objectContaining({ problem: 'exhausted' }) : null);
    expect(forged).toEqual(hasKey ? [`what was given back of task ${key.id}`] : []);
    expect(await attack('UPDATE remit.budgets SET given = spent + 1')).toContain('budgets_given');
  });

  it.each([
    ['counts without a key of the state', false],
    ['does not count with a key of the state, and is named', true],
  ])('what the login gives back of a limit %s', async (_what, hasKey) => {
    const { state, attack, forged } = await opened(hasKey ? randomBytes(32) : null);
    // One is used before.
    expect(await state.settling.settle(limited(2, 2))).toEqual({ left: [0] });
    expect(await state.settling.settle(limited(3))).toMatchObject({ problem: 'limit' });
    expect(await state.settling.giveBack(limited(2, 2))).toBe(true);
    expect(await state.settling.settle(limited(4, 2))).toEqual({ left: [0] });
    expect(await attack(`UPDATE remit.limit_counts SET given = given + 1 WHERE measure = 'calls'`)).toBe('1 rows');
    const settled = await state.settling.settle(limited(5));
    expect(settled).toEqual(hasKey ? expect.objectContaining({ problem: 'limit' }) : { left: [0] });
    expect(forged).toEqual(hasKey ? ['what was given back of limit a-day'] : []);
  });

  // Issue 42: a row of orders could be deleted by the login.
  it.each([
    ['with a key of the state', true],
    ['without a key', false],
  ])('%s: a stop is lifted by an authority, and not by its login, and leaves no row', async (_name, hasKey) => {
    const { state, attack, forged, url } = await opened(hasKey ? randomBytes(32) : null);
    expect(await attack(`UPDATE remit.orders SET lifted = ''`)).toBe('1 rows');
    expect(await attack('UPDATE remit.orders_head SET version = version + 1')).toBe('1 rows');
    const inForce = async () => must(await state.authority.ordersInForce()).list.map(({ id }) => id);
    expect([await inForce(), forged]).toEqual(
      hasKey ? [[stopOrder().id], [`the end of stop ${stopOrder().id}`]] : [[], []],
    );
    expect(await state.authority.liftOrder(stopOrder().id, [])).toEqual(hasKey ? stopOrder() : undefined);
    const next = stopOrder({ id: '00000000000000ab' });
    expect(await state.authority.putOrder(next, [])).toBeNull();
    expect(await inForce()).toEqual([next.id]);
    expect(await state.authority.liftOrder(next.id, [])).toEqual(next);
    expect(await state.authority.liftOrder(next.id, [])).toBeUndefined();
    expect(await inForce()).toEqual([]);
    // What the login lifted without a key it may delete too.
    expect(await places.sql(url, 'SELECT id FROM remit.orders')).toEqual(hasKey ? [] : [{ id: stopOrder().id }]);
    expect(await attack('DELETE FROM remit.orders')).toBe(hasKey ? '0 rows' : '1 rows');
  });

  it('with a key of the state: a stop of an earlier version is lifted by an authority, and not by its login', async () => {
    const { state, attack, forged, url } = await opened(randomBytes(32));
    await places.sql(url, 'ALTER TABLE remit.orders DISABLE TRIGGER USER');
    await places.sql(url, 'UPDATE remit.orders SET lift_digest = NULL');
    await places.sql(url, 'ALTER TABLE remit.orders ENABLE TRIGGER USER');
    expect(await attack(`UPDATE remit.orders SET lifted = ''`)).toBe('1 rows');
    expect(await attack('UPDATE remit.orders_head SET version = version + 1')).toBe('1 rows');
    const inForce = async () => must(await state.authority.ordersInForce()).list.map(({ id }) => id);
    expect([await inForce(), forged]).toEqual([[stopOrder().id], [`the end of stop ${stopOrder().id}`]]);
    expect(await state.authority.liftOrder(stopOrder().id, [])).toEqual(stopOrder());
    expect(await inForce()).toEqual([]);
    expect(await attack('DELETE FROM remit.orders')).toContain('a stop is not deleted');
  });

  it('with a key of the state: a stop that the login lifted is not deleted by a migration', async () => {
    const stateKey = randomBytes(32);
    const { state, attack, url } = await opened(stateKey);
    expect(await attack(`UPDATE remit.orders SET lifted = ''`)).toBe('1 rows');
    await state.close();
    const owner = must(postgresTargetFrom(places.url(new URL(url).pathname.slice(1), OWNER)));
    must(await migratePostgres(owner, { grant: null, sealKey: stateKey, randomBytes, askMs: 60_000 }));
    const again = await open(url, { stateKey });
    expect(must(await again.authority.ordersInForce()).list).toEqual([stopOrder()]);
  });

  it.each([
    ['with a key of the state: stops that the login writes hold, and leave room for others', true],
    ['without a key: stops that the login writes fill up what may be in force', false],
  ])('%s', async (_name, hasKey) => {
    const { state, attack } = await opened(hasKey ? randomBytes(32) : null);
    const id = `lpad(to_hex(n), 16, '0')`;
    const junk = `INSERT INTO remit.orders (id, of, until_ms, body) SELECT ${id}, of, until_ms, replace(body, id, ${id})
      FROM remit.orders, generate_series(4096, ${4_095 + orderLimits.maxInForce}) n`;
    expect(await attack(junk)).toBe(`${orderLimits.maxInForce} rows`);
    expect(await attack('UPDATE remit.orders_head SET version = version + 1')).toBe('1 rows');
    const next = stopOrder({ id: '00000000000000ab', what: 'spiffe://acme.test/ns/agents/sa/other' });
    const put = await state.authority.putOrder(next, []);
    expect(put).toEqual(hasKey ? null : expect.objectContaining({ code: 'full' }));
    expect(must(await state.authority.ordersInForce()).list).toHaveLength(orderLimits.maxInForce + (hasKey ? 2 : 1));
  });

  it.each([
    ['with a key of the state', true],
    ['without a key', false],
  ])('%s: an order with the id of another is not there, and the other is lifted by its id', async (_name, hasKey) => {
    const sealKey = hasKey ? randomBytes(32) : null;
    const { state, attack, forged, url } = await opened(sealKey);
    const copy = `INSERT INTO remit.orders SELECT '0', of, until_ms, replace(body, 'planner', 'nobody') FROM remit.orders`;
    expect(await attack(copy)).toBe('1 rows');
    expect(await attack('UPDATE remit.orders_head SET version = version + 1')).toBe('1 rows');
    const inForce = async () => must(await state.authority.ordersInForce()).list;
    expect(await inForce()).toEqual([stopOrder()]);
    const owner = must(postgresTargetFrom(places.url(new URL(url).pathname.slice(1), OWNER)));
    const { sealed } = must(await migratePostgres(owner, { grant: null, sealKey, randomBytes, askMs: 60_000 }));
    expect(sealed).toEqual(hasKey ? { tasks: 0, tokens: 0, stops: 0 } : null);
    // Nobody else can delete it.
    expect(await attack(`SELECT 1 FROM remit.orders WHERE id = '0'`)).toBe('0 rows');
    expect(await state.authority.liftOrder(stopOrder().id, [])).toEqual(stopOrder());
    expect(await inForce()).toEqual([]);
    expect(new Set(forged)).toEqual(new Set(hasKey ? ['an order with the id of another'] : []));
  });

  it('with a key of the state: a stop that the login writes keeps no limit from stopping the agent', async () => {
    const { state, attack } = await opened(randomBytes(32));
    const [id, agent] = ['00000000000000ab', 'spiffe://acme.test/ns/agents/sa/other'];
    const junk = `INSERT INTO remit.orders SELECT '${id}', of, until_ms, replace(replace(body, id, '${id}'), 'sa/planner', 'sa/other') FROM remit.orders`;
    expect(await attack(junk)).toBe('1 rows');
    // One is used before.
    const spends = [limitSpend({ max: 1, effect: 'stop' })];
    for (const decision of ['d-2', 'd-3'])
      expect(await state.settling.settle({ ...ofLimits(decision), agent, spends })).toMatchObject({ problem: 'limit' });
    const stops = must(await state.authority.ordersInForce()).list.filter((order) => order.of === 'stop');
    expect(stops.filter(({ what }) => what === agent).map(({ by }) => by)).toEqual(
      expect.arrayContaining(['remit', UNSEALED]),
    );
    expect(stops).toHaveLength(3);
    const records = must(await state.reader.outbox(0, 100)).map(({ bytes }) =>
      JSON.parse(Buffer.from(bytes).toString()),
    );
    expect(records.filter(({ event }) => event === 'order-made')).toMatchObject([{ cause: 'limit.exceeded' }]);
  });

  it.each([
    ['a stop that was lifted', () => stopOrder({ id: '00000000000000ab' })],
    ['an emergency that was ended', () => observeOrder({ madeAtMs: Date.now(), untilMs: Date.now() + HOUR_MS / 2 })],
  ])('with a key of the state: the row of %s is not put back', async (_name, made) => {
    const { state, attack } = await opened(randomBytes(32));
    const order = made();
    expect(await state.authority.putOrder(order, [])).toBeNull();
    expect(await attack(`CREATE TEMP TABLE earlier AS SELECT * FROM remit.orders WHERE id = '${order.id}'`)).toBe(
      '1 rows',
    );
    const back = 'INSERT INTO remit.orders SELECT * FROM earlier';
    // An order that is in force may be put again.
    expect(await attack(`${back} ON CONFLICT (id) DO UPDATE SET lifted = NULL`)).toBe('1 rows');
    // A transaction that began before the end sees the tables as they were.
    await attack('BEGIN ISOLATION LEVEL REPEATABLE READ');
    expect(await attack(`SELECT FROM remit.orders WHERE id = '${order.id}'`)).toBe('1 rows');
    expect(await state.authority.liftOrder(order.id, [])).toEqual(order);
    expect(await attack(back)).toContain('added at READ COMMITTED alone');
    await attack('ROLLBACK');
    expect(await attack(back)).toContain('an_order_id_is_used_once');
    expect(await attack('UPDATE remit.orders_head SET version = version + 1')).toBe('1 rows');
    expect(must(await state.authority.ordersInForce()).list).toEqual([stopOrder()]);
    expect(await attack('DELETE FROM remit.order_ids')).toContain('permission denied');
  });

  it('with a key of the state: a signal stops its target also if the id of its stop was used', async () => {
    const target = { kind: 'agent', what: 'spiffe://acme.test/ns/agents/sa/rogue' } as const;
    const cause = { code: 'signal.session-revoked', note: 'stolen' } as const;
    const stop = { key: 'signal-1', minutes: null, applied: { by: 'https://siem.acme.test', cause } };
    const stopped = async (state: PostgresState) =>
      must(await stopBySignal([target], stop, { authority: state.authority, ports: { randomBytes } })).map(
        ({ id }) => id,
      );
    const inForce = async (state: PostgresState) =>
      must(await state.authority.ordersInForce()).list.filter(
        (order) => order.of === 'stop' && order.what === target.what,
      );
    const { state, url } = await opened(randomBytes(32));
    const [id = ''] = await stopped(state);
    // A repeated delivery makes no further stop.
    expect(await stopped(state)).toEqual([id]);
    expect(await inForce(state)).toMatchObject([{ id, by: stop.applied.by }]);
    // It was lifted, and is delivered again once that it was put is forgotten.
    expect(await state.authority.liftOrder(id, [])).toMatchObject({ id });
    await places.sql(url, 'TRUNCATE remit.settled');
    const [again] = await stopped(state);
    expect(again).not.toBe(id);
    expect(await inForce(state)).toMatchObject([{ id: again, by: stop.applied.by }]);
    // The login writes another stop by the id that the signal will have.
    const decoyed = await opened(randomBytes(32));
    const decoy = `INSERT INTO remit.orders SELECT '${id}', of, until_ms, replace(body, id, '${id}') FROM remit.orders`;
    expect(await decoyed.attack(decoy)).toBe('1 rows');
    const [other] = await stopped(decoyed.state);
    expect(other).not.toBe(id);
    expect(await inForce(decoyed.state)).toMatchObject([{ id: other, by: stop.applied.by }]);
  });

  it('an authority reads the orders after each change, however large the number of changes is', async () => {
    const { state, url } = await opened();
    const other = await open(url, {});
    await places.sql(url, 'ALTER TABLE remit.orders_head DISABLE TRIGGER USER');
    await places.sql(url, 'UPDATE remit.orders_head SET version = 1::bigint << 60');
    await places.sql(url, 'ALTER TABLE remit.orders_head ENABLE TRIGGER USER');
    const ids = async () => must(await other.authority.ordersInForce()).list.map(({ id }) => id);
    expect(await ids()).toEqual([stopOrder().id]);
    const next = stopOrder({ id: '00000000000000ab', what: 'spiffe://acme.test/ns/agents/sa/other' });
    expect(await state.authority.putOrder(next, [])).toBeNull();
    expect(await ids()).toEqual([stopOrder().id, next.id]);
  });

  it('with a key of the state: nobody is told of a signal that no authority wrote', async () => {
    const { state, attack, forged } = await opened(randomBytes(32));
    await state.authority.claimSignals('siem');
    await state.authority.applyTaskEvent(key, byOperator('cancel'), 'operator');
    const copy = `INSERT INTO remit.signals (receiver, at_ms, rank, bytes, seal) SELECT receiver, at_ms, rank, bytes || ' ', seal FROM remit.signals`;
    expect(await attack(copy)).toBe('1 rows');
    expect(must(await state.authority.signalQueue('siem')).signals).toHaveLength(1);
    expect(forged).toHaveLength(1);
    expect(must(await state.authority.signalQueue('siem'))).toMatchObject({ waiting: 1 });
  });

  // Issue 42, point 4: the seal did not cover the receiver.
  it.each([
    [
      'copies',
      `INSERT INTO remit.signals (receiver, at_ms, rank, bytes, seal) SELECT 'idp', at_ms, rank, bytes, seal FROM remit.signals`,
      1,
    ],
    ['redirects', `UPDATE remit.signals SET receiver = 'idp'`, 0],
  ])(
    'with a key of the state: a signal that the login %s to another receiver is not told there',
    async (_name, text, left) => {
      const { state, attack, forged } = await opened(randomBytes(32));
      await state.authority.claimSignals('siem');
      await state.authority.applyTaskEvent(key, byOperator('cancel'), 'operator');
      await state.authority.claimSignals('idp');
      expect(await attack(text)).toBe('1 rows');
      expect(must(await state.authority.signalQueue('idp')).signals).toEqual([]);
      expect(forged).toEqual([expect.stringMatching(/^signal \d+ for receiver `idp`$/)]);
      expect(must(await state.authority.signalQueue('idp')).waiting).toBe(0);
      expect(must(await state.authority.signalQueue('siem')).signals).toHaveLength(left);
    },
  );

  it.each([
    ['with a key of the state', true],
    ['without a key', false],
  ])(
    '%s: receivers that the login adds cost little, take no signal from others, and claim nothing for ever',
    async (_name, hasKey) => {
      const stateKey = hasKey ? randomBytes(32) : null;
      const { state, attack, url } = await opened(stateKey);
      await state.authority.claimSignals('siem');
      // Another process, such as a command, which has the receiver in its configuration and delivers nothing.
      const other = await open(url, { stateKey, receivers: ['siem'] });
      const many = `INSERT INTO remit.signal_receivers SELECT 'a' || n, gen_random_uuid(), 'infinity'::timestamptz FROM generate_series(1, 1000) n`;
      expect(await attack(many)).toBe('1000 rows');
      await other.authority.applyTaskEvent(key, byOperator('cancel'), 'operator');
      const counts = await places.sql(
        url,
        `SELECT count(*) AS all, count(*) FILTER (WHERE receiver = 'siem') AS siem FROM remit.signals`,
      );
      expect(counts).toEqual([{ all: String(signalLimits.maxReceivers + 1), siem: '1' }]);
      expect(must(await state.authority.signalQueue('siem')).signals).toHaveLength(1);
      for (let isMore = true; isMore;) ({ isMore } = must(await state.authority.prune(0)));
      const endless = `SELECT count(*) AS n FROM remit.signal_receivers WHERE claimed_until > now() + interval '1 hour'`;
      expect(await places.sql(url, endless)).toEqual([{ n: '0' }]);
    },
  );

  it('without a key: a row of signals that is no record holds up no other', async () => {
    const { state, attack } = await opened();
    await state.authority.claimSignals('siem');
    await state.authority.applyTaskEvent(key, byOperator('cancel'), 'operator');
    const junk = `INSERT INTO remit.signals (receiver, at_ms, rank, bytes) SELECT receiver, at_ms, 0, 'x'::bytea FROM remit.signals`;
    expect(await attack(junk)).toBe('1 rows');
    expect(must(await state.authority.signalQueue('siem')).signals).toHaveLength(1);
    expect(must(await state.authority.signalQueue('siem')).waiting).toBe(1);
  });

  it('with a key of the state: what a receiver was told is not told again once it is a week old', async () => {
    const { state, attack, forged } = await opened(randomBytes(32));
    await state.authority.claimSignals('siem');
    const at = Date.now() - signalLimits.maxAgeMs - 1_000;
    const end = { kind: 'end', at, task: 't', state: 'revoked', cause: 'operator.revoked', note: '', by: 'x' } as const;
    expect(await state.authority.appendRecords([must(encodedRecord(end))])).toBeNull();
    const told = async () => must(await state.authority.signalQueue('siem')).signals.length;
    expect([await told(), forged]).toEqual([0, []]);
    expect(await attack('UPDATE remit.signals SET at_ms = at_ms + 60000')).toBe('1 rows');
    expect([await told(), forged.length]).toEqual([0, 1]);
  });

  it('pruning bounds what waits for a receiver, delivered or not, and the next claim says how much was dropped', async () => {
    const { state, url } = await opened();
    await state.authority.claimSignals('siem');
    await places.sql(url, junkSignals(signalLimits.maxWaiting));
    const waiting = async () => must(await state.authority.signalQueue('siem')).waiting;
    for (const ends of [`now() + interval '30 seconds'`, `now() - interval '1 hour'`]) {
      await places.sql(url, junkSignals(5));
      await places.sql(url, `UPDATE remit.signal_receivers SET claimed_until = ${ends}`);
      expect(await state.authority.prune(0)).toMatchObject({ tasks: 0 });
      expect(await waiting()).toBe(signalLimits.maxWaiting);
    }
    expect(await state.authority.claimSignals('siem')).toEqual({ dropped: 10 });
    expect(await state.authority.claimSignals('siem')).toEqual({ dropped: 0 });
  });

  it('after an outage of a day, pruning forgets no receiver of signals before it is claimed', async () => {
    const { state, url } = await opened();
    await state.authority.claimSignals('siem');
    await state.authority.applyTaskEvent(key, byOperator('cancel'), 'operator');
    await places.sql(url, `UPDATE remit.signal_receivers SET claimed_until = now() - interval '2 days'`);
    expect(await state.authority.prune(0)).toMatchObject({ tasks: 0 });
    expect(must(await state.authority.signalQueue('siem')).waiting).toBe(1);
    expect(await state.authority.claimSignals('siem')).toEqual({ dropped: 0 });
  });

  it.each([
    ['a year ahead', `now() + interval '1 year'`],
    ['without an end', `'infinity'`],
  ])('a claim %s keeps no authority from delivering signals', async (_name, claimedUntil) => {
    const { state, attack } = await opened();
    await state.authority.claimSignals('siem');
    const held = `UPDATE remit.signal_receivers SET owner = gen_random_uuid(), claimed_until = ${claimedUntil}`;
    expect(await attack(held)).toBe('1 rows');
    expect(must(await state.authority.signalQueue('siem')).holder).toBe('none');
    expect(await state.authority.claimSignals('siem')).toEqual({ dropped: 0 });
    expect(must(await state.authority.signalQueue('siem')).holder).toBe('this');
  });

  it('with a key of the state: no earlier row is put back', async () => {
    const { state, attack } = await opened(randomBytes(32));
    expect(await attack('CREATE TEMP TABLE earlier AS SELECT * FROM remit.tasks')).toBe('1 rows');
    await state.authority.applyTaskEvent(key, byOperator('suspend'), 'operator');
    await state.authority.applyTaskEvent(key, byOperator('resume'), 'operator');
    await state.authority.setRisk(key, 'high', { code: 'operator.allowed', note: '' }, 'operator');
    const back = `UPDATE remit.tasks t SET state = e.state, cause = e.cause, cause_note = e.cause_note, risk = e.risk, revision = e.revision, seal = e.seal
      FROM earlier e WHERE e.id = t.id`;
    expect(await attack(back)).toBe('a task only moves forward');
    expect(await attack(back.replace('e.revision', 't.revision + 1'))).toBe('1 rows');
    expect(await state.authority.taskOf(issuer, key.id)).toBeUndefined();
  });

  it('keeps the tasks of before once they are sealed, and takes none that is written later', async () => {
    const { state, url, attack } = await opened();
    const later = { createdAtMs: Date.now(), lastUsedMs: Date.now(), deadlineMs: Date.now() + HOUR_MS };
    for (const number of [2, 3]) {
      const token = { ...tokenNumber(number), issuedAtMs: Date.now(), expiresAtMs: Date.now() + HOUR_MS };
      expect(await state.authority.insertTask(taskNumber(number, later), token, [])).toBeNull();
    }
    await state.authority.applyTaskEvent({ issuer, id: taskNumber(3).id }, byOperator('cancel'), 'operator');
    const stateKey = randomBytes(32);
    // Without that, they count as not there.
    const none = await open(url, { stateKey });
    expect(await none.authority.taskOf(issuer, key.id)).toBeUndefined();
    await none.close();
    await state.close();
    const owner = must(postgresTargetFrom(places.url(new URL(url).pathname.slice(1), OWNER)));
    const done = await migratePostgres(owner, { grant: null, sealKey: stateKey, randomBytes, askMs: 60_000 });
    expect(done).toMatchObject({ sealed: { tasks: 3, tokens: 3, stops: 1 } });
    // The stop from before the key is now lifted by the key alone.
    expect(await attack(`UPDATE remit.orders SET lifted = ''`)).toBe('1 rows');
    expect(await attack('DELETE FROM remit.orders')).toContain('a stop is not deleted');
    expect(await attack('UPDATE remit.orders SET lifted = NULL')).toBe('1 rows');
    expect(await attack(`UPDATE remit.tasks SET purpose = 'x' WHERE ended_ms IS NOT NULL`)).toContain(
      'does not change',
    );
    const forged: string[] = [];
    const sealed = await open(url, { stateKey, forged });
    expect(await sealed.authority.taskOf(issuer, key.id)).toMatchObject({ state: 'active' });
    expect(await sealed.authority.taskOf(issuer, taskNumber(3).id)).toMatchObject({ state: 'cancelled' });
    expect(must(await sealed.authority.ordersInForce()).list).toEqual([stopOrder()]);
    expect(await sealed.authority.liftOrder(stopOrder().id, [])).toEqual(stopOrder());
    await sealed.authority.applyTaskEvent(key, byOperator('suspend'), 'operator');
    expect(await sealed.authority.taskOf(issuer, key.id)).toMatchObject({ state: 'suspended' });
    expect(forged).toEqual([]);
    const copy = { id: 'task-9', root: 'task-9', seal: null };
    expect(
      await attack(
        `INSERT INTO remit.tasks SELECT (json_populate_record(t, '${JSON.stringify(copy)}')).* FROM remit.tasks t WHERE id = '${key.id}'`,
      ),
    ).toBe('1 rows');
    expect(await sealed.authority.taskOf(issuer, 'task-9')).toBeUndefined();
    expect(forged).toEqual(['task task-9']);
  });
});
