import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { SubjectIssuer } from '../../../src/authority/issuer/token/subject-issuer.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { issuerUrl } from './bench.ts';

export const idpUrl = 'https://idp.acme.test';
export const domain = 'spiffe://acme.test';
export const plannerId = 'spiffe://acme.test/ns/agents/sa/planner';
export const reporterId = 'spiffe://acme.test/ns/agents/sa/reporter';

/** Claims to change; `undefined` omits one. */
export type Claims = Readonly<Record<string, unknown>>;

/** An identity provider and a trust domain with keys of their own, as an issuer of Remit is configured with them. */
export interface Idp {
  readonly subjectIssuers: readonly SubjectIssuer[];
  readonly subjectKeys: KeyRing;
  readonly accessToken: (change?: Claims, header?: Claims) => Promise<string>;
  readonly idJag: (change?: Claims, header?: Claims) => Promise<string>;
  readonly jwtSvid: (change?: Claims, header?: Claims) => Promise<string>;
  /** A token in the issuer's name, signed with another key. */
  readonly forged: (claims: Claims) => Promise<string>;
}

/** @param nowMs clock for the times in tokens */
export function startIdp(nowMs: () => number = Date.now): Idp {
  const [idp, svid] = [newKey('idp'), newKey('svid')];
  const subjectKeys = new KeyRing(
    [
      { issuer: idpUrl, kind: 'external', algorithms: ['ES256'], source: { kind: 'static', jwks: idp.jwks } },
      { issuer: domain, kind: 'external', algorithms: ['ES256'], source: { kind: 'static', jwks: svid.jwks } },
    ],
    { ports: systemPorts, after, onProblem: () => undefined },
  );
  const times = () => ({ iat: Math.floor(nowMs() / 1_000), exp: Math.floor(nowMs() / 1_000) + 600 });
  const user = () => ({
    iss: idpUrl,
    sub: 'alice@acme.test',
    aud: issuerUrl,
    jti: 'a-token-of-alice',
    scope: 'payments.* ledger.*',
    ...times(),
  });
  const attributes = new Map([
    ['groups', 'groups'],
    ['tenant', 'https://acme.test/tenant'],
  ]);
  return {
    subjectIssuers: [
      { kind: 'access-token', issuer: idpUrl, audience: issuerUrl, scope: 'limits', attributes },
      { kind: 'id-jag', issuer: idpUrl, audience: issuerUrl, scope: 'limits', attributes },
      { kind: 'jwt-svid', issuer: domain, audience: issuerUrl, scope: 'ignored', attributes },
    ],
    subjectKeys,
    accessToken: (change, header) =>
      signed(idp, { ...user(), client_id: 'portal', ...change }, { typ: 'at+jwt', ...header }),
    idJag: (change, header) =>
      signed(idp, { ...user(), client_id: plannerId, ...change }, { typ: 'oauth-id-jag+jwt', ...header }),
    jwtSvid: (change, header) =>
      signed(svid, { sub: reporterId, aud: [issuerUrl], exp: times().exp, ...change }, { typ: 'JWT', ...header }),
    forged: (claims) => signed(newKey('idp'), { ...user(), client_id: 'portal', ...claims }, { typ: 'at+jwt' }),
  };
}

interface Key {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly jwks: unknown;
}

function newKey(id: string): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    id,
    privateKey,
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: id, alg: 'ES256', use: 'sig' }] },
  };
}

const signed = (key: Key, claims: Claims, header: Claims): Promise<string> =>
  new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid: key.id, ...header }).sign(key.privateKey);
