import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';
import type { JWK, JWTPayload } from 'jose';
import { privateFileProblem } from '../../../core/runtime/system/private-file.ts';
import { writePrivateFile } from '../../../core/runtime/system/private-write.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** A signing key with its public key. The private key is not accessible from outside. */
export interface SigningKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly keyId: string;
  readonly algorithm: 'ES256' | 'Ed25519' | 'RS256';
  readonly publicKey: KeyObject;
  /** The public key with `kid`, `alg` and `use`. */
  readonly publicJwk: JWK;
  /** Signs claims: as an RFC 9068 access token, or with another `typ`, so that neither passes for the other. */
  readonly sign: (claims: JWTPayload, type?: 'at+jwt' | 'secevent+jwt') => Promise<string>;
}

/** Why there is no key; names the file, never its content. */
export interface SigningKeyProblem {
  readonly problem: string;
}

/** Largest key file, in bytes. */
const MAX_BYTES = 16_384;
const MIN_RSA_BITS = 2_048;

/**
 * Reads a signing key from a file in PKCS#8 PEM or as private JWK: P-256, Ed25519, or RSA of at least 2,048 bits. Refuses a file
 * that others can read.
 */
export async function signingKeyAt(path: string): Promise<SigningKey | SigningKeyProblem> {
  try {
    const stats = lstatSync(path);
    const problem = privateFileProblem(path, stats);
    if (problem !== null) return { problem: `signing key ${problem}` };
    if (stats.size > MAX_BYTES) return { problem: `signing key \`${path}\` is larger than ${MAX_BYTES} bytes` };
    return await signingKeyFrom(readFileSync(path, 'utf8'), path);
  } catch (error) {
    // The code alone: the message of a parser could quote the key.
    return { problem: `signing key \`${path}\` cannot be used: ${errorCode(error) ?? 'unknown error'}` };
  }
}

/** Creates a P-256 key in a new file, mode 0600, and syncs it. Throws if the file exists. */
export function makeSigningKey(path: string): void {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writePrivateFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

async function signingKeyFrom(text: string, path: string): Promise<SigningKey | SigningKeyProblem> {
  const key = privateKeyFrom(text);
  if (key === null) return { problem: `signing key \`${path}\` must be a PKCS#8 PEM or a private JWK` };
  const algorithm = algorithmOf(key);
  if (algorithm === null) {
    return { problem: `signing key \`${path}\` must be P-256, Ed25519, or RSA of at least ${MIN_RSA_BITS} bits` };
  }
  return signingKeyOf(key, algorithm);
}

/** A new P-256 key that exists in memory alone. */
export const newSigningKey = (): Promise<SigningKey> =>
  signingKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'ES256');

async function signingKeyOf(key: KeyObject, algorithm: SigningKey['algorithm']): Promise<SigningKey> {
  const publicKey = createPublicKey(key);
  const jwk = await exportJWK(publicKey);
  const keyId = await calculateJwkThumbprint(jwk);
  return {
    keyId,
    algorithm,
    publicKey,
    publicJwk: { ...jwk, kid: keyId, alg: algorithm, use: 'sig' },
    sign: (claims, type = 'at+jwt') =>
      new SignJWT(claims).setProtectedHeader({ typ: type, alg: algorithm, kid: keyId }).sign(key),
  };
}

function privateKeyFrom(text: string): KeyObject | null {
  try {
    if (!text.trimStart().startsWith('{')) return createPrivateKey({ key: text, format: 'pem' });
    return createPrivateKey({ key: JSON.parse(text), format: 'jwk' });
  } catch {
    return null;
  }
}

function algorithmOf(key: KeyObject): SigningKey['algorithm'] | null {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ES256';
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519';
  return key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS ? 'RS256' : null;
}
