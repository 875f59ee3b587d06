import { expect, it } from '@jest/globals';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { ReplicaKeys } from '../../../../src/authority/issuer/keys/replica-keys.ts';
import { KEPT_MS } from '../../../../src/authority/issuer/keys/silent-keys.ts';
import type { PublicJwks } from '../../../../src/authority/issuer/keys/signing-keys.ts';
import { storeFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { SharedKeys } from '../../../../src/core/state/shared-keys.ts';
import { closedAfterEach } from '../../../builders/with-closers.ts';
import { keyRevocation } from '../../../builders/key-revocation.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { mustOpenState } from '../../../postgres/opening.ts';
import { startedPlaces } from '../../../postgres/places.ts';
import { until } from '../../../until.ts';

const folder = testFolders();
const closers = closedAfterEach();
const WAIT_MS = 10_000;

/** The keys of one more authority, with a clock that moves by `step` alone. `around` puts something before the database. */
async function authority(url: string, around: (store: SharedKeys) => SharedKeys = (store) => store) {
  const state = await mustOpenState(url);
  closers.push(() => state.close());
  const clock = { monotonicMs: 1_000 };
  const waiting: (() => void)[] = [];
  const published: PublicJwks[] = [];
  const problems: (string | null)[] = [];
  let isCurrent = true;
  const keys = await ReplicaKeys.open({
    store: around(state.keys),
    ports: { monotonicMs: () => clock.monotonicMs },
    after: (_ms, run) => {
      waiting.push(run);
      return () => void waiting.splice(waiting.indexOf(run), 1);
    },
    waitMs: WAIT_MS,
    isCurrent: () => isCurrent,
    onProblem: (problem) => problems.push(problem),
    onPublished: (jwks) => published.push(jwks),
  });
  closers.push(() => keys.close());
  return {
    state,
    keys,
    published,
    problems,
    /** Lets time pass, and the work of one interval be done. */
    step: async (ms: number): Promise<void> => {
      clock.monotonicMs += ms;
      must(waiting.shift() ?? { problem: 'no step waits' })();
      await until(() => waiting.length === 1, { what: 'the end of a step' });
    },
    behind: () => (isCurrent = false),
  };
}

const idsOf = (jwks: PublicJwks): readonly string[] => jwks.keys.map(({ kid }) => String(kid)).toSorted();
const claims = { iss: 'https://remit.acme.test' };

describeWith(postgresPart(), 'ReplicaKeys over a PostgreSQL', (binaries) => {
  const places = startedPlaces(binaries, folder());

  it('signs once its key has been published for as long as a sidecar may not have it', async () => {
    const { keys, step } = await authority(await places.next());
    expect(keys.problem()).toBe('the key of this authority signs in 10 s, once every sidecar has it');
    expect(() => keys.current()).toThrow('signs in 10 s');
    await step(WAIT_MS - 1);
    expect(keys.problem()).toContain('signs in 1 s');
    await step(1);
    expect(keys.problem()).toBeNull();
    const [header = ''] = (await keys.current().sign(claims)).split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ kid: idsOf(keys.jwks())[0] });
  });

  it('counts no time before it is known that the key is published', async () => {
    let isAway = true;
    const { keys, problems, step } = await authority(await places.next(), (store) => ({
      all: () => store.all(),
      publish: async (key) => (isAway ? storeFailure('busy', 'the database is away') : store.publish(key)),
      touch: (ids) => store.touch(ids),
      remove: (gone) => store.remove(gone),
    }));
    await step(WAIT_MS * 10);
    expect(keys.problem()).toBe('the database is away');
    expect(problems).toContain('the database is away');
    isAway = false;
    await step(1);
    expect(keys.problem()).toContain('signs in 10 s');
    await step(WAIT_MS);
    expect(keys.problem()).toBeNull();
  });

  it('verifies by the keys of all authorities, also of an authority that is gone, until its last token has expired', async () => {
    const url = await places.next();
    const one = await authority(url);
    const two = await authority(url);
    await two.step(WAIT_MS);
    const { keyId } = two.keys.current();
    await one.keys.reload();
    expect(idsOf(one.keys.jwks())).toEqual(idsOf(two.keys.jwks()));
    expect(isDeny(one.keys.verificationKey(keyId, 'ES256'))).toBe(false);
    expect(one.keys.verificationKey(keyId, 'RS256')).toMatchObject({ reason: 'token.algorithm' });
    // Two is killed: it says nothing any more.
    for (let ms = 0; ms < KEPT_MS; ms += 30_000) await one.step(30_000);
    expect(isDeny(one.keys.verificationKey(keyId, 'ES256'))).toBe(false);
    await one.step(30_000);
    await one.step(30_000);
    expect(one.keys.verificationKey(keyId, 'ES256')).toMatchObject({ reason: 'token.signature' });
    expect(idsOf(one.keys.jwks())).toEqual([one.keys.current().keyId]);
    // It was only stopped, and comes back: it signs no more with that key.
    await two.step(KEPT_MS);
    expect(two.keys.problem()).not.toBeNull();
    await two.step(1);
    await two.step(WAIT_MS);
    expect(two.keys.current().keyId).not.toBe(keyId);
  });

  it('signs no more once it could not say for two minutes that it has its key', async () => {
    let isAway = false;
    const { keys, step } = await authority(await places.next(), (store) => ({
      all: () => store.all(),
      publish: (key) => store.publish(key),
      touch: async (ids) => (isAway ? storeFailure('busy', 'the database is away') : store.touch(ids)),
      remove: (gone) => store.remove(gone),
    }));
    await step(WAIT_MS);
    isAway = true;
    await step(110_000);
    expect(keys.problem()).toBeNull();
    await step(11_000);
    expect(keys.problem()).toBe('this authority could not say in the database that it has its key');
    isAway = false;
    await step(1_000);
    expect(keys.problem()).toBeNull();
  });

  it('a revoked key verifies nothing once its change is read, and its authority goes on with a new key', async () => {
    const url = await places.next();
    const [one, two] = [await authority(url), await authority(url)];
    await two.step(WAIT_MS);
    const { keyId } = two.keys.current();
    await one.keys.reload();
    expect(await one.state.keys.revoke(keyId, keyRevocation(keyId))).toBe(true);
    const seq = must(await one.state.feed.feedEnd());
    for (const { keys } of [one, two]) {
      expect(await keys.readTo(seq)).toBe(true);
      expect(keys.verificationKey(keyId, 'ES256')).toMatchObject({ reason: 'token.signature' });
      expect(idsOf(keys.jwks())).not.toContain(keyId);
    }
    expect(two.published.at(-1)).toEqual(two.keys.jwks());
    expect(() => two.keys.current()).toThrow();
    await two.step(1_000);
    await two.step(WAIT_MS);
    expect(two.keys.current().keyId).not.toBe(keyId);
  });

  it('reads no keys from a database that has not got the change yet', async () => {
    const { keys, state } = await authority(await places.next());
    const seq = must(await state.feed.feedEnd());
    expect(await keys.readTo(seq)).toBe(true);
    expect(await keys.readTo(seq + 1)).toBe(false);
  });

  it('a rotated key signs once all caches have it, and the key before verifies until its last token has expired', async () => {
    const url = await places.next();
    const [one, watching] = [await authority(url), await authority(url)];
    await one.step(WAIT_MS);
    const before = one.keys.current().keyId;
    expect(await one.keys.rotate()).toBeNull();
    expect(idsOf(one.keys.jwks())).toHaveLength(3);
    await one.step(300_000);
    // It was away for longer than it may sign.
    await one.step(1_000);
    expect(one.keys.current().keyId).toBe(before);
    await one.step(60_000);
    expect(one.keys.current().keyId).not.toBe(before);
    expect(isDeny(one.keys.verificationKey(before, 'ES256'))).toBe(false);
    for (let ms = 0; ms <= KEPT_MS + 30_000; ms += 30_000) {
      await one.step(30_000);
      await watching.step(30_000);
    }
    await one.keys.reload();
    expect(one.keys.verificationKey(before, 'ES256')).toMatchObject({ reason: 'token.signature' });
    expect(isDeny(one.keys.verificationKey(one.keys.current().keyId, 'ES256'))).toBe(false);
  });

  it('a day makes a new key', async () => {
    const { keys, step } = await authority(await places.next());
    await step(WAIT_MS);
    const before = keys.current().keyId;
    for (let ms = 0; ms <= 24 * 3_600_000 + 400_000; ms += 110_000) await step(110_000);
    expect(keys.current().keyId).not.toBe(before);
  });

  it('verifies nothing while it does not know which keys are revoked', async () => {
    const { behind, keys, step } = await authority(await places.next());
    await step(WAIT_MS);
    behind();
    expect(keys.verificationKey(keys.current().keyId, 'ES256')).toMatchObject({ reason: 'token.keys-unavailable' });
  });

  it('withdraws at its end a key that has signed nothing, and no other', async () => {
    const url = await places.next();
    const watching = await authority(url);
    const [unused, used] = [await authority(url), await authority(url)];
    await used.step(WAIT_MS);
    const { keyId } = used.keys.current();
    await unused.keys.close();
    await used.keys.close();
    await watching.keys.reload();
    expect(idsOf(watching.keys.jwks())).toHaveLength(2);
    expect(idsOf(watching.keys.jwks())).toContain(keyId);
  });

  it('no private key is in the database', async () => {
    const url = await places.next();
    const { keys, step } = await authority(url);
    await step(WAIT_MS);
    await keys.current().sign(claims);
    const tables = await places.sql(
      url,
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'remit'",
    );
    const rows = await Promise.all(
      tables.map(({ name }) => places.sql(url, `SELECT t::text AS row FROM ${String(name)} t`)),
    );
    const dump = rows.flat().map(({ row }) => String(row));
    expect(dump.some((row) => row.includes(keys.current().keyId))).toBe(true);
    // The members of a private key (RFC 7518 section 6.2.2), and PEM.
    for (const row of dump) expect(row).not.toMatch(/""?d""?:|PRIVATE KEY/);
  });
});
