import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { PostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import { keyRevocation } from '../../../builders/key-revocation.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { mustOpenState } from '../../../postgres/opening.ts';
import { PostgresPlaces } from '../../../postgres/places.ts';

const folder = testFolders();
const opened: PostgresState[] = [];
const newJwk = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const key = (keyId: string) => ({ keyId, jwk: JSON.stringify({ ...newJwk(), kid: keyId, alg: 'ES256' }), proof: null });

async function replica(url: string): Promise<PostgresState> {
  const state = await mustOpenState(url);
  opened.push(state);
  return state;
}

const of = (...keyIds: readonly string[]) => keyIds.map((keyId) => ({ keyId, proof: null }));
const idsOf = async ({ keys }: PostgresState) => must(await keys.all()).keys.map(({ keyId }) => keyId);

describeWith(postgresPart(), 'keys of authorities in a PostgreSQL', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  beforeAll(() => places.start());
  afterAll(async () => {
    for (const state of opened) await state.close();
    await places.stop();
  });

  it('each change of the set is a change of the feed, and all authorities see it as of that change', async () => {
    const url = await places.next();
    const [one, two] = [await replica(url), await replica(url)];
    expect(await one.keys.publish(key('a'))).toBe('published');
    expect(await two.keys.publish(key('b'))).toBe('published');
    expect(await two.keys.revoke('a', keyRevocation('a'))).toBe(true);
    expect(await two.keys.remove([{ keyId: 'b', seen: null }])).toBeNull();
    const changes = must(await one.feed.feedAfter(0));
    expect(changes?.changes).toEqual(Array.from({ length: 4 }, () => ({ root: 'keys', part: 'keys' })));
    expect(must(await one.keys.all())).toMatchObject({ seq: 4, keys: [{ keyId: 'a', replica: one.replica }] });
    // Nothing was changed by these.
    expect(await two.keys.revoke('no-such-key', keyRevocation('no-such-key'))).toBe(false);
    expect(await two.keys.remove([{ keyId: 'no-such-key', seen: null }])).toBeNull();
    expect(must(await one.feed.feedEnd())).toBe(4);
  });

  it('publishing again and revoking again change nothing but the number of the feed', async () => {
    const one = await replica(await places.next());
    const first = key('a');
    for (let n = 0; n < 2; n += 1) expect(await one.keys.publish(first)).toBe('published');
    expect(await one.keys.revoke('a', keyRevocation('a'))).toBe(true);
    const [before] = must(await one.keys.all()).keys;
    expect(await one.keys.revoke('a', keyRevocation('a'))).toBe(true);
    expect(await one.keys.publish(first)).toBe('published');
    expect(must(await one.keys.all()).keys).toEqual([before]);
    expect(before?.revokedAtMs).toEqual(expect.any(Number));
    // The record is written once.
    const records = must(await one.reader.outbox(0, 100)).map(({ bytes }) => Buffer.from(bytes).toString('utf8'));
    expect(records).toEqual([Buffer.from(keyRevocation('a').bytes).toString('utf8')]);
  });

  it('an authority says only of its own keys that it has them, and of no revoked key', async () => {
    const url = await places.next();
    const [one, two] = [await replica(url), await replica(url)];
    for (const keyId of ['a', 'b']) await one.keys.publish(key(keyId));
    await one.keys.revoke('b', keyRevocation('b'));
    expect(await two.keys.touch(of('a', 'b'))).toEqual(new Set());
    expect(await one.keys.touch(of('a', 'b', 'c'))).toEqual(new Set(['a']));
  });

  it('a key whose authority has said since that it has it is not removed', async () => {
    const one = await replica(await places.next());
    await one.keys.publish(key('a'));
    const [seen] = must(await one.keys.all()).keys;
    await one.keys.touch(of('a'));
    expect(await one.keys.remove([{ keyId: 'a', seen: seen?.seen ?? '' }])).toBeNull();
    expect(await idsOf(one)).toEqual(['a']);
    const [now] = must(await one.keys.all()).keys;
    await one.keys.remove([{ keyId: 'a', seen: now?.seen ?? '' }]);
    expect(await idsOf(one)).toEqual([]);
  });

  it('takes at most 64 keys', async () => {
    const one = await replica(await places.next());
    for (let n = 0; n < 64; n += 1) expect(await one.keys.publish(key(`k${n}`))).toBe('published');
    expect(await one.keys.publish(key('one-more'))).toBe('full');
    expect(await idsOf(one)).not.toContain('one-more');
  });

  it('the database refuses a private key, another key under an id, and a revoked key that is valid again', async () => {
    const url = await places.next();
    const one = await replica(url);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const secret = JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 's' });
    expect(await one.keys.publish({ proof: null, keyId: 's', jwk: secret })).toMatchObject({
      detail: expect.any(String),
    });
    await one.keys.publish(key('a'));
    const set = (to: string) => places.sql(url, `UPDATE remit.signing_keys SET ${to} WHERE kid = 'a'`);
    await expect(set(`jwk = '{}'`)).rejects.toThrow('a key does not change');
    await expect(set(`replica = gen_random_uuid()`)).rejects.toThrow('a key does not change');
    await one.keys.revoke('a', keyRevocation('a'));
    await expect(set('revoked_at = NULL')).rejects.toThrow('a revoked one stays revoked');
    expect(await idsOf(one)).toEqual(['a']);
  });
});
