import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { CompactSign } from 'jose';
import { bundleFrom, bundleKeyFrom, signedBundle } from '../../../src/policy/bundle/bundle.ts';
import { keyPair } from './key-pair.ts';
import type { BundleKey } from '../../../src/policy/bundle/bundle.ts';
import { hashOf } from '../../../src/policy/loading/proved-set.ts';
import type { PolicySource } from '../../../src/policy/loading/source.ts';
import { isProblem } from '../../../src/runtime/problem.ts';
import { folderWith, mustLoad } from '../../builders/policy-folder.ts';

const head = { version: 'v1', serial: 7, issuedAtMs: 1, expiresAtMs: 2 };
const source = folderWith('@id("p") permit (principal, action, resource);\n', {
  entities: '[]',
  descriptorSets: new Map([['a.binpb', Uint8Array.of(0, 255)]]),
});

const signed = (payload: string, { key, algorithm, jwk }: BundleKey, header: Record<string, string> = {}) =>
  new CompactSign(Buffer.from(payload))
    .setProtectedHeader({ alg: algorithm, kid: jwk.kid ?? '', typ: 'remit-policies+jws', ...header })
    .sign(key);

const payload = (changed: Record<string, unknown>) =>
  JSON.stringify({
    version: 'v1',
    serial: 1,
    issuedAt: 1,
    expiresAt: 2,
    hash: 'sha-256:x',
    files: [
      { name: 'actions.yaml', text: '' },
      { name: 'base.cedarschema', text: '' },
    ],
    descriptorSets: [],
    ...changed,
  });

describe('bundleFrom', () => {
  it.each(['ec', 'ed25519'] as const)('gives back what was signed with %s, with the hash of the set', async (type) => {
    const { key, keys } = await keyPair(type);
    const bundle = bundleFrom(`${await signedBundle(source, head, key)}\n`, keys, 'b.jws');
    if (isProblem(bundle)) throw new Error(bundle.problem);
    expect(bundle).toMatchObject({ ...head, hash: hashOf(source) });
    const again: PolicySource = bundle.source;
    expect(again.policies).toEqual([{ name: 'a.cedar', file: 'b.jws/a.cedar', text: source.policies[0]?.text }]);
    expect([...again.descriptorSets].map(([name, bytes]) => [name, [...(bytes as Uint8Array)]])).toEqual([
      ['a.binpb', [0, 255]],
    ]);
    expect((await mustLoad(folderWith(again.policies[0]?.text ?? ''))).ready).toBe(true);
  });

  it('refuses any change of a byte', async () => {
    const { key, keys } = await keyPair();
    const text = await signedBundle(source, head, key);
    for (let at = 0; at < text.length; at += Math.ceil(text.length / 40)) {
      const other = text[at] === 'A' ? 'B' : 'A';
      const changed = bundleFrom(text.slice(0, at) + other + text.slice(at + 1), keys, 'b');
      expect([at, isProblem(changed)]).toEqual([at, true]);
    }
  });

  it.each([
    ['no JWS', async () => 'hello', 'is not a signed bundle: the token is not three parts of base64url'],
    [
      'the key of another',
      async () => signedBundle(source, head, (await keyPair()).key),
      'is signed with a key that is not trusted',
    ],
    [
      'another type of JWS',
      async (key: BundleKey) => signed(payload({}), key, { typ: 'at+jwt' }),
      'is not a bundle: its `typ` must be `remit-policies+jws`',
    ],
    [
      'the id of a key over the signature of another',
      async (key: BundleKey) => signed(payload({}), { ...(await keyPair()).key, jwk: key.jwk }),
      'has a signature that does not verify',
    ],
    [
      'a serial that is none',
      async (key: BundleKey) => signed(payload({ serial: 0 }), key),
      'is signed, but member `serial` must be a whole number from 1 to 9007199254740991',
    ],
    [
      'a member more',
      async (key: BundleKey) => signed(payload({ more: 1 }), key),
      'is signed, but has an unknown member `more`',
    ],
    [
      'no catalog',
      async (key: BundleKey) => signed(payload({ files: [{ name: 'x', text: '' }] }), key),
      'is signed, but lacks the catalog or the base schema',
    ],
    [
      'the hash of something else',
      async (key: BundleKey) => signed(payload({}), key),
      'is signed, but its `hash` does not match its files',
    ],
    ['no JSON', async (key: BundleKey) => signed('x', key), 'is signed, but is not valid JSON'],
  ])('refuses %s', async (_name, made, problem) => {
    const { key, keys } = await keyPair();
    expect(bundleFrom(await made(key), keys, 'b')).toEqual({ problem });
  });

  it('takes keys of the profile alone', async () => {
    expect(await bundleKeyFrom('nonsense')).toEqual({ problem: 'must be a private key in PEM' });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    expect(await bundleKeyFrom(privateKey.export({ type: 'pkcs8', format: 'pem' }))).toEqual({
      problem: 'must be for ES256, Ed25519 or RS256',
    });
  });
});
