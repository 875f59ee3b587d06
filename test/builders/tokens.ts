import { createHash, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { isDeny, type Deny } from '../../src/core/decision/decision.ts';
import { KeyRing } from '../../src/core/token/jose/keys.ts';
import type { TokenRules } from '../../src/core/token/verify.ts';
import type { SignatureAlgorithm } from '../../src/core/token/jose/algorithms.ts';
import { stillPorts } from './still-ports.ts';

/** The instant every test of tokens lives at: 2026-11-24T12:00:00Z. */
export const nowMs = Date.UTC(2026, 10, 24, 12);
export const nowSeconds = nowMs / 1000;

export const issuer = 'https://remit.acme.test';
export const audience = 'https://payments.acme.test';
export const agent = 'spiffe://acme.test/ns/agents/sa/planner';
export const certificateSha256 = createHash('sha256').update('certificate').digest('base64url');

export const rules: TokenRules = {
  audiences: new Set([audience]),
  maxLifetimeSeconds: 900,
  clockSkewSeconds: 5,
  maxBytes: 8192,
};

export interface TestKey {
  readonly algorithm: SignatureAlgorithm;
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** The public key as a member of a set. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

function testKey(algorithm: SignatureAlgorithm, keyId: string, privateKey: KeyObject): TestKey {
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: keyId, alg: algorithm, use: 'sig' };
  return { algorithm, keyId, privateKey, jwk };
}

export const es256Key = (keyId = 'es-1'): TestKey =>
  testKey('ES256', keyId, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
export const ed25519Key = (keyId = 'ed-1'): TestKey =>
  testKey('Ed25519', keyId, generateKeyPairSync('ed25519').privateKey);
export const rs256Key = (keyId = 'rs-1', modulusLength = 2048): TestKey =>
  testKey('RS256', keyId, generateKeyPairSync('rsa', { modulusLength }).privateKey);

export const jwksOf = (...keys: readonly TestKey[]) => ({ keys: keys.map(({ jwk }) => jwk) });

/** A key ring that trusts `issuer` with these keys and never refreshes. */
export const ringOf = (keys: readonly TestKey[], algorithms?: readonly SignatureAlgorithm[]): KeyRing =>
  new KeyRing(
    [
      {
        issuer,
        algorithms: algorithms ?? [...new Set(keys.map(({ algorithm }) => algorithm))],
        source: { kind: 'static', jwks: jwksOf(...keys) },
      },
    ],
    {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: (name, problem) => {
        if (problem !== null) throw new Error(`${name}: ${problem}`);
      },
    },
  );

/** The claims of a sound task token at `nowMs`. */
export const soundClaims = {
  iss: issuer,
  aud: audience,
  sub: agent,
  client_id: agent,
  iat: nowSeconds - 10,
  exp: nowSeconds + 290,
  jti: '0198f7a2-4b7e-7c1d-9a52-3f6b8e0d1c2a',
  txn: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2a',
  scope: 'payments:read payments:write',
  cnf: { 'x5t#S256': certificateSha256 },
  authorization_details: [{ type: 'urn:remit:task', locations: [audience], actions: ['payments.create'] }],
  remit_intent: {
    h: `sha-256:${createHash('sha256').update('intent').digest('base64url')}`,
    tp: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  },
};

export const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString('base64url');

/** Header and payload as given, signed with the key: neither has to be JSON. */
export function signed(key: TestKey, header: string, payload: string | Uint8Array): string {
  const input = `${base64url(header)}.${base64url(payload)}`;
  const digest = key.algorithm === 'Ed25519' ? null : 'sha256';
  return `${input}.${base64url(sign(digest, Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' }))}`;
}

/** A task token: the sound one, with members of claims and header changed; `undefined` leaves a member out. */
export const mint = (
  key: TestKey,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
): string =>
  signed(
    key,
    JSON.stringify({ typ: 'at+jwt', alg: key.algorithm, kid: key.keyId, ...header }),
    JSON.stringify({ ...soundClaims, ...claims }),
  );

/** Reason and detail of a denial, for one assertion; anything else as it is. */
export const denied = (value: unknown): unknown =>
  isDeny(value) ? ([value.reason, value.detail] satisfies [Deny['reason'], string]) : value;
