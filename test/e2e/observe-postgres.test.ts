import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerEvidence } from '../../src/cli/ledger/ledger-evidence.ts';
import { ledgerFetch } from '../../src/cli/ledger/ledger-fetch.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { runObserve } from '../../src/cli/observe.ts';
import { dayOf, DAY_MS } from '../../src/core/runtime/day.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart, postgresPart } from '../parts.ts';
import { PostgresPlaces } from '../postgres/places.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet } from './fleet.ts';
import type { AuthorityName } from './fleet.ts';

/** A record of a use, as far as it is looked at here. */
interface FoundUse {
  readonly seq: number;
  readonly log?: string;
  readonly decisionId: string;
  readonly path: string;
  readonly mode?: string;
  readonly would?: { readonly decision: string };
}

const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const enforcement = `observe:
  - id: planners
    agents: ['spiffe://acme.test/ns/agents/*']
    servers: [payments]
    until: ${dayOf(Date.now() + 30 * DAY_MS)}
    owner: team-payments
    because: CHG-1
`;

const isUnheard = ({ path }: FoundUse): boolean => path === '/v1/unheard/17';

/** The observed uses among the records that the options name. */
async function observedUsesIn(...args: readonly string[]): Promise<readonly FoundUse[]> {
  const { out } = await ran(ledgerQuery, ...args, '--mode', 'observe', '--limit', '1000', '--json');
  return out.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as FoundUse] : []));
}

/** How many records are alike, as `--count --json` prints it. */
interface FoundCount {
  readonly mode: string | null;
  readonly decision: string | null;
  readonly would: string | null;
  readonly count: number;
}

const sumOf = (counts: readonly FoundCount[]): number => counts.reduce((sum, { count }) => sum + count, 0);

/** Expects that the uses are counted apart from enforced ones, by what enforcing would have answered. */
async function expectCountedApart(uses: readonly FoundUse[], among: readonly string[]): Promise<void> {
  const { exit, out } = await ran(ledgerQuery, ...among, '--kind', 'use', '--count', '--json');
  const counts = out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as FoundCount]));
  const observed = counts.filter(({ mode }) => mode === 'observe');
  expect([exit, sumOf(observed)]).toEqual([0, uses.length]);
  for (const answer of ['allow', 'deny']) {
    const expected = uses.filter(({ would }) => would?.decision === answer).length;
    expect(expected).toBeGreaterThan(0);
    expect(sumOf(observed.filter(({ would }) => would === answer))).toBe(expected);
  }
  // What was enforced before is in groups of its own.
  expect(counts.filter(({ mode }) => mode === null).every(({ would }) => would === null)).toBe(true);
  const table = await ran(ledgerQuery, ...among, '--kind', 'use', '--count');
  expect(table.out).toMatch(/observed, would allow .*\d+$/m);
  expect(table.out).toMatch(/observed, would deny .*\d+$/m);
}

/** The evidence of an authority about the copied records of sidecars that it received. */
function evidenceOf(fleet: Fleet, name: AuthorityName, received: string) {
  const names = [name, ...fleet.authorities.filter((each) => each !== name)];
  const ledgers = names.flatMap((each) => ['--ledger', join(fleet.folder, `ledger-${each}`)]);
  const keys = names.flatMap((each) => ['--key', fleet.ledgerKey(each)]);
  const asked = ['--framework', 'csf-2.0', '--from', '-1d', '--format', 'json', '--received', received];
  return ran(ledgerEvidence, ...asked, ...ledgers, ...keys);
}

// Issue 41, point 4: sidecars and PostgreSQL alike.
describeWith(envoyPart(), 'observed uses at a sidecar of authorities on a PostgreSQL', (envoy) => {
  describeWith(postgresPart(), 'with a real PostgreSQL', (binaries) => {
    const scratch = testFolder(async () => {
      await fleet?.stop();
      await places?.stop();
    });
    let places: PostgresPlaces;
    let fleet: Fleet;
    beforeAll(async () => {
      // The user of the database reads its folder.
      await chmod(scratch.folder, 0o755);
      await mkdir(join(scratch.folder, 'pg'));
      places = new PostgresPlaces(binaries, join(scratch.folder, 'pg'));
      await places.start();
      fleet = await Fleet.start(envoy, join(scratch.folder, 'fleet'), { database: await places.next() });
      await writeFile(join(fleet.folder, 'policies', 'enforcement.yaml'), enforcement);
      await fleet.policies.publish(2);
      const isObserved = async () => (await fleet.call('remote', 'of-the-upstream')) === '200';
      await until(isObserved, { what: 'the sidecar observes' });
    });

    it('arrive in the database as the sidecar recorded them: mode, entry, would and shape', async () => {
      const { token } = await fleet.declare();
      const ownUses = async () => observedUsesIn('--ledger', join(fleet.folder, 'ledger-remote'));
      // A call that comes while the sidecar waits for its authority is recorded as such.
      const isAllowed = async (): Promise<boolean> => {
        await fleet.call('remote', token);
        return (await ownUses()).some(({ would }) => would?.decision === 'allow');
      };
      await until(isAllowed, { what: 'an observed use that enforcing would allow' });
      const strange = {
        host: 'payments.acme.test',
        path: '/v1/unheard/17?page=2',
        method: 'POST',
        headers: { authorization: 'Bearer of-the-upstream', 'content-type': 'application/json' },
        body: JSON.stringify({ amount: 12, to: { iban: 'DE02' } }),
      };
      const { body } = await fleet.agent.call(fleet.envoyPort('remote'), strange);
      expect(body).not.toContain('"reason"');
      await until(async () => (await ownUses()).some(isUnheard), { what: 'the record of the call that is not known' });
      const own = await ownUses();
      const unheard = own.find(isUnheard);
      const allowed = own.find(({ would }) => would?.decision === 'allow');
      expect(unheard).toMatchObject({
        decision: 'allow',
        mode: 'observe',
        entry: 'planners',
        policyIds: [],
        reason: null,
        would: { decision: 'deny', policyIds: [] },
        shape: {
          protocol: 'http',
          query: ['page'],
          members: { amount: 'integer', to: { iban: 'string' } },
        },
      });
      expect(allowed).toMatchObject({ mode: 'observe', entry: 'planners', would: { decision: 'allow', reason: null } });
      expect(JSON.stringify(unheard)).not.toMatch(/DE02|of-the-upstream/);

      const config = ['--config', join(fleet.folder, 'authority.yaml')];
      const out = join(scratch.folder, 'fetched');
      const fetched = async (): Promise<readonly FoundUse[]> => {
        expect((await ran(ledgerFetch, ...config, '--out', out)).err).toBe('');
        return (await observedUsesIn(...config, '--received', out)).filter(
          ({ log }) => log?.split('/')[1] === 'remote',
        );
      };
      const isThere = async (): Promise<boolean> => {
        const ids = new Set((await fetched()).map(({ decisionId }) => decisionId));
        return own.every(({ decisionId }) => ids.has(decisionId));
      };
      await until(isThere, { what: 'the uses in the database' });
      const received = new Map((await fetched()).map(({ log: _log, ...use }) => [use.decisionId, use]));
      for (const use of own) expect(received.get(use.decisionId)).toEqual(use);

      const among = [...config, '--received', out];
      const uses = await observedUsesIn(...among);
      await expectCountedApart(uses, among);
      // Each authority reports what it received and a checkpoint covers; the ledger may know of records that came after the copy, which is then incomplete.
      let counted = 0;
      const areCounted = async (): Promise<boolean> => {
        await fetched();
        const made = await Promise.all(fleet.authorities.map((name) => evidenceOf(fleet, name, out)));
        if (made.some(({ exit }) => exit !== 0)) return false;
        counted = made.reduce((sum, { out: report }) => sum + (JSON.parse(report).observed.count as number), 0);
        return counted >= uses.length;
      };
      await until(areCounted, { what: 'a copy that the ledgers agree with, with all uses below checkpoints' });
      expect(counted).toBe(uses.length);

      const observed = await ran(
        runObserve,
        ...config,
        '--received',
        out,
        '--agent',
        AGENT,
        '--json',
        '--policies',
        join(fleet.folder, 'policies'),
      );
      expect(observed).toMatchObject({ exit: 1, err: '' });
      expect(JSON.parse(observed.out)).toMatchObject({
        read: { foreign: 0, missing: 0 },
        entries: [
          {
            id: 'planners',
            agents: [
              {
                agent: AGENT,
                calls: received.size,
                actions: expect.arrayContaining([
                  expect.objectContaining({ name: 'POST payments.acme.test/v1/unheard/{unheard:int}', calls: 1 }),
                  expect.objectContaining({ name: 'payments.read' }),
                ]),
              },
            ],
          },
        ],
      });
    });
  });
});
