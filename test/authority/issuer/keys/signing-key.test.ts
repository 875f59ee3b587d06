import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { makeSigningKey, signingKeyAt } from '../../../../src/authority/issuer/keys/signing-key.ts';
import type { SigningKey } from '../../../../src/authority/issuer/keys/signing-key.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { must } from '../../../builders/must.ts';

const folder = testFolders();
const newPath = (): string => join(folder(), 'key.pem');

const mustLoad = async (path: string): Promise<SigningKey> => must(await signingKeyAt(path));

const written = (text: string | Buffer): string => {
  const path = newPath();
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

const pem = { type: 'pkcs8', format: 'pem' } as const;

describe('signingKeyAt', () => {
  it.each<[string, () => string, SigningKey['algorithm']]>([
    ['a P-256 PEM', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem), 'ES256'],
    ['an Ed25519 PEM', () => generateKeyPairSync('ed25519').privateKey.export(pem), 'Ed25519'],
    ['an RSA PEM', () => generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export(pem), 'RS256'],
    [
      'a private JWK',
      () => JSON.stringify(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })),
      'ES256',
    ],
  ])('signs an access token with %s that its public key verifies', async (_name, text, algorithm) => {
    const key = await mustLoad(written(text()));
    const token = await key.sign({ iss: 'i' });
    expect(decodeProtectedHeader(token)).toEqual({ typ: 'at+jwt', alg: algorithm, kid: key.keyId });
    const { payload } = await jwtVerify(token, await importJWK(key.publicJwk));
    expect(payload).toEqual({ iss: 'i' });
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi']) expect(key.publicJwk).not.toHaveProperty(secret);
  });

  it.each<[string, () => string, RegExp]>([
    [
      'a file that others may read',
      () => {
        const path = written('x');
        chmodSync(path, 0o644);
        return path;
      },
      /^signing key `.*` has mode 0644, open to others: 0600 is required$/,
    ],
    [
      'a symbolic link',
      () => {
        const path = newPath();
        symlinkSync(written('x'), path);
        return path;
      },
      /^signing key `.*` is not a regular file$/,
    ],
    ['an empty file', () => written(''), /must be a PKCS#8 PEM or a private JWK$/],
    ['JSON that is no key', () => written('{"kty":"oct","k":"c2VjcmV0"}'), /must be a PKCS#8 PEM or a private JWK$/],
    [
      'a public key',
      () => written(generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })),
      /must be a PKCS#8/,
    ],
    [
      'a P-384 key',
      () => written(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export(pem)),
      /must be P-256, Ed25519, or RSA of at least 2048 bits$/,
    ],
    [
      'a short RSA key',
      () => written(generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey.export(pem)),
      /must be P-256/,
    ],
    ['a large file', () => written('x'.repeat(20_000)), /is larger than 16384 bytes$/],
    [
      'a folder that does not exist',
      () => '/nonexistent/key.pem',
      /^signing key `\/nonexistent\/key.pem` cannot be used: ENOENT$/,
    ],
  ])('refuses %s, without a word of what is in it', async (_name, path, problem) => {
    const result = await signingKeyAt(path());
    expect('problem' in result && result.problem).toMatch(problem);
    expect(JSON.stringify(result)).not.toContain('c2VjcmV0');
  });
});

describe('makeSigningKey', () => {
  it('makes a P-256 key with mode 0600, and never over another file', async () => {
    const path = newPath();
    makeSigningKey(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect((await mustLoad(path)).algorithm).toBe('ES256');
    expect(() => makeSigningKey(path)).toThrow(/EEXIST/);
  });
});
