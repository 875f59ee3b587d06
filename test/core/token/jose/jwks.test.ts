import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { MAX_JWKS_KEYS, verificationKeysFrom } from '../../../../src/core/token/jose/jwks.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { ed25519Key, es256Key, jwksOf, rs256Key } from '../../../builders/tokens.ts';

const es = es256Key();
const ed = ed25519Key();
const rs = rs256Key();
const allowed = new Set(['ES256', 'Ed25519', 'RS256'] as const);

const read = (...keys: readonly unknown[]) => verificationKeysFrom({ keys }, allowed);
const summary = (keys: ReturnType<typeof read>) =>
  isProblem(keys) ? keys : keys.map(({ algorithm, keyId }) => `${String(keyId)} ${algorithm}`);

describe('verificationKeysFrom', () => {
  it('returns one public key with one algorithm for each', () => {
    const keys = verificationKeysFrom(jwksOf(es, ed, rs), allowed);
    expect(summary(keys)).toEqual(['es-1 ES256', 'ed-1 Ed25519', 'rs-1 RS256']);
    expect(isProblem(keys) ? [] : keys.map(({ key }) => key.type)).toEqual(['public', 'public', 'public']);
  });

  it.each<[string, readonly unknown[], readonly string[]]>([
    ['a key that says nothing of its use', [{ ...es.jwk, alg: undefined, use: undefined }], ['es-1 ES256']],
    ['a key without an id', [{ ...es.jwk, kid: undefined }], ['null ES256']],
    ['a key that says its use twice, alike', [{ ...rs.jwk, key_ops: ['verify'] }], ['rs-1 RS256']],
    ['a key with members it does not know', [{ ...es.jwk, x5c: ['MIIB'], note: 1 }], ['es-1 ES256']],
    ['a set with a key for encryption', [es.jwk, { ...rs.jwk, use: 'enc', alg: 'RSA-OAEP' }], ['es-1 ES256']],
    [
      'a set with a key to encrypt by its operations',
      [es.jwk, { ...rs.jwk, use: undefined, key_ops: ['encrypt'] }],
      ['es-1 ES256'],
    ],
    ['a set with a key of another algorithm', [es.jwk, { ...rs.jwk, alg: 'PS256' }], ['es-1 ES256']],
    ['a set with a key of an unknown type', [es.jwk, { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AA' }], ['es-1 ES256']],
    ['a set with a key on another curve', [es.jwk, { kty: 'EC', crv: 'P-384', x: 'AA', y: 'AA' }], ['es-1 ES256']],
    ['keys for `EdDSA` beside others', [es.jwk, { ...ed.jwk, alg: 'EdDSA' }], ['es-1 ES256']],
  ])('takes from %s', (_name, keys, expected) => {
    const plain: unknown = JSON.parse(JSON.stringify(keys));
    expect(summary(read(...(Array.isArray(plain) ? plain : [])))).toEqual(expected);
  });

  it('omits keys for algorithms that the issuer may not use', () => {
    expect(summary(verificationKeysFrom(jwksOf(es, rs), new Set(['RS256'])))).toEqual(['rs-1 RS256']);
  });

  const secret = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  it.each<[string, readonly unknown[], string]>([
    ['a symmetric key', [es.jwk, { kty: 'oct', k: 'AAAA' }], 'member `keys` entry 1 is symmetric'],
    ['a symmetric key without its secret', [{ kty: 'oct' }], 'member `keys` entry 0 is symmetric'],
    ['a private key', [es.jwk, secret], 'member `keys` entry 1 has the secret member `d`'],
    [
      'a private member of a key for encryption',
      [es.jwk, { ...rs.jwk, use: 'enc', p: 'AA' }],
      'member `keys` entry 1 has the secret member `p`',
    ],
    ['an id twice', [es.jwk, { ...ed.jwk, kid: 'es-1' }], 'has two keys with the same `kid`'],
    [
      'an id twice, once for encryption',
      [es.jwk, { ...rs.jwk, kid: 'es-1', use: 'enc' }],
      'has two keys with the same `kid`',
    ],
    [
      'RSA of 1024 bits',
      [es.jwk, rs256Key('weak', 1024).jwk],
      'member `keys` entry 1 must have a modulus of 2048 to 8192 bits',
    ],
    [
      'a modulus of 16384 bits',
      [{ ...rs.jwk, n: `_${'A'.repeat(2730)}` }],
      'member `keys` entry 0 must have a modulus of 2048 to 8192 bits',
    ],
    [
      'an exponent of 3',
      [{ ...rs.jwk, e: 'Aw' }],
      'member `keys` entry 0 must have an odd public exponent of 65537 to 2^32',
    ],
    [
      'a use that differs from its operations',
      [{ ...es.jwk, key_ops: ['encrypt'] }],
      'member `keys` entry 0 has a `use` that differs from its `key_ops`',
    ],
    [
      'encryption that also verifies',
      [{ ...rs.jwk, use: 'enc', key_ops: ['verify'] }],
      'member `keys` entry 0 has a `use` that differs from its `key_ops`',
    ],
    [
      'operations that mix',
      [{ ...rs.jwk, key_ops: ['verify', 'encrypt'] }],
      'member `keys` entry 0 has `key_ops` that mix verifying with another use',
    ],
    [
      'an algorithm of another key type',
      [{ ...es.jwk, alg: 'RS256' }],
      'member `keys` entry 0 has an `alg` of another key type',
    ],
    [
      'an algorithm of another curve',
      [{ ...es.jwk, crv: 'P-521' }],
      'member `keys` entry 0 has an `alg` of another key type',
    ],
    ['a point off the curve', [{ ...es.jwk, x: 'A'.repeat(43) }], 'member `keys` entry 0 is not a valid public key'],
    [
      'a coordinate with padding',
      [{ ...es.jwk, x: `${String(es.jwk['x'])}=` }],
      'member `keys` entry 0 member `x` must be base64url',
    ],
    ['a coordinate that is missing', [{ ...es.jwk, y: 1 }], 'member `keys` entry 0 member `y` must be base64url'],
    ['a key that is text', ['key'], 'member `keys` entry 0 must be an object'],
    ['a key without a type', [{ kid: 'a' }], 'member `keys` entry 0 member `kty` is required'],
    [
      'an id that is a number',
      [{ ...es.jwk, kid: 1 }],
      'member `keys` entry 0 member `kid` must be a string of 0 to 256 characters',
    ],
    ['no usable key', [{ ...rs.jwk, use: 'enc' }], 'has no key for ES256, Ed25519, RS256'],
    ['no keys', [], `member \`keys\` must be an array of 1 to ${MAX_JWKS_KEYS} entries`],
    ['too many keys', Array.from({ length: 101 }, () => es.jwk), 'member `keys` must be an array of 1 to 100 entries'],
  ])('refuses the whole set for %s', (_name, keys, problem) => {
    expect(read(...keys)).toEqual({ problem });
  });

  it.each([[null], [[]], ['keys'], [{}]])('refuses %j, which is not a set', (value) => {
    expect(verificationKeysFrom(value, allowed)).toHaveProperty('problem');
  });

  it('never throws', () => {
    const member = fc.constantFrom('kty', 'kid', 'use', 'alg', 'crv', 'key_ops', 'x', 'y', 'n', 'e');
    const value = fc.oneof(
      fc.constantFrom(
        'EC',
        'RSA',
        'OKP',
        'P-256',
        'Ed25519',
        'ES256',
        'RS256',
        'sig',
        'verify',
        'AQAB',
        'A'.repeat(43),
      ),
      fc.anything(),
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.record({ keys: fc.array(fc.dictionary(member, value)) })), (set) => {
        verificationKeysFrom(set, allowed);
      }),
      { numRuns: 1000 },
    );
  });
});
