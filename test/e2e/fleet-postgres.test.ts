import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { ledgerFetch } from '../../src/cli/ledger/ledger-fetch.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { mustFind } from '../builders/must.ts';
import { ran as ranHere } from '../cli/ledgers.ts';
import { describeWith, envoyPart, postgresPart } from '../parts.ts';
import { PostgresPlaces } from '../postgres/places.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet, SIDECARS } from './fleet.ts';
import type { SidecarName } from './fleet.ts';
import { ran } from './process.ts';

/** A record, as far as it is looked at here. */
interface Found {
  readonly log?: string;
  readonly event?: string;
  readonly origin?: string;
  readonly size?: number;
}

interface Verified {
  readonly origin: string;
  readonly missing: number;
  readonly state: string;
}

const kidOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8')).kid;

describeWith(envoyPart(), 'two authorities on one PostgreSQL, and two sidecars', (envoy) => {
  describeWith(postgresPart(), 'with a real PostgreSQL', (binaries) => {
    const scratch = testFolder(async () => {
      await fleet?.stop();
      await places?.stop();
    });
    let places: PostgresPlaces;
    let fleet: Fleet;
    const answers = async (name: SidecarName, token: string, answer: string): Promise<unknown> =>
      until(async () => (await fleet.call(name, token)) === answer, { what: `\`${answer}\` at ${name}` });

    beforeAll(async () => {
      // The user of the database reads its folder.
      await chmod(scratch.folder, 0o755);
      await mkdir(join(scratch.folder, 'pg'));
      places = new PostgresPlaces(binaries, join(scratch.folder, 'pg'));
      await places.start();
      fleet = await Fleet.start(envoy, join(scratch.folder, 'fleet'), { database: await places.next() });
    });

    it('use a task that was declared at one authority, and refuse it once it ended at the other', async () => {
      const { token, taskId } = await fleet.declare();
      for (const name of SIDECARS) await answers(name, token, '200');
      // The answer waits until no sidecar can use the older state, also where it follows the other authority.
      expect(await fleet.complete(taskId, 'second')).toMatchObject({ enforcement: { enforced: true, holders: 2 } });
      for (const name of SIDECARS) expect(await fleet.call(name, token)).toBe('403 task.completed');
    });

    it('have the record of a use of high risk, and of the task, in the ledger of each authority, once', async () => {
      const { token, taskId } = await fleet.declare(undefined, ['payments.refund']);
      let uses = 0;
      const refunded = async () => {
        uses += 1;
        return (await fleet.call('remote', token, '/v1/payments/p-1/refund', 'POST')) === '200';
      };
      await until(refunded, { what: 'a refund' });
      expect(await fleet.complete(taskId, 'second')).toMatchObject({ enforcement: { enforced: true } });
      for (const name of ['authority', 'second'] as const) {
        const records = async (...asked: readonly string[]): Promise<readonly Record<string, unknown>[]> => {
          const of = ['--ledger', join(fleet.folder, `ledger-${name}`), '--task', taskId, '--json', ...asked];
          const { out } = await ranHere(ledgerQuery, ...of);
          return out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
        };
        const receipts = async () => (await records('--kind', 'event')).filter(({ event }) => event === 'receipt');
        await until(async () => (await receipts()).length > 0, { what: `the receipt in the ledger of ${name}` });
        expect(await receipts()).toHaveLength(1);
        for (const kind of ['intent', 'token', 'end']) expect(await records('--kind', kind)).toHaveLength(1);
        const used = (await records('--kind', 'use')).filter(({ tokenUse }) => tokenUse === uses);
        expect(used).toMatchObject([{ decision: 'allow', by: 'spiffe://acme.test/ns/pay/sa/tools-1' }]);
      }
    });

    it('verify tokens of both authorities, and none of a key that is revoked', async () => {
      const [one, two] = [await fleet.declare(), await fleet.declare(undefined, undefined, 'second')];
      for (const name of SIDECARS) for (const { token } of [one, two]) await answers(name, token, '200');
      const [kid, other] = [kidOf(one.token), kidOf(two.token)];
      const config = ['--config', join(fleet.folder, 'second.yaml')];
      const listed = await ran(['key', 'list', '--json', ...config]);
      expect(listed).toMatchObject({ code: 0, err: '' });
      expect(
        JSON.parse(listed.out)
          .map((key: { kid: string }) => key.kid)
          .toSorted(),
      ).toEqual([kid, other].toSorted());
      const revoked = await ran(['key', 'revoke', kid, '--cause', 'memory read', '--by', 'Ada', '--json', ...config]);
      const refusals = await Promise.all(SIDECARS.map((name) => fleet.call(name, one.token)));
      expect(refusals).toEqual(['401 token.signature', '401 token.signature']);
      expect(JSON.parse(revoked.out)).toMatchObject({ kid, enforcement: { enforced: true, holders: 2, fenced: 0 } });
      expect(revoked.code).toBe(0);
      for (const name of ['authority', 'second'] as const) {
        const asked = ['--ledger', join(fleet.folder, `ledger-${name}`), '--kind', 'event', '--json'];
        const inLedger = async () => (await ranHere(ledgerQuery, ...asked)).out.includes('"event":"key-revoked"');
        await until(inLedger, { what: `the record of the key in the ledger of ${name}` });
      }
      for (const name of SIDECARS) expect(await fleet.call(name, two.token)).toBe('200');
      // The authority goes on with a new key.
      await until(async () => (await fleet.readiness('authority')).startsWith('200'), { what: 'a new key' });
      const again = await fleet.declare();
      expect(kidOf(again.token)).not.toBe(kid);
      for (const name of SIDECARS) await answers(name, again.token, '200');
      expect(await ran(['key', 'revoke', 'no-such-key', '--cause', 'test', ...config])).toMatchObject({ code: 1 });
    });

    it.each([
      { what: 'another issuer', change: { url: 'https://issuer.test.test' } },
      { what: 'other trust domains', change: {}, trustDomains: ['test.test'] },
    ])('are not joined by an authority of $what', async ({ change, trustDomains = ['acme.test'] }) => {
      const settings = parse(await readFile(join(fleet.folder, 'authority.yaml'), 'utf8'));
      const other = join(fleet.folder, 'other-fleet.yaml');
      // That of the file is taken by the authority that runs.
      const admin = { listen: '127.0.0.1:0' };
      await writeFile(
        other,
        stringify({ ...settings, trustDomains, admin, issuer: { ...settings.issuer, ...change } }),
      );
      const problem = 'the database belongs to the fleet of issuer `https://issuer.acme.test` in `acme.test`';
      const served = await ran(['serve', '--config', other]);
      expect([served.code, served.err]).toEqual([2, expect.stringContaining(problem)]);
      const checked = await ran(['serve', '--check', '--config', other]);
      expect([checked.code, `${checked.out}${checked.err}`]).toEqual([2, expect.stringContaining(problem)]);
    });

    it('are listed by `remit fleet`, with their database and the sidecars of both', async () => {
      const admins = ['authority', 'second'].flatMap((name) => ['--admin', fleet.admin(name as 'authority')]);
      const { code, out } = await ran(['fleet', ...admins]);
      const lines = out.trimEnd().split('\n');
      expect(code).toBe(0);
      expect(
        lines.filter((line) =>
          /^authority {2}beat [\d.]+ s ago +behind 0 +[012] sidecars? +\S+ +127\.0\.0\.1:\d+ {2}\S+$/.test(line),
        ),
      ).toHaveLength(2);
      expect(lines).toContainEqual(expect.stringMatching(/^database {3}primary {3}localhost:\d+ {2}timeline 1$/));
      expect(lines.filter((line) => line.startsWith('connected'))).toHaveLength(2);
      expect(lines.at(-1)).toBe('2 sidecars');
    });

    it('go on at the other authority if an authority is killed', async () => {
      const { token, taskId } = await fleet.declare({ max_calls: 1_000 });
      await answers('remote', token, '200');
      fleet.signal('authority', 'SIGKILL');
      // A budget is spent at the other one.
      await answers('remote', token, '200');
      await fleet.complete(taskId, 'second');
      await answers('remote', token, '403 task.completed');
      expect(await fleet.readiness('remote')).toContain('200');
    });

    it('leave their records in the database, where the log of each goes on without a gap at the other authority', async () => {
      // The one that is left is killed, so that each log moves at least once.
      await fleet.serve('authority');
      const { token } = await fleet.declare(undefined, ['payments.read'], 'second');
      await answers('remote', token, '200');
      fleet.signal('second', 'SIGKILL');
      const { token: later, taskId } = await fleet.declare(undefined, ['payments.read']);
      await answers('remote', later, '200');
      const of = ['--config', join(fleet.folder, 'authority.yaml')];
      const out = join(scratch.folder, 'fetched');
      const records = async (...asked: readonly string[]): Promise<readonly Found[]> => {
        expect((await ranHere(ledgerFetch, ...of, '--out', out)).err).toBe('');
        const found = await ranHere(ledgerQuery, ...of, '--received', out, '--json', ...asked);
        return found.out.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
      };
      const uses = () => records('--task', taskId, '--kind', 'use', '--decision', 'allow');
      await until(async () => (await uses()).length > 0, { what: 'the use in the database' });
      const { log = '' } = mustFind((await uses())[0]);
      expect(log.split('/')[1]).toBe('remote');
      // This authority took the log over from the other one, in the middle.
      const joined = (await records('--kind', 'emitter')).filter(
        ({ event, origin }) => event === 'joined' && origin === log,
      );
      expect(joined.some(({ size = 0 }) => size > 0)).toBe(true);
      const ledgers = (['authority', 'second'] as const).flatMap((name) => [
        '--key',
        fleet.ledgerKey(name),
        '--ledger',
        join(fleet.folder, `ledger-${name}`),
      ]);
      const verified = await ranHere(ledgerVerify, ...ledgers, '--received', out, '--json');
      // 2: the last seconds of what goes on are under no checkpoint.
      expect([0, 2]).toContain(verified.exit);
      const { received } = JSON.parse(verified.out) as { readonly received: readonly Verified[] };
      expect(received.find(({ origin }) => origin === log)).toMatchObject({ missing: 0, state: 'open' });
    });
  });
});
