import { randomBytes } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { Client } from 'pg';
import { restoreCommand } from '../../../../src/cli/state/restore.ts';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import { connectionOf } from '../../../../src/authority/state/postgres/primary.ts';
import { openPostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import type { PostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import { restoreDatabase } from '../../../../src/authority/state/postgres/restore-database.ts';
import { commandRun } from '../../../builders/command-run.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { openingOf } from '../../../postgres/opening.ts';
import { startedPlaces } from '../../../postgres/places.ts';

const folder = testFolders();
const NOW_MS = 5_000;
const STATES = 'SELECT id, state, cause FROM remit.tasks ORDER BY id';

const targetOf = (url: string) => must(postgresTargetFrom(url));
const restore = (url: string, nowMs = NOW_MS) =>
  restoreDatabase(targetOf(url), {
    clocks: agreeing(() => nowMs),
    randomBytes,
    by: 'Ada',
    stateKey: null,
    receivers: [],
    askMs: 60_000,
  });

const open = (url: string, onRestored: () => void = () => undefined) =>
  openPostgresState(openingOf(url, { clocks: agreeing(() => NOW_MS), onRestored }));

/** Task 1 with its part 2, task 3 suspended, 4 completed, 5 past its deadline. */
async function withTasks(state: PostgresState): Promise<void> {
  for (const n of [1, 3, 4]) expect(await state.authority.insertTask(taskNumber(n), tokenNumber(n), [])).toBeNull();
  const part = taskNumber(2, { parentId: taskNumber(1).id });
  expect(await state.authority.insertTask(part, tokenNumber(2), [])).toBeNull();
  expect(await state.authority.insertTask(taskNumber(5, { deadlineMs: NOW_MS - 1 }), tokenNumber(5), [])).toBeNull();
  await state.authority.applyTaskEvent(taskNumber(3), byOperator('suspend'), 'operator');
  await state.authority.applyTaskEvent(taskNumber(4), byOperator('complete'), 'operator');
}

describeWith(postgresPart(), 'restoreDatabase', (binaries) => {
  const places = startedPlaces(binaries, folder());

  it('ends every open task with its record, begins another life, and ends the authorities of the life before', async () => {
    const url = await places.next();
    let restarts = 0;
    const former = must(await open(url, () => (restarts += 1)));
    await withTasks(former);
    const observe = observeOrder({ madeAtMs: NOW_MS, untilMs: NOW_MS + 60_000 });
    const over = stopOrder({ id: '00000000000000ee', untilMs: NOW_MS - 1 });
    for (const order of [stopOrder(), observe, over]) expect(await former.authority.putOrder(order, [])).toBeNull();
    const { epoch, seq } = must(await former.feed.beat());
    const restored = must(await restore(url));
    expect(restored).toMatchObject({ ended: 4, stops: 1, stopsUntilMs: NOW_MS });
    const ids = [1, 2, 3, 4, 5].map((n) => taskNumber(n).id);
    expect(await places.sql(url, STATES)).toEqual([
      { id: ids[0], state: 'revoked', cause: 'operator.restored' },
      { id: ids[1], state: 'revoked', cause: 'parent.revoked' },
      { id: ids[2], state: 'revoked', cause: 'operator.restored' },
      { id: ids[3], state: 'completed', cause: 'operator.completed' },
      { id: ids[4], state: 'expired', cause: 'deadline' },
    ]);
    // The former life is over for those who served in it.
    expect(await former.feed.beat()).toMatchObject({ code: 'broken', detail: expect.stringContaining('was restored') });
    expect(restarts).toBe(1);
    expect(await former.authority.insertTask(taskNumber(6), tokenNumber(6), [])).toMatchObject({ code: 'broken' });
    await former.close();
    const next = must(await open(url));
    expect(must(await next.feed.beat())).toMatchObject({ epoch: restored.epoch, seq: expect.any(Number), lost: null });
    expect(restored.epoch).not.toBe(epoch);
    expect(must(await next.feed.head()).seq).toBeGreaterThan(seq);
    expect(await next.authority.restoredAtMs()).toBe(NOW_MS);
    const { list } = must(await next.authority.ordersInForce());
    expect(list).toContainEqual(stopOrder());
    expect(list.filter((order) => order.of === 'observe')).toEqual([]);
    const records = must(await next.reader.outbox(0, 100)).map(({ bytes }) =>
      JSON.parse(Buffer.from(bytes).toString()),
    );
    expect(records.filter(({ cause }) => cause === 'operator.restored')).toEqual([
      expect.objectContaining({ kind: 'end', task: ids[0], by: 'Ada' }),
      expect.objectContaining({ kind: 'end', task: ids[2], by: 'Ada' }),
      expect.objectContaining({
        event: 'restored',
        by: 'Ada',
        details: { fileId: epoch, endedTasks: 4, unsealedTasks: 0, stops: 1, stopsUntilMs: NOW_MS },
      }),
    ]);
    const later = taskNumber(6, { createdAtMs: NOW_MS + 1 });
    expect(await next.authority.insertTask(later, tokenNumber(6), [])).toBeNull();
    // An older copy is put in place, from before this life.
    const head = must(await next.feed.beat());
    const given = { epoch: head.epoch, seq: head.seq, mark: must(await next.feed.markOf(head.seq)) };
    expect(await next.feed.has(given)).toBe('yes');
    const older = 'UPDATE remit.feed_head SET epoch = $1, restored_ms = NULL, lost = NULL';
    const put = async (): Promise<void> => {
      await places.sql(url, 'ALTER TABLE remit.feed_head DISABLE TRIGGER USER');
      await places.sql(url, older, [epoch]);
      await places.sql(url, 'ALTER TABLE remit.feed_head ENABLE TRIGGER USER');
    };
    await put();
    expect(await next.feed.beat()).toMatchObject({ code: 'broken', detail: expect.stringContaining('the life of it') });
    expect(await open(url)).toMatchObject({ code: 'lost', detail: expect.stringContaining('the life of it') });
    await next.close();
    // A sidecar proves the same to an authority that has not seen it.
    await put();
    const newcomer = must(await open(url));
    expect(await newcomer.feed.has(given)).toBe('no');
    await newcomer.close();
  });

  it('leaves a database that no authority serves from if it is interrupted, and can be run again', async () => {
    const url = await places.next();
    const former = must(await open(url));
    await withTasks(former);
    const other = new Client(connectionOf(targetOf(url), targetOf(url).hosts[0] ?? { host: '', port: 0 }));
    await other.connect();
    await other.query('BEGIN');
    await other.query('SELECT 1 FROM remit.tasks WHERE id = $1 FOR UPDATE', [taskNumber(1).id]);
    expect(await restore(url)).toMatchObject({ code: 'busy' });
    await other.query('ROLLBACK');
    await other.end();
    const unfinished = expect.stringContaining('a restore was not finished');
    expect(await open(url)).toMatchObject({ code: 'lost', detail: unfinished });
    expect(await former.feed.beat()).toMatchObject({ code: 'broken', detail: unfinished });
    expect(await former.authority.insertTask(taskNumber(6), tokenNumber(6), [])).toMatchObject({ code: 'broken' });
    await former.close();
    must(await restore(url));
    const states = (await places.sql(url, STATES)).map(({ state }) => state);
    expect(states).not.toContain('active');
    expect(states).not.toContain('suspended');
    await must(await open(url)).close();
  });

  it('says from which instant on no stop is known, also if it was interrupted and is run again', async () => {
    const url = await places.next();
    const former = must(await open(url));
    await withTasks(former);
    await former.close();
    const other = new Client(connectionOf(targetOf(url), targetOf(url).hosts[0] ?? { host: '', port: 0 }));
    await other.connect();
    // Tasks end, and the last step fails.
    await other.query('BEGIN');
    await other.query('LOCK TABLE remit.tasks IN ROW EXCLUSIVE MODE');
    const laterMs = NOW_MS + 60_000;
    expect(await restore(url, laterMs)).toMatchObject({ code: 'busy' });
    await other.query('ROLLBACK');
    await other.end();
    expect(await places.sql(url, 'SELECT id FROM remit.tasks WHERE ended_ms IS NULL')).toEqual([]);
    expect(must(await restore(url, laterMs))).toMatchObject({ ended: 0, stopsUntilMs: NOW_MS });
    expect(await places.sql(url, 'SELECT floor_ms FROM remit.feed_head')).toEqual([{ floor_ms: String(laterMs + 1) }]);
  });

  it('ends what an authority declares that has not noticed yet', async () => {
    const url = await places.next();
    const former = must(await open(url));
    const declared: string[] = [];
    const over = new AbortController();
    const declaring = (async () => {
      for (let n = 1; !over.signal.aborted; n += 1) {
        const { id } = taskNumber(n);
        if ((await former.authority.insertTask(taskNumber(n), tokenNumber(n), [])) === null) declared.push(id);
      }
    })();
    must(await restore(url));
    over.abort();
    await declaring;
    const left = await places.sql(url, 'SELECT id FROM remit.tasks WHERE ended_ms IS NULL');
    const stillOpen = new Set(left.map(({ id }) => id));
    const isOpen = declared.map((id) => stillOpen.has(id));
    // Open are only those of the new life, which come after all that were declared before it.
    expect(isOpen).toEqual(isOpen.toSorted((one, other) => Number(one) - Number(other)));
    await former.close();
  });

  it('is a command, which takes nothing beside a PostgreSQL', async () => {
    const url = await places.next();
    expect(await commandRun(restoreCommand.run, ['--state', url, '/mnt/backup'])).toEqual({
      code: 2,
      out: [],
      err: [
        'remit restore: a PostgreSQL is restored with its own tools: give only its configuration or its URL here, with --by and --json',
      ],
    });
    const { code, out } = await commandRun(restoreCommand.run, ['--state', url, '--json', '--by', 'Ada']);
    expect(code).toBe(0);
    const none = { ended: 0, unsealed: 0, stops: 0, stopsUntilMs: 0 };
    expect(JSON.parse(out.at(-1) ?? '')).toEqual({ ...none, epoch: expect.any(String) });
  });
});
