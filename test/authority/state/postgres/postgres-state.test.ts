import { writeFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { openPostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import type { PostgresState, PostgresStateOptions } from '../../../../src/authority/state/postgres/postgres-state.ts';
import type { LimitSpend } from '../../../../src/core/limit/limit-spend.ts';
import type { TaskSpend } from '../../../../src/core/state/spend.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { allowedUse, endRecord } from '../../../builders/ledger-record.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { openingOf } from '../../../postgres/opening.ts';
import { RUNTIME, startedPlaces } from '../../../postgres/places.ts';
import { until } from '../../../until.ts';

const folder = testFolders();
const key = { issuer, id: taskNumber(1).id };
const calls = (limit: number): readonly TaskSpend[] => [{ kind: 'calls', limit }];
const use = (decisionId: string, limit = 1_000) => ({ decisionId, key, jtiDigest: 'digest-1', spends: calls(limit) });

/** A call of a limit of one call a minute. */
const limitCall = (limit: string, then: LimitSpend['effect']): LimitSpend => ({
  kind: 'limit',
  limit,
  measure: 'calls',
  who: '[]',
  windowMs: 60_000,
  amount: 1,
  max: 1,
  effect: then,
});

const open = (url: string, options: Partial<PostgresStateOptions> = {}) =>
  openPostgresState(openingOf(url, { clocks: agreeing(), address: 'localhost:9474', ...options }));

describeWith(postgresPart(), 'openPostgresState', (binaries) => {
  const places = startedPlaces(binaries, folder());

  /** A state with task 1 and its token. */
  async function opened(options: Partial<PostgresStateOptions> = {}): Promise<{ url: string; state: PostgresState }> {
    const url = await places.next();
    const state = must(await open(url, options));
    expect(await state.authority.insertTask(taskNumber(1), tokenNumber(1), [])).toBeNull();
    return { url, state };
  }

  it('keeps a record until each ledger has it that was heard of in the last ten minutes', async () => {
    const { url, state } = await opened();
    const { authority } = state;
    const waiting = async () => (await places.outbox(url)).length;
    const forget = (upTo: number, name: string) => authority.forget(upTo, { name, copies: 1 });
    await authority.appendRecords([endRecord(1), endRecord(2), endRecord(3)]);
    expect(await forget(0, 'one')).toBeNull();
    expect(await forget(2, 'two')).toBeNull();
    expect(await waiting()).toBe(3);
    expect(await forget(1, 'one')).toBeNull();
    expect(await waiting()).toBe(2);
    expect(await forget(3, 'one')).toBeNull();
    expect(await waiting()).toBe(1);
    await places.sql(url, `UPDATE remit.relays SET seen = seen - interval '11 minutes' WHERE ledger = 'two'`);
    expect(await forget(3, 'one')).toBeNull();
    expect(await waiting()).toBe(0);
    await places.sql(url, `UPDATE remit.relays SET seen = seen - interval '1 day' WHERE ledger = 'two'`);
    expect(await forget(3, 'one')).toBeNull();
    expect(await places.sql(url, 'SELECT ledger FROM remit.relays')).toEqual([{ ledger: 'one' }]);
    await state.close();
  });

  it('keeps a record until as many ledgers have it as the most careful authority asks for, however long others are away (issue 37, point 13)', async () => {
    const { url, state } = await opened();
    const { authority } = state;
    const waiting = async () => (await places.outbox(url)).length;
    await authority.appendRecords([endRecord(1), endRecord(2), endRecord(3)]);
    expect(await authority.forget(1, { name: 'one', copies: 2 })).toBeNull();
    await places.sql(url, `UPDATE remit.relays SET seen = seen - interval '1 hour'`);
    expect(await authority.forget(3, { name: 'two', copies: 1 })).toBeNull();
    expect(await waiting()).toBe(2);
    // It lost its disk, and begins anew.
    expect(await authority.forget(0, { name: 'two', copies: 1 })).toBeNull();
    expect(await authority.forget(3, { name: 'one', copies: 2 })).toBeNull();
    expect(await waiting()).toBe(2);
    expect(await authority.forget(2, { name: 'two', copies: 2 })).toBeNull();
    expect(await waiting()).toBe(1);
    await state.close();
  });

  it('never takes more than a budget, or skips a version of the history, from two replicas at once', async () => {
    const { state, url } = await opened();
    const other = must(await open(url));
    const uses = Array.from({ length: 60 }, (_, n) =>
      [state, other].map(({ settling }, at) => settling.settle(use(`${at}-${n}`, 50))),
    );
    const answers = await Promise.all(uses.flat());
    expect(answers.filter((answer) => answer === null)).toHaveLength(50);
    expect(answers.filter((answer) => answer !== null)).toEqual(
      Array.from({ length: 70 }, () => ({ problem: 'exhausted', budget: { limit: 50, used: 50 } })),
    );
    expect(await places.spent(url, key.id)).toBe(50);
    const entry = { version: 0, action: 'a.read', labels: [] };
    const both = [state, other].map(({ settling }, at) =>
      settling.settle({ ...use(`h-${at}`), entry: { ...entry, action: `a.${at}` } }),
    );
    expect(new Set(await Promise.all(both))).toEqual(new Set(['history-changed', null]));
    await Promise.all([state.close(), other.close()]);
  });

  it.each(['suspend', 'stop'] as const)(
    'does what a limit says that refuses a use after another limit has room again: %s',
    async (effect) => {
      const { state } = await opened();
      const { authority, settling } = state;
      expect(await authority.insertTask(taskNumber(2, { parentId: key.id }), tokenNumber(2), [])).toBeNull();
      const one = limitCall('one', effect === 'stop' ? 'suspend' : 'stop');
      const other = limitCall('other', effect);
      const { agent } = taskNumber(1);
      const limited = (decisionId: string, ...spends: readonly LimitSpend[]) => ({ ...use(decisionId), agent, spends });
      expect(await settling.settle(limited('d-1', one))).toEqual({ left: [0] });
      expect(await settling.settle(limited('d-2', other))).toEqual({ left: [0] });
      // There is a stop already, which is found.
      for (const id of effect === 'stop' ? ['d-0'] : [])
        expect(await settling.settle(limited(id, other))).toMatchObject({ problem: 'limit' });
      // In one transaction: refused by the first limit, which then gets back what it gave. So the second refuses.
      const [settled, isGiven] = await Promise.all([
        settling.settle(limited('d-3', one, other)),
        settling.giveBack(limited('d-1', one)),
      ]);
      expect([settled, isGiven]).toMatchObject([{ problem: 'limit', over: { limit: 'other' } }, true]);
      const states = await Promise.all([1, 2].map((n) => authority.taskOf(issuer, taskNumber(n).id)));
      const stateOfAll = effect === 'suspend' ? 'suspended' : 'active';
      expect(states).toMatchObject([{ state: stateOfAll }, { state: stateOfAll }]);
      const stops = must(await authority.ordersInForce()).list;
      expect(stops.map(({ id }) => id)).toHaveLength(effect === 'stop' ? 1 : 0);
      await state.close();
    },
  );

  it('settles a decision once that two replicas get at the same time', async () => {
    const { state, url } = await opened();
    const other = must(await open(url));
    const sent = Array.from({ length: 40 }, (_, n) =>
      [state, other].map(({ settling }) => settling.settle(use(`d-${n}`))),
    );
    expect(new Set(await Promise.all(sent.flat()))).toEqual(new Set([null]));
    expect(await places.spent(url, key.id)).toBe(40);
    await Promise.all([state.close(), other.close()]);
  });

  it('remembers a key once, and accepts a task once, of two replicas at the same time', async () => {
    const { state, url } = await opened();
    const other = must(await open(url));
    for (let n = 10; n < 30; n += 1) {
      const both = [state.authority, other.authority];
      const signals = await Promise.all(
        both.map((authority) => authority.rememberOnce('signal', `event-${n}`, 60_000)),
      );
      expect(new Set(signals)).toEqual(new Set(['new', 'seen']));
      const tasks = await Promise.all(both.map((authority) => authority.insertTask(taskNumber(n), tokenNumber(n), [])));
      expect(tasks).toContain(null);
      expect(tasks).toContainEqual(expect.objectContaining({ code: 'conflict', detail: 'a row with that key exists' }));
    }
    await Promise.all([state.close(), other.close()]);
  });

  it('ends a task with its open parts, each with a record in the outbox, and announces the root once', async () => {
    const { state } = await opened();
    const { authority, feed, reader } = state;
    const part = taskNumber(2, { parentId: key.id });
    const handed = { jtiDigest: 'digest-1', spends: calls(5) };
    expect(await authority.insertPart(part, tokenNumber(2), [endRecord(2)], handed)).toBeNull();
    const below = { jtiDigest: 'digest-2', spends: [] };
    expect(await authority.insertPart(taskNumber(3, { parentId: part.id }), tokenNumber(3), [], below)).toBeNull();
    expect(await authority.applyTaskEvent(key, byOperator('complete', 'done'), 'ada')).toMatchObject({ changed: true });
    expect(await authority.taskOf(issuer, taskNumber(3).id)).toMatchObject({ state: 'cancelled' });
    expect(await feed.feedAfter(0)).toEqual({ changes: [{ root: key.id, part: 'task' }], position: 1 });
    expect(must(await reader.outbox(0, 10)).map(({ outbox, task }) => [outbox, task])).toEqual(
      [2, 1, 2, 3].map((n, at) => [at + 1, taskNumber(n).id]),
    );
    expect(await authority.forget(3)).toBeNull();
    expect([await reader.outboxEnd(), must(await reader.outbox(0, 10)).length]).toEqual([4, 1]);
    expect(must(await reader.recordsOf(taskNumber(3).id, 10))).toHaveLength(1);
    await state.close();
  });

  it('gives the cards of tokens with the head that counts what they show', async () => {
    const { state } = await opened();
    await state.authority.revokeToken('digest-1', causeOf('operator.revoked'), 'ada');
    await state.authority.insertToken(key, tokenNumber(2), []);
    const asked = [
      { key, jtiDigests: ['digest-2', 'digest-1', 'digest-9', 'a\0b'] },
      { key, jtiDigests: [] },
      { key: { issuer, id: 'a\0b' }, jtiDigests: ['digest-1'] },
      { key: { issuer, id: taskNumber(7).id }, jtiDigests: ['digest-1'] },
    ];
    const { head, cards } = must(await state.feed.cards(asked));
    expect(head.seq).toBe(1);
    expect(cards).toMatchObject([{ root: key.id }, { root: key.id, tokens: [] }, null, null]);
    expect(new Map(cards[0]?.tokens.map(({ jtiDigest, revokedAtMs }) => [jtiDigest, revokedAtMs]))).toEqual(
      new Map([
        ['digest-1', 1_000],
        ['digest-2', null],
      ]),
    );
    expect(must(await state.feed.cards([])).cards).toEqual([]);
    await state.close();
  });

  it('beats with the head that it saw, and shows every replica to every other', async () => {
    const { state, url } = await opened();
    const other = must(await open(url, { address: 'other:9474' }));
    const first = must(await state.feed.beat());
    await state.authority.setRisk(key, 'high', causeOf('signal.risk-level-change'), 'ada');
    expect(must(await other.feed.beat())).toMatchObject({ epoch: first.epoch, seq: 1 });
    other.feed.report(1);
    other.feed.givesLeases(7_000);
    other.feed.describe('{"version":"1"}');
    await other.feed.beat();
    expect(must(await state.feed.marks())).toEqual(
      expect.arrayContaining([
        { id: state.replica, address: 'localhost:9474', beat: 1, enforcedSeq: 0, leaseMs: 0, details: '{}' },
        {
          id: other.replica,
          address: 'other:9474',
          beat: 2,
          enforcedSeq: 1,
          leaseMs: 7_000,
          details: '{"version":"1"}',
        },
      ]),
    );
    expect(await other.feed.addReceipts([{ seq: 1, holders: 4, acknowledged: 3, fenced: 1 }])).toBeNull();
    expect(await state.feed.receiptsOf([key.id], 1)).toEqual([
      { replica: other.replica, seq: 1, holders: 4, acknowledged: 3, fenced: 1 },
    ]);
    expect(await other.feed.leave()).toBeNull();
    expect(must(await state.feed.marks()).map(({ id }) => id)).toEqual([state.replica]);
    expect([await state.feed.feedAfter(7), await state.feed.feedAfter(1)]).toEqual([
      null,
      { changes: [], position: 1 },
    ]);
    await Promise.all([state.close(), other.close()]);
  });

  it('beats as often as it is asked to while changes come, and finds none of them lost', async () => {
    const { state } = await opened();
    const risks = ['high', 'low'] as const;
    const changes = Array.from({ length: 40 }, async (_, n) => {
      await new Promise((resolve) => setTimeout(resolve, n));
      const risk = causeOf('signal.risk-level-change');
      return [
        state.feed.beat(),
        state.authority.setRisk(key, risks[n % 2] ?? 'low', risk, 'ada'),
        state.feed.beat(),
        state.feed.syncedHead(),
      ];
    });
    const answers = await Promise.all((await Promise.all(changes)).flat());
    expect(answers.filter(isStoreFailure)).toEqual([]);
    await state.close();
  });

  it('asks for the outcome of a commit whose wait for a standby was cancelled, and answers once it is known', async () => {
    const { state, url } = await opened();
    // A commit waits for this standby for ever.
    const reload = async (names: string): Promise<void> => {
      await places.postgres.sql(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
      await places.postgres.sql('SELECT pg_reload_conf()');
    };
    await reload('nobody');
    let settled: unknown = 'waiting';
    const settling = state.settling.settle(use('d-1')).then((answer) => (settled = answer));
    const waiting = `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = $1`;
    const database = must(postgresTargetFrom(url)).database;
    const [hung] = await until(async () => {
      const rows = await places.postgres.sql(waiting, [database]);
      return rows.length > 0 && rows;
    });
    await places.postgres.sql('SELECT pg_cancel_backend($1)', [hung?.['pid']]);
    // The commit has come through with a warning, and what was written shows. It is not answered: the next commit waits too.
    await until(async () => (await places.postgres.sql(waiting, [database])).some(({ pid }) => pid !== hung?.['pid']));
    expect([settled, await places.spent(url, key.id)]).toEqual(['waiting', 1]);
    await reload('');
    await settling;
    expect([settled, await places.spent(url, key.id)]).toEqual([null, 1]);
    await state.close();
  });

  it('never acknowledges a commit that waited for no standby if the durability is `quorum`', async () => {
    const url = await places.next();
    const state = must(await open(url, { durability: 'quorum', unknownMs: 300 }));
    expect(await state.authority.insertTask(taskNumber(1), tokenNumber(1), [])).toMatchObject({
      code: 'unknown',
      detail: 'whether the database has the write is unknown: the database waited for no standby',
    });
    expect(must(await state.problems())).toEqual([
      expect.stringContaining('`synchronous_standby_names` is empty'),
      expect.stringContaining('the clocks of this machine and of the database differ by'),
    ]);
    await state.close();
  });

  it('runs a transaction again that was lost with its connection before the commit, and finds the primary again', async () => {
    const { state, url } = await opened();
    await places.postgres.kill();
    await places.postgres.start();
    expect(await state.settling.settle(use('d-1'))).toBeNull();
    expect(await state.settling.settle(use('d-1'))).toBeNull();
    expect(await places.spent(url, key.id)).toBe(1);
    await state.close();
  });

  it('fails while the database is away, and works again afterwards', async () => {
    const { state } = await opened({ askMs: 1_000 });
    await places.postgres.stop();
    expect(await state.settling.settle(use('d-1'))).toMatchObject({
      code: 'busy',
      detail: expect.stringContaining('no primary among `localhost:'),
    });
    expect(await state.authority.taskOf(issuer, key.id)).toMatchObject({ code: 'busy' });
    await places.postgres.start();
    await until(async () => (await state.settling.settle(use('d-2'))) === null);
    await state.close();
  });

  it('says at once that a database takes no writes, and goes on once it does', async () => {
    const { state, url } = await opened();
    await state.close();
    const { database } = must(postgresTargetFrom(url));
    await places.postgres.sql(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
    const readOnly = must(await open(url));
    const refused = { code: 'busy', detail: expect.stringContaining('the database takes no writes') };
    expect(await readOnly.settling.settle(use('d-1'))).toMatchObject(refused);
    expect(await readOnly.authority.applyTaskEvent(key, byOperator('complete'), 'ada')).toMatchObject(refused);
    expect(await readOnly.feed.beat()).toMatchObject(refused);
    expect(await readOnly.authority.taskOf(issuer, key.id)).toMatchObject({ state: 'active' });
    await places.postgres.sql(`ALTER DATABASE ${database} SET default_transaction_read_only = off`);
    expect(await readOnly.settling.settle(use('d-1'))).toBeNull();
    await readOnly.close();
  });

  it('ends nothing for good by a clock that was an hour ahead when it started', async () => {
    const url = await places.next();
    const fast = must(await open(url, { clocks: agreeing(() => Date.now() + 3_600_000) }));
    const nowMs = Date.now();
    const times = { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + 900_000 };
    const token = { ...tokenNumber(1), issuedAtMs: nowMs, expiresAtMs: nowMs + 900_000 };
    expect(await fast.authority.insertTask(taskNumber(1, times), token, [])).toBeNull();
    expect(await fast.authority.endExpired()).toBe(0);
    expect(fast.authority.floorMs()).toBeLessThan(nowMs + 300_000);
    expect(await fast.authority.applyTaskEvent(key, byOperator('suspend'), 'ada')).toMatchObject({
      task: { state: 'suspended' },
    });
    await fast.close();
  });

  it('reads a rotated password for the next connection', async () => {
    const { state, url } = await opened();
    const file = mustFind(must(postgresTargetFrom(url)).passwordFile);
    await places.postgres.sql(`ALTER ROLE ${RUNTIME} PASSWORD 'rotated'`);
    writeFileSync(file, 'rotated\n');
    await places.postgres.kill();
    await places.postgres.start();
    expect(await state.settling.settle(use('d-1'))).toBeNull();
    await state.close();
  });

  it('refuses a server whose certificate is of another authority, and a wrong password, without telling it', async () => {
    const url = await places.next();
    const target = must(postgresTargetFrom(url));
    expect(await open(url, { target: { ...target, rootCertFile: null } })).toMatchObject({
      code: 'busy',
      detail: expect.stringContaining('the database cannot be reached: '),
    });
    const passwordFile = `${folder()}/wrong`;
    writeFileSync(passwordFile, 'not-the-password');
    const refused = await open(url, { target: { ...target, passwordFile } });
    expect(refused).toMatchObject({
      code: 'unusable',
      detail: expect.stringContaining('the database refuses the login'),
    });
    expect(JSON.stringify(refused)).not.toContain('not-the-password');
  });

  it('prunes ended families whose tokens have expired and whose records are in the ledger, and no other', async () => {
    let nowMs = 1_000;
    const { state, url } = await opened({ clocks: agreeing(() => nowMs) });
    const { authority } = state;
    await authority.insertTask(taskNumber(4), tokenNumber(4), []);
    await authority.insertPart(taskNumber(2, { parentId: key.id }), tokenNumber(2), [], {
      jtiDigest: 'digest-1',
      spends: calls(5),
    });
    await state.settling.settle({ ...use('d-1'), entry: { version: 0, action: 'a.read', labels: [] } });
    await authority.applyTaskEvent(key, byOperator('complete'), 'ada');
    nowMs = 400_000;
    expect(await authority.prune(0)).toEqual({ tasks: 0, isMore: false });
    await authority.forget(100);
    expect(await authority.prune(0)).toEqual({ tasks: 1, isMore: false });
    expect(await authority.prune(0)).toEqual({ tasks: 1, isMore: false });
    const left = await places.sql(
      url,
      'SELECT (SELECT count(*)::int FROM remit.tasks) AS tasks, (SELECT count(*)::int FROM remit.tokens) AS tokens, (SELECT count(*)::int FROM remit.budgets) AS budgets, (SELECT count(*)::int FROM remit.histories) AS histories',
    );
    expect(left).toEqual([{ tasks: 1, tokens: 1, budgets: 0, histories: 0 }]);
    await state.close();
  });

  it('restarts idle times by uses, ends what is due, and counts and lists tasks', async () => {
    let nowMs = 1_000;
    const { state } = await opened({ clocks: agreeing(() => nowMs) });
    const { authority, reader } = state;
    for (const n of [5, 6]) await authority.insertTask(taskNumber(n, { idleMs: 10_000 }), tokenNumber(n), []);
    nowMs = 9_000;
    expect(await authority.appendRecords([{ ...allowedUse(5, 1), at: nowMs }])).toBeNull();
    nowMs = 12_000;
    expect(await authority.endExpired()).toBe(1);
    expect(await authority.taskOf(issuer, taskNumber(5).id)).toMatchObject({ state: 'active', lastUsedMs: 9_000 });
    expect(await authority.taskOf(issuer, taskNumber(6).id)).toMatchObject({
      state: 'expired',
      cause: { code: 'idle' },
    });
    expect(await authority.touchTasks(new Map([[taskNumber(5).id, 11_000]]))).toBeNull();
    expect(must(await reader.tasks({ state: 'active' })).map(({ id }) => id)).toEqual(
      [5, 1].map((n) => taskNumber(n).id),
    );
    expect(must(await authority.openTasks({ jtiDigest: 'digest-5' }, 10))).toMatchObject([{ lastUsedMs: 11_000 }]);
    expect(must(await authority.openTasks({ olderThan: { createdAtMs: 5, id: taskNumber(5).id } }, 10))).toHaveLength(
      1,
    );
    expect(must(await reader.taskCounts())).toMatchObject({ active: 2, suspended: 0 });
    await state.close();
  });

  it('counts sightings of secrets under a key of the database', async () => {
    const { state, url } = await opened();
    const other = must(await open(url));
    const digest = state.digestOf('hunter2');
    expect(digest).toBe(other.digestOf('hunter2'));
    const secret = { digest, kind: 'api-key', place: 'header x', agent: 'a', action: 'b' };
    await Promise.all(
      [state, other].map(({ authority }) =>
        authority.writeSecrets([
          { secret, times: 2 },
          { secret, times: 1 },
        ]),
      ),
    );
    expect(must(await state.reader.staticSecrets(10))).toEqual([
      { ...secret, firstSeenMs: 1_000, lastSeenMs: 1_000, count: 6 },
    ]);
    await Promise.all([state.close(), other.close()]);
  });

  it('holds in the tables that an ended task does not change and an open task is not deleted', async () => {
    const { state, url } = await opened();
    await expect(places.sql(url, 'DELETE FROM remit.tokens')).rejects.toThrow('a token of an open task is not deleted');
    await expect(places.sql(url, 'DELETE FROM remit.tasks')).rejects.toThrow('an open task is not deleted');
    await state.authority.applyTaskEvent(key, byOperator('complete'), 'ada');
    const revive = "UPDATE remit.tasks SET state = 'active', ended_ms = NULL, cause = NULL, cause_note = NULL";
    await expect(places.sql(url, revive)).rejects.toThrow('an ended task does not change');
    await state.close();
  });
});
