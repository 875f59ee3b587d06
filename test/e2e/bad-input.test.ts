import { createHash, createHmac, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { calculateJwkThumbprint, exportJWK } from 'jose';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentReply } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { mustDeclare, startDomain } from './domain.ts';
import { base64url, es256Key, signed } from '../builders/tokens.ts';
import type { TestKey } from '../builders/tokens.ts';

const HOST = 'payments.acme.test';
const ISSUER = 'https://issuer.acme.test';

/** Every bad input of a caller, through a real Envoy with the shipped configuration. Each has its own reason and is never allowed. */
describeWith(envoyPart(), 'bad input through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    agent?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let agent: Agent;
  let key: TestKey;
  let claims: Record<string, unknown>;

  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    const svid = await domain.authority.svid('/ns/agents/sa/planner');
    agent = new Agent(svid, domain.authority.bundlePem);
    key = await issuerKey(join(scratch.folder, 'signing-key.pem'));
    claims = claimsOf((await mustDeclare(agent, domain)).token);
    expect(claims['cnf']).toEqual({ 'x5t#S256': thumbprintOf(svid.certPem) });
  });

  const mint = (
    changed: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    by: TestKey = key,
  ): string =>
    signed(
      by,
      JSON.stringify({ typ: 'at+jwt', alg: 'ES256', kid: by.keyId, ...header }),
      JSON.stringify({ ...claims, ...changed }),
    );

  const call = (headers: Record<string, string>, path = '/v1/payments/p-1', method = 'GET'): Promise<AgentReply> =>
    agent.call(domain.stage.envoyPort, { host: HOST, path, method, headers });

  const post = (path: string, body: string): Promise<AgentReply> =>
    agent.call(domain.stage.envoyPort, {
      host: HOST,
      path,
      method: 'POST',
      headers: { authorization: `Bearer ${mint()}`, 'content-type': 'application/json' },
      body,
    });

  const withToken = (token: string): Promise<AgentReply> => call({ authorization: `Bearer ${token}` });

  it('allows the valid token from which the others are made', async () => {
    expect((await withToken(mint())).status).toBe(200);
  });

  it.each<[string, () => string, number, string]>([
    // 45 characters of the signature are left, which is not a valid length in base64url.
    ['a truncated token', () => mint().slice(0, -41), 401, 'token.malformed'],
    ['half a token', () => mint().split('.').slice(0, 2).join('.'), 401, 'token.malformed'],
    [
      '`alg: none`',
      () => `${base64url('{"alg":"none","typ":"at+jwt","kid":"x"}')}.${mint().split('.')[1]}.`,
      401,
      'token.algorithm',
    ],
    ['HS256 with the public key', () => hs256(key, claims), 401, 'token.algorithm'],
    ['another `typ`', () => mint({}, { typ: 'JWT' }), 401, 'token.malformed'],
    ['another issuer', () => mint({ iss: 'https://evil.test' }), 401, 'token.issuer'],
    ['another key', () => mint({}, {}, es256Key('other')), 401, 'token.signature'],
    [
      'another key under the id of the right key',
      () => mint({}, {}, { ...es256Key(), keyId: key.keyId }),
      401,
      'token.signature',
    ],
    ['another audience', () => mint({ aud: 'https://elsewhere.test' }), 401, 'token.audience'],
    ['the audience of another server', () => mint({ aud: 'https://files.acme.test' }), 401, 'token.audience'],
    [
      'two audiences',
      () => mint({ aud: ['https://payments.acme.test', 'https://files.acme.test'] }),
      401,
      'token.audience',
    ],
    ['an expired token', () => mint({ iat: now() - 400, exp: now() - 100 }), 401, 'token.expired'],
    ['a token not yet valid', () => mint({ iat: now() + 100, exp: now() + 200 }), 401, 'token.not-yet-valid'],
    ['a token with too long a lifetime', () => mint({ iat: now(), exp: now() + 5000 }), 401, 'token.lifetime'],
    [
      'a token bound to another certificate',
      () => mint({ cnf: { 'x5t#S256': thumbprintOf('') } }),
      401,
      'token.binding',
    ],
    ['an unbound token', () => mint({ cnf: undefined }), 401, 'token.binding'],
    [
      'a token for another client',
      () =>
        mint({
          client_id: 'spiffe://acme.test/ns/agents/sa/reporter',
          sub: 'spiffe://acme.test/ns/agents/sa/reporter',
          // Not the id of an issued token: a stolen token would be revoked for all later tests.
          jti: 'a-token-nobody-issued',
        }),
      401,
      'token.binding',
    ],
    ['an unknown task', () => mint({ txn: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2a' }), 401, 'task.unknown'],
  ])('denies %s', async (_name, token, status, reason) => {
    const reply = await withToken(token());
    expect([reply.status, JSON.parse(reply.body).reason]).toEqual([status, reason]);
    expect(reply.headers['x-remit-decision']).toContain(`deny;reason=${reason};id="`);
  });

  it.each<[string, () => Promise<AgentReply>, number, string | null]>([
    ['no token', () => call({}), 401, 'token.missing'],
    ['another scheme', () => call({ authorization: 'Basic cGxhbm5lcjpzZWNyZXQ=' }), 403, 'token.static-secret'],
    [
      'two tokens in one header',
      () => call({ authorization: `Bearer ${mint()}, Bearer ${mint()}` }),
      400,
      'request.not-canonical',
    ],
    ['an unknown route', () => call({ authorization: `Bearer ${mint()}` }, '/v2/payments'), 403, 'action.unknown'],
    [
      'a method the route does not have',
      () => call({ authorization: `Bearer ${mint()}` }, '/v1/payments/p-1', 'DELETE'),
      403,
      'action.unknown',
    ],
    [
      'a path parameter',
      () => call({ authorization: `Bearer ${mint()}` }, '/v1/payments/p-1;x=1'),
      400,
      'request.not-canonical',
    ],
    [
      'an argument of the wrong type',
      () => post('/v1/payments', '{"amount":"ten","currency":"EUR"}'),
      403,
      'action.arguments',
    ],
    [
      'a body argument repeated in the query',
      () => post('/v1/payments?amount=1', '{"amount":100}'),
      403,
      'action.arguments',
    ],
    ['a body if the catalog permits none', () => post('/v1/payments/p-1/refund', '{}'), 403, 'action.arguments'],
    [
      'an upgrade',
      () => call({ authorization: `Bearer ${mint()}`, connection: 'upgrade', upgrade: 'websocket' }),
      403,
      null,
    ],
  ])('denies a call with %s', async (_name, made, status, reason) => {
    const reply = await made();
    expect(reply.status).toBe(status);
    // Envoy itself refuses an upgrade, with an empty body.
    expect(reply.body === '' ? null : JSON.parse(reply.body).reason).toBe(reason);
  });

  it('denies a token of 1 MB without reading it, at Envoy or at Remit', async () => {
    const outcome = await withToken('x'.repeat(1_048_576)).then(
      (reply) => reply.status,
      () => 'closed',
    );
    expect([401, 431, 'closed']).toContain(outcome);
    expect((await withToken(mint())).status).toBe(200);
  });

  it.each([
    ['with no URI', []],
    ['with two URIs', ['spiffe://acme.test/ns/agents/sa/planner', 'spiffe://acme.test/ns/agents/sa/reporter']],
    ['with a URI of another scheme', ['https://acme.test/planner']],
    ['of a trust domain without a path', ['spiffe://acme.test']],
  ])('never allows a certificate %s', async (_name, uris) => {
    const credential = await domain.authority.certificate({ uris });
    const other = new Agent({ ...credential, id: agent.id as never }, domain.authority.bundlePem);
    const outcome = await other
      .call(domain.stage.envoyPort, { host: HOST, headers: { authorization: `Bearer ${mint()}` } })
      .then(
        (reply) => JSON.parse(reply.body).reason as string,
        () => 'handshake refused',
      );
    other.close();
    expect(outcome).toMatch(/^(handshake refused|identity\.(invalid|missing|conflict))$/);
  });

  it('never serves a call without TLS', async () => {
    const outcome = await new Promise<string>((settle) => {
      request({ host: '127.0.0.1', port: domain.stage.envoyPort, path: '/v1/payments', headers: { host: HOST } }, () =>
        settle('answered'),
      )
        .on('error', () => settle('refused'))
        .end();
    });
    expect(outcome).toBe('refused');
  });
});

const now = (): number => Math.floor(Date.now() / 1000);

async function issuerKey(file: string): Promise<TestKey> {
  const privateKey: KeyObject = createPrivateKey(await readFile(file, 'utf8'));
  const jwk = await exportJWK(createPublicKey(privateKey));
  return { algorithm: 'ES256', keyId: await calculateJwkThumbprint(jwk), privateKey, jwk: { ...jwk } };
}

const claimsOf = (token: string): Record<string, unknown> => {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
  expect(claims.iss).toBe(ISSUER);
  return claims;
};

const thumbprintOf = (pem: string): string =>
  createHash('sha256')
    .update(pem === '' ? '' : new X509Certificate(pem).raw)
    .digest('base64url');

/** A token signed by HMAC with the public key as the secret: the classic algorithm confusion. */
function hs256(key: TestKey, claims: object): string {
  const secret = createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' });
  const input = [JSON.stringify({ typ: 'at+jwt', alg: 'HS256', kid: key.keyId }), JSON.stringify(claims)]
    .map(base64url)
    .join('.');
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}
