import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { Client } from 'pg';
import { postgresTargetFrom } from '../../../src/core/config/postgres-url.ts';
import { connectionOf, primaryOf } from '../../../src/authority/state/postgres/primary.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { withClosers } from '../../builders/with-closers.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { both, describeWith, envoyPart, postgresPart } from '../../parts.ts';
import { mustOpenState } from '../../postgres/opening.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';
import { RealFleet } from './real-fleet.ts';
import { seen, titleOf } from './rows.ts';

jest.setTimeout(600_000);

const folder = testFolders();
/** One way. A connection to PostgreSQL takes some eight round trips. */
const [FAR_DATABASE_MS, FAR_AUTHORITY_MS] = [150, 75];
const BUDGET = 5;
const MINUTE_MS = 60_000;

/** The state of an authority whose clock is ahead by what `aheadMs` gives. The caller closes it. */
const open = (url: string, aheadMs = () => 0) => mustOpenState(url, { clocks: agreeing(() => Date.now() + aheadMs()) });

// Issue 37, points 13 (b), (e) and (f).
describeWith(both(envoyPart(), postgresPart()), 'failure matrix: far away', ([envoy, binaries]) => {
  const places = startedPlaces(binaries, folder());

  it(
    titleOf('D-23'),
    withClosers(async (closers) => {
      const database = await places.next();
      const proxy = await FaultProxy.start(places.postgres.port);
      closers.push(() => proxy.close());
      const far = must(postgresTargetFrom(database.replace(`:${places.postgres.port}/`, `:${proxy.port}/`)));
      proxy.set({ kind: 'delay', ms: FAR_DATABASE_MS });
      const found = await until(
        async () => {
          const primary = await primaryOf(far);
          return 'timeline' in primary && primary;
        },
        { what: 'the primary that is far away' },
      );
      expect(found.timeline).toBe(1);

      const fleet = await RealFleet.start({
        envoy,
        folder: join(folder(), 'fleet'),
        database,
        authorities: ['authority-1'],
        sidecars: ['sidecar-1'],
        configure: (party) => (party === 'authority-1' ? { durability: 'single' } : {}),
      });
      closers.push(() => fleet.stop());
      const { token } = await fleet.declare({ max_calls: BUDGET });
      fleet.link('sidecar-1', 'authority-1').set({ kind: 'delay', ms: FAR_AUTHORITY_MS });
      const answers: string[] = [];
      await until(
        async () => answers.push(await fleet.call('sidecar-1', token)) > 0 && answers.at(-1)?.startsWith('403'),
        {
          what: 'the budget is used up',
        },
      );
      const allowed = answers.filter((answer) => answer === '200').length;
      seen('D-23', { 'ms of a round trip': 2 * FAR_AUTHORITY_MS, 'uses of a budget lost': BUDGET - allowed });
      expect(allowed).toBe(BUDGET);
    }),
  );

  it.each([31, 40, 50])(`${titleOf('D-24')}, %i minutes`, async (minutes) => {
    const url = await places.next();
    // At the start, the floor of its clock is no later than the clock of the database.
    let aheadMs = 0;
    const [state, ahead] = [await open(url), await open(url, () => aheadMs)];
    aheadMs = minutes * MINUTE_MS;
    const nowMs = Date.now();
    const times = { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + 60 * MINUTE_MS };
    await state.authority.insertTask(
      taskNumber(1, times),
      { ...tokenNumber(1), expiresAtMs: nowMs + 60 * MINUTE_MS },
      [],
    );
    const use = {
      decisionId: 'one',
      key: { issuer, id: taskNumber(1).id },
      jtiDigest: tokenNumber(1).jtiDigest,
      spends: [{ kind: 'calls', limit: 9 }] as const,
    };
    expect(await state.settling.settle(use)).toBeNull();
    for (let n = 0; n < 4; n += 1) await ahead.authority.prune(0);
    // It is the same use.
    expect(await state.settling.settle(use)).toBeNull();
    const spent = await places.spent(url, use.key.id);
    seen('D-24', { 'uses counted twice': spent - 1 });
    expect(spent).toBe(1);
    await Promise.all([state.close(), ahead.close()]);
  });

  it(titleOf('D-25'), async () => {
    const url = await places.next();
    const target = must(postgresTargetFrom(url));
    const state = await open(url);
    // The state's own transactions are reported too, for the moment that they last.
    const isIdle = async () => ((await state.report()).transaction_open_s ?? 0) === 0;
    await until(isIdle, { what: 'no transaction is held open' });
    const client = new Client(connectionOf(target, mustFind(target.hosts[0])));
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM remit.feed');
    const seconds = await until(async () => (await state.report()).transaction_open_s ?? 0, {
      what: 'the transaction is reported',
    });
    seen('D-25', { 'transactions reported': seconds > 0 ? 1 : 0 });
    await client.end();
    await state.close();
  });
});
