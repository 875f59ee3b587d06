import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { CompactSign } from 'jose';
import { bundleFrom, bundleKeyFrom, cosignedBundle, signedBundle } from '../../../../src/core/policy/bundle/bundle.ts';
import { signingKeysFrom, type BundleSigningKey } from '../../../../src/core/policy/bundle/bundle-keys.ts';
import { keyPair } from './key-pair.ts';
import type { BundleKey } from '../../../../src/core/policy/bundle/bundle.ts';
import { setHashOf } from '../../../../src/core/policy/loading/set-hash.ts';
import type { PolicySource } from '../../../../src/core/policy/loading/source.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const head = { name: 'prod', version: 'v1', serial: 7, issuedAtMs: 1, expiresAtMs: 2 };
const source = folderWith('@id("p") permit (principal, action, resource);\n', {
  entities: '[]',
  enforcement: '# nothing is observed\n',
  limits: '# nothing is limited\n',
  descriptorSets: new Map([['a.binpb', Uint8Array.of(0, 255)]]),
});

/** A bundle made by hand, as somebody with a key could make it. */
async function signed(payload: string, { key, algorithm, jwk }: BundleKey, header: Record<string, string> = {}) {
  const compact = await new CompactSign(Buffer.from(payload))
    .setProtectedHeader({ alg: algorithm, kid: jwk.kid ?? '', typ: 'remit-policies+jws', ...header })
    .sign(key);
  const [first, content, signature] = compact.split('.');
  return JSON.stringify({ payload: content, signatures: [{ protected: first, signature }] });
}

/** One signature of these keys, for bundles named `prod`. */
const trust = (keys: readonly BundleSigningKey[], signatures = 1, name: string | null = 'prod') => ({
  keys,
  name,
  signatures,
});

async function cosigned(text: string, key: BundleKey): Promise<string> {
  const both = await cosignedBundle(text, key);
  if (typeof both !== 'string') throw new Error(both.problem);
  return both;
}

const payload = (changed: Record<string, unknown>) =>
  JSON.stringify({
    name: 'prod',
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
    const bundle = bundleFrom(`${await signedBundle(source, head, key)}\n`, trust(keys), 'b.jws');
    if (isProblem(bundle)) throw new Error(bundle.problem);
    expect(bundle).toMatchObject({ ...head, hash: setHashOf(source) });
    const again: PolicySource = bundle.source;
    expect(again.policies).toEqual([{ name: 'a.cedar', file: 'b.jws/a.cedar', text: source.policies[0]?.text }]);
    expect([...again.descriptorSets].map(([name, bytes]) => [name, [...(bytes as Uint8Array)]])).toEqual([
      ['a.binpb', [0, 255]],
    ]);
    expect((await mustLoad(folderWith(again.policies[0]?.text ?? ''))).ready).toBe(true);
  });

  it('has all files of the catalog (issue 43, point 2)', async () => {
    const { key, keys } = await keyPair();
    const own = folderWith('@id("a") permit (principal, action, resource);', {
      catalogs: { 'crm.yaml': 'servers: {}\n', 'erp.yaml': 'servers: { }\n' },
    });
    const bundle = bundleFrom(await signedBundle(own, head, key), trust(keys), 'b.jws');
    if (isProblem(bundle)) throw new Error(bundle.problem);
    expect(bundle.hash).toBe(setHashOf(own));
    expect(bundle.source.catalogs.map(({ name, file }) => [name, file])).toEqual(
      ['actions.yaml', 'actions/crm.yaml', 'actions/erp.yaml'].map((name) => [name, `b.jws/${name}`]),
    );
  });

  it('refuses any change of a byte', async () => {
    const { key, keys } = await keyPair();
    const text = await signedBundle(source, head, key);
    for (let at = 0; at < text.length; at += Math.ceil(text.length / 40)) {
      const other = text[at] === 'A' ? 'B' : 'A';
      const changed = bundleFrom(text.slice(0, at) + other + text.slice(at + 1), trust(keys), 'b');
      expect([at, isProblem(changed)]).toEqual([at, true]);
    }
  });

  it.each([
    ['no JSON around it', async () => 'hello', 'is not a signed bundle: is not valid JSON'],
    [
      'the compact serialization, which has room for one signature',
      async (key: BundleKey) =>
        new CompactSign(Buffer.from(payload({}))).setProtectedHeader({ alg: key.algorithm }).sign(key.key),
      'is not a signed bundle: is not valid JSON',
    ],
    [
      'no signature',
      async () => JSON.stringify({ payload: 'e30', signatures: [] }),
      'is not a signed bundle: member `signatures` must be an array of 1 to 8 entries',
    ],
    [
      'another name, by a good key and with a higher serial',
      (key: BundleKey) => signedBundle(source, { ...head, name: 'dev', serial: 99 }, key),
      'is signed, but is named `dev`, and `policies.bundle.name` is `prod`',
    ],
    [
      'no name',
      async (key: BundleKey) => signed(payload({ name: undefined }), key),
      'is signed, but member `name` must be a name of at most 128 letters, digits, `.`, `_`, `/` and `-`, such as `prod/payments`',
    ],
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
      'a file that nobody reads',
      async (key: BundleKey) =>
        signed(
          payload({
            files: ['actions.yaml', 'base.cedarschema', 'policies/A.CEDAR'].map((name) => ({ name, text: '' })),
          }),
          key,
        ),
      'is signed, but has `policies/A.CEDAR`, which is not read',
    ],
    [
      'the hash of something else',
      async (key: BundleKey) => signed(payload({}), key),
      'is signed, but its `hash` does not match its files',
    ],
    ['no JSON', async (key: BundleKey) => signed('x', key), 'is signed, but is not valid JSON'],
  ])('refuses %s', async (_name, made, problem) => {
    const { key, keys } = await keyPair();
    expect(bundleFrom(await made(key), trust(keys), 'b')).toEqual({ problem });
  });

  it('counts different keys if two must sign, not signatures or key ids', async () => {
    const [first, second] = [await keyPair(), await keyPair('ed25519')];
    const keys = [...first.keys, ...second.keys];
    const one = await signedBundle(source, head, first.key);
    const few = { problem: 'is signed by 1 trusted keys, and 2 are required' };
    expect(bundleFrom(one, trust(keys, 2), 'b')).toEqual(few);
    expect(bundleFrom(await cosigned(one, first.key), trust(keys, 2), 'b')).toEqual(few);
    expect(bundleFrom(await cosigned(one, (await keyPair()).key), trust(keys, 2), 'b')).toEqual(few);
    // The same key under another `kid` in the set of keys.
    const twin = { ...first.key, jwk: { ...first.key.jwk, kid: 'twin' } };
    const twice = signingKeysFrom({ keys: [first.key.jwk, twin.jwk] });
    if (isProblem(twice)) throw new Error(twice.problem);
    expect(bundleFrom(await cosigned(one, twin), trust(twice, 2), 'b')).toEqual(few);
    const both = bundleFrom(await cosigned(one, second.key), trust(keys, 2), 'b');
    expect(both).toMatchObject({ name: 'prod', signers: [first.key.jwk.kid, second.key.jwk.kid] });
  });

  it('refuses a bundle of which any signature of a known key does not verify', async () => {
    const [first, second] = [await keyPair(), await keyPair()];
    const both = JSON.parse(await cosigned(await signedBundle(source, head, first.key), second.key));
    const other = JSON.parse(await signedBundle(source, { ...head, serial: 8 }, second.key));
    const mixed = JSON.stringify({ ...both, signatures: [both.signatures[0], other.signatures[0]] });
    expect(bundleFrom(mixed, trust([...first.keys, ...second.keys]), 'b')).toEqual({
      problem: 'has a signature that does not verify',
    });
  });

  it.each([
    ['its own name', ['prod'], true],
    ['names that begin so', ['dev', 'pr*'], true],
    ['other names', ['dev', 'production', 'prod/*'], false],
  ])('takes the signature of a key that is limited to %s: %p', async (_name, names, isTaken) => {
    const { key, keys } = await keyPair('ec', names);
    expect(bundleFrom(await signedBundle(source, head, key), trust(keys), 'b')).toMatchObject(
      isTaken
        ? { signers: [key.jwk.kid] }
        : { problem: 'is signed with a key that is not trusted for bundles named `prod`' },
    );
  });

  it('refuses a limited key without a `kid`, and more than eight signatures', async () => {
    const { key } = await keyPair();
    const { kid: _kid, ...unnamed } = key.jwk;
    expect(signingKeysFrom({ keys: [{ ...unnamed, bundles: ['a'] }] })).toEqual({
      problem: 'has a key with `bundles` and without a `kid`',
    });
    let text = await signedBundle(source, head, key);
    for (let n = 1; n < 8; n += 1) text = await cosigned(text, key);
    expect(await cosignedBundle(text, key)).toEqual({
      problem: 'has 8 signatures already, the most that are read',
    });
  });

  it('takes keys of the profile alone', async () => {
    expect(await bundleKeyFrom('nonsense')).toEqual({ problem: 'must be a private key in PEM' });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    expect(await bundleKeyFrom(privateKey.export({ type: 'pkcs8', format: 'pem' }))).toEqual({
      problem: 'must be for ES256, Ed25519 or RS256',
    });
  });
});
