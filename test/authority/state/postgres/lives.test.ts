import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import type { PostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import { restoreDatabase } from '../../../../src/authority/state/postgres/restore-database.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { withClosers } from '../../../builders/with-closers.ts';
import type { Closers } from '../../../builders/with-closers.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { mustOpenState, openAttack } from '../../../postgres/opening.ts';
import { PostgresPlaces } from '../../../postgres/places.ts';
import { until } from '../../../until.ts';

const folder = testFolders();
const HOUR_MS = 3_600_000;
const [restoredTask, lostTask, nextTask] = [taskNumber(1).id, taskNumber(2).id, taskNumber(3).id];
const lostStop = '00000000000000ab';
const emergency = (madeAtMs: number) => observeOrder({ madeAtMs, untilMs: madeAtMs + HOUR_MS / 2 });

/** Declares task number `n`, with an hour to live. */
const declare = async ({ authority }: PostgresState, n: number) => {
  const nowMs = authority.floorMs();
  const times = { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + HOUR_MS };
  const token = { ...tokenNumber(n), issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS / 2 };
  return authority.insertTask(taskNumber(n, times), token, []);
};

// Issue 55: what the login of the authorities kept from before a backup was restored.
describeWith(postgresPart(), 'the lives of a database, for the login of the authorities', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  beforeAll(() => places.start());
  afterAll(() => places.stop());

  /**
   * A database whose backup was restored: task 1 and a stop are in the backup; task 2, an emergency and another stop are of later, and only the
   * login has them, in tables of its own.
   */
  const lost = async (closers: Closers) => {
    const url = await places.next();
    const stateKey = randomBytes(32);
    const target = must(postgresTargetFrom(url));
    const clocks = agreeing(() => Date.now());
    const open = async (): Promise<PostgresState> => {
      const state = await mustOpenState(url, { clocks, stateKey });
      closers.push(() => state.close());
      return state;
    };
    const attack = await openAttack(url, closers);
    const state = await open();
    expect(await declare(state, 1)).toBeNull();
    expect(await state.authority.putOrder(stopOrder(), [])).toBeNull();
    expect(await declare(state, 2)).toBeNull();
    expect(await state.authority.putOrder(emergency(state.authority.floorMs()), [])).toBeNull();
    const madeAtMs = state.authority.floorMs();
    expect(await state.authority.putOrder(stopOrder({ id: lostStop, madeAtMs }), [])).toBeNull();
    await state.close();
    expect(await attack(`CREATE TEMP TABLE kept_tasks AS SELECT * FROM remit.tasks WHERE id = '${lostTask}'`)).toBe(
      '1 rows',
    );
    expect(
      await attack(`CREATE TEMP TABLE kept_orders AS SELECT * FROM remit.orders WHERE id <> '${stopOrder().id}'`),
    ).toBe('2 rows');
    const forgets = `SET session_replication_role = replica;
      DELETE FROM remit.tokens WHERE task = '${lostTask}'; DELETE FROM remit.tasks WHERE id = '${lostTask}';
      DELETE FROM remit.orders WHERE id <> '${stopOrder().id}'; DELETE FROM remit.order_ids WHERE id <> '${stopOrder().id}';
      RESET session_replication_role`;
    await places.sql(url, forgets);
    const restore = () =>
      restoreDatabase(target, { clocks, randomBytes, by: 'Ada', stateKey, receivers: [], askMs: 60_000 });
    return { url, attack, open, restore };
  };

  const ADDED = 'what was made before the last restore is not added';
  const EARLIER = 'are added at READ COMMITTED alone';

  it.each([
    ['an open task', 'INSERT INTO remit.tasks SELECT * FROM kept_tasks'],
    ['an emergency', `INSERT INTO remit.orders SELECT * FROM kept_orders WHERE of = 'observe'`],
    [
      'an emergency in another form',
      `INSERT INTO remit.orders SELECT id, of, until_ms, '{"madeAtMs":99999999999999,' || substr(body, 2), seal, lifted, lift_digest
        FROM kept_orders WHERE of = 'observe'`,
    ],
    ['a stop', `INSERT INTO remit.orders SELECT * FROM kept_orders WHERE of = 'stop'`],
  ])(
    '%s from before a restore is not put back, also by a transaction that began before it',
    withClosers(async (closers, _what, back) => {
      const { attack, open, restore } = await lost(closers);
      for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
        await attack(`BEGIN ISOLATION LEVEL ${level}`);
        expect(await attack('SELECT FROM remit.feed_head')).toBe('1 rows');
        expect(must(await restore())).toMatchObject({ unsealed: 0 });
        expect(await attack(back)).toContain(EARLIER);
        await attack('ROLLBACK');
      }
      expect(await attack(back)).toContain(ADDED);
      const state = await open();
      expect(await state.authority.taskOf(issuer, lostTask)).toBeUndefined();
      expect(await state.authority.taskOf(issuer, restoredTask)).toMatchObject({ state: 'revoked' });
      expect(must(await state.authority.ordersInForce()).list).toEqual([stopOrder()]);
      // What is made in the new life is added.
      expect(await declare(state, 3)).toBeNull();
      expect(await state.authority.taskOf(issuer, nextTask)).toMatchObject({ state: 'active' });
      const next = { ...emergency(state.authority.floorMs()), id: '00000000000000cc' };
      expect(await state.authority.putOrder(next, [])).toBeNull();
      expect(must(await state.authority.ordersInForce()).list).toEqual([stopOrder(), next]);
    }),
  );

  it(
    'an emergency that is put back while a restore runs does not outlive it',
    withClosers(async (closers) => {
      const { attack, open, restore, url } = await lost(closers);
      await attack('BEGIN');
      expect(await attack('LOCK TABLE remit.orders IN ROW EXCLUSIVE MODE')).toBe('null rows');
      const restoring = restore();
      const hasBegun = async (): Promise<boolean> =>
        (await places.sql(url, 'SELECT 1 FROM remit.feed_head WHERE lost IS NOT NULL')).length > 0;
      await until(hasBegun, { what: 'the restore has begun' });
      expect(await attack(`INSERT INTO remit.orders SELECT * FROM kept_orders WHERE of = 'observe'`)).toBe('1 rows');
      expect(await attack('COMMIT')).toBe('null rows');
      expect(must(await restoring)).toMatchObject({ ended: 1 });
      const state = await open();
      expect(must(await state.authority.ordersInForce()).list).toEqual([stopOrder()]);
    }),
  );

  it(
    'the instant of a restore only rises, a day ahead of the database at most, and each restore raises it',
    withClosers(async (closers) => {
      const { attack, open, restore, url } = await lost(closers);
      const instant = async (): Promise<number> =>
        Number((await places.sql(url, 'SELECT restored_ms FROM remit.feed_head'))[0]?.['restored_ms']);
      must(await restore());
      const first = await instant();
      for (const value of ['NULL', 'restored_ms - 1', '0']) {
        const set = await attack(`UPDATE remit.feed_head SET restored_ms = ${value}`);
        expect([value, set]).toEqual([value, 'the instant of a restore only rises']);
      }
      expect(await attack('UPDATE remit.feed_head SET part = 1')).toBe('the instant of a restore only rises');
      expect(await attack(`UPDATE remit.feed_head SET restored_ms = restored_ms + ${25 * HOUR_MS}`)).toBe(
        'a restore is not of the future',
      );
      expect(await attack('DELETE FROM remit.feed_head')).toContain('permission denied');
      expect(await instant()).toBe(first);
      expect(await attack(`UPDATE remit.feed_head SET restored_ms = restored_ms + ${HOUR_MS}`)).toBe('1 rows');
      must(await restore());
      expect(await instant()).toBe(first + HOUR_MS + 1);
      await open();
    }),
  );
});
