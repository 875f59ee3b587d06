import { randomUUID } from 'node:crypto';
import type { QueryResult } from 'pg';
import { expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { Database } from '../../../../src/authority/state/postgres/database.ts';
import { PostgresFeed } from '../../../../src/authority/state/postgres/postgres-feed.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { mustOpenState } from '../../../postgres/opening.ts';
import { startedPlaces } from '../../../postgres/places.ts';

const folder = testFolders();

/** A database in which something happens right after the next read. */
class Interleaved extends Database {
  afterRead: (() => Promise<unknown>) | null = null;

  override async read(text: string, values: readonly unknown[] = []): Promise<QueryResult | StoreFailure> {
    const result = await super.read(text, values);
    const happens = this.afterRead;
    this.afterRead = null;
    await happens?.();
    return result;
  }
}

describeWith(postgresPart(), 'the feed of a PostgreSQL', (binaries) => {
  const places = startedPlaces(binaries, folder());

  it('gives out no change and no card that another primary does not have, though that primary has as many changes', async () => {
    const url = await places.next();
    const target = must(postgresTargetFrom(url));
    const state = await mustOpenState(url, { clocks: agreeing(), address: 'one' });
    const database = new Interleaved({ target, hasQuorum: false, askMs: 60_000 });
    const feed = new PostgresFeed(database, { id: randomUUID(), address: 'two' });
    const task = taskNumber(1);
    const change = (risk: 'low' | 'medium' | 'high') =>
      state.authority.setRisk(task, risk, causeOf('signal.risk-level-change'), 'operator');
    const asked = [{ key: task, jtiDigests: ['digest-1'] }];
    // What a failover does between a read and the next commit: the same number is another change.
    const replaced = (seq: number) => () =>
      places.sql(url, 'UPDATE remit.feed SET mark = gen_random_uuid() WHERE seq = $1', [seq]);
    const lost = { code: 'unknown', detail: 'the database lost changes of the feed: it is another primary' };

    expect(await state.authority.insertTask(task, tokenNumber(1), [])).toBeNull();
    await change('medium');
    expect(must(await feed.beat()).seq).toBe(1);
    await change('high');
    database.afterRead = replaced(2);
    expect(await feed.feedAfter(1)).toMatchObject(lost);
    expect(await feed.feedAfter(1)).toMatchObject({ position: 2 });
    await change('low');
    database.afterRead = replaced(3);
    expect(await feed.cards(asked)).toMatchObject(lost);
    expect(must(await feed.cards(asked)).head.seq).toBe(3);
    await change('medium');
    database.afterRead = replaced(4);
    expect(await feed.syncedHead()).toMatchObject(lost);
    expect(must(await feed.syncedHead()).seq).toBe(4);
    // An earlier change than the last one is compared too.
    await change('high');
    await change('low');
    expect(must(await feed.beat()).seq).toBe(6);
    expect(must((await feed.feedAfter(3)) ?? undefined)).toMatchObject({ position: 6 });
    await database.close();
    await state.close();
  });

  it('tells a position that it gave from other positions, and whether it still has its change', async () => {
    const url = await places.next();
    const open = () => mustOpenState(url, { clocks: agreeing(), address: 'one' });
    const [state, other] = [await open(), await open()];
    const task = taskNumber(1);
    expect(await state.authority.insertTask(task, tokenNumber(1), [])).toBeNull();
    for (const risk of ['medium', 'high'] as const)
      await state.authority.setRisk(task, risk, causeOf('signal.risk-level-change'), 'operator');
    const { epoch } = must(await state.feed.beat());
    const given = must(await state.feed.markedAfter(0));
    if (given === null) throw new Error('the feed has a gap');
    const { mark, position } = given;
    expect([position, await state.feed.markOf(2)]).toEqual([2, mark]);
    const place = { epoch, seq: 2, mark };
    // Each authority of the database knows what another one gave.
    expect(await other.feed.has(place)).toBe('yes');
    for (const forged of [
      { seq: 3 },
      { seq: 1 },
      { epoch: randomUUID() },
      { mark: '' },
      { mark: mark.replace('.0.', '.9.') },
      { mark: `${mark.split('.')[0]}.` },
      { mark: `${randomUUID()}.${mark.split('.')[1]}` },
    ])
      expect(await other.feed.has({ ...place, ...forged })).toBe('unproven');
    // As after the promotion of a standby without the last change, which then gave its number to another one.
    await places.sql(url, 'UPDATE remit.feed SET mark = gen_random_uuid() WHERE seq = 2');
    const newcomer = must(await open());
    expect(await newcomer.feed.has(place)).toBe('no');
    await places.sql(url, 'DELETE FROM remit.feed WHERE seq = 2; UPDATE remit.feed_head SET seq = 1');
    const next = must(await open());
    expect(await next.feed.has(place)).toBe('no');
    expect(await next.feed.declareLost('lost for the test')).toBeNull();
    expect(await next.feed.beat()).toMatchObject({ code: 'broken', detail: 'lost for the test' });
    expect(await next.authority.insertTask(taskNumber(2), tokenNumber(2), [])).toMatchObject({ code: 'broken' });
    await Promise.all([state, other, newcomer, next].map((each) => each.close()));
  });
});
