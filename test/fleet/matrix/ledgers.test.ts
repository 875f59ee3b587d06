import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { withClosers, type Closers } from '../../builders/with-closers.ts';
import { ran } from '../../e2e/process.ts';
import { both, describeWith, envoyPart, postgresPart } from '../../parts.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';
import { RealFleet } from './real-fleet.ts';
import type { AuthorityParty } from './real-fleet.ts';
import { seen, titleOf } from './rows.ts';

jest.setTimeout(600_000);

const folder = testFolders();
/** How many uses of high risk, and how many ends, are made while an authority is away. */
const [REFUNDS, ENDS] = [20, 10];

// Issue 37, point 13 (a).
describeWith(both(envoyPart(), postgresPart()), 'failure matrix: the ledgers of authorities', ([envoy, binaries]) => {
  const places = startedPlaces(binaries, folder());

  /** A fleet of which one authority is away for longer than the others wait, and the other one loses its disk. */
  const lossOf = async (closers: Closers, copies: number | null) => {
    const database = await places.next();
    const fleet = await RealFleet.start({
      envoy,
      folder: join(folder(), 'fleet'),
      database,
      sidecars: ['sidecar-1'],
      configure: (party) =>
        party.startsWith('authority')
          ? {
              durability: 'managed',
              ledger: {
                folder: `ledger-${party}`,
                name: party,
                key: `${party}.pem`,
                checkpoints: `${party}.txt`,
                ...(copies === null ? {} : { copies }),
              },
            }
          : {},
    });
    closers.push(() => fleet.stop());
    const waiting = async (): Promise<number> =>
      Number((await places.sql(database, 'SELECT count(*) AS count FROM remit.outbox'))[0]?.['count']);
    const ledger = async (of: AuthorityParty, ...args: readonly string[]) => {
      const { out } = await ran([
        'ledger',
        'query',
        '--config',
        fleet.config(of),
        ...args,
        '--json',
        '--limit',
        '9999',
      ]);
      return out.split('\n').filter((line) => line.startsWith('{'));
    };
    const { token, taskId } = await fleet.declare();
    await until(async () => (await fleet.call('sidecar-1', token, { isRefund: true })) === '200', {
      what: 'a refund is allowed',
    });
    await fleet.kill('authority-1');
    let refunds = 1;
    await until(
      async () => (await fleet.call('sidecar-1', token, { isRefund: true })) === '200' && ++refunds > REFUNDS,
      {
        what: 'refunds are allowed',
      },
    );
    const ended: string[] = [];
    for (let n = 0; n < ENDS; n += 1) {
      const declared = await fleet.declare({}, 'authority-2');
      await fleet.complete(declared.taskId, { at: 'authority-2', wait: 'committed' });
      ended.push(declared.taskId);
    }
    // As after an hour away.
    await places.sql(
      database,
      `UPDATE remit.relays SET seen = seen - interval '1 hour' WHERE ledger LIKE '%/authority-1/%'`,
    );
    await until(async () => (await ledger('authority-2', '--kind', 'end')).length >= ENDS, {
      what: 'the ledger that is there has the ends',
    });
    return { fleet, waiting, ledger, taskId, refunds, ended };
  };

  it.concurrent(
    titleOf('D-19'),
    withClosers(async (closers) => {
      const { fleet, ledger, refunds, ended, taskId } = await lossOf(closers, null);
      // Longer than it takes to give up what may be given up.
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      await fleet.kill('authority-2');
      await rm(join(fleet.folder, 'ledger-authority-2'), { recursive: true });
      await fleet.serve('authority-1');
      const kept = await until(
        async () => {
          const ends = await ledger('authority-1', '--kind', 'end');
          return ends.length >= ENDS && ends;
        },
        { what: 'the ledger that was away has the ends' },
      );
      const uses = await ledger('authority-1', '--task', taskId, '--kind', 'use', '--decision', 'allow');
      seen('D-19', { 'ends lost': ended.length - kept.length, 'uses of high risk lost': refunds - uses.length });
      expect(kept).toHaveLength(ended.length);
      expect(uses.length).toBeGreaterThanOrEqual(refunds);
    }),
  );

  it.concurrent(
    'finds the records that are lost if a single ledger was to be enough',
    withClosers(async (closers) => {
      const { fleet, waiting } = await lossOf(closers, 1);
      await until(async () => (await waiting()) === 0, { what: 'the records leave the database' });
      const keyOf = (party: AuthorityParty): string =>
        /verified with (\S+)/.exec(fleet.process(party).out() + fleet.process(party).err())?.[1] ?? '';
      await fleet.kill('authority-2');
      await fleet.serve('authority-1');
      const folderOf = (party: AuthorityParty): string => join(fleet.folder, `ledger-${party}`);
      const of = (party: AuthorityParty): readonly string[] => ['--ledger', folderOf(party), '--key', keyOf(party)];
      await until(async () => (await fleet.metric('authority-1', 'remit_records_missing_total')) > 0, {
        what: 'the authority says that records are missing',
      });
      const alone = await until(
        async () => {
          const verified = await ran(['ledger', 'verify', ...of('authority-1')]);
          return verified.code !== 2 && verified;
        },
        { what: 'a ledger without a bare tail' },
      );
      expect(alone).toMatchObject({ code: 3, out: expect.stringMatching(/MISSING: records \d+ to \d+ are in none/) });
      // It was killed: what it has after its last checkpoint counts once it has signed that.
      await fleet.serve('authority-2');
      await until(
        async () =>
          !(await ran(['ledger', 'verify', ...of('authority-1'), ...of('authority-2')])).out.includes('MISSING'),
        { what: 'the other ledger has them' },
      );
      await fleet.kill('authority-2');
      await rm(folderOf('authority-2'), { recursive: true });
      expect((await ran(['ledger', 'verify', ...of('authority-1')])).code).toBe(3);
    }),
  );
});
