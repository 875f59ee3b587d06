import { beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { IssuedSvid } from '../../../../src/dev/authority.ts';
import { resourceMetadataUrl } from '../../../../src/authority/issuer/resource-metadata.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { type Answer, audience, type Bench, formHeaders, issuerUrl, type Parameters, startBench } from '../bench.ts';
import { plannerId, reporterId } from '../idp.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
let gateway: IssuedSvid;
const gatewayId = 'spiffe://acme.test/ns/gateway/sa/gateway';
beforeAll(async () => {
  bench = await startBench(folder(), { settings: { introspectors: new Set([mustSpiffeId(gatewayId)]) } });
  gateway = await bench.authority.svid('/ns/gateway/sa/gateway');
});

const tokenOf = (answer: Answer): string => String(answer.json['access_token']);
const introspect = (token: string, as = bench.planner, change: Parameters = {}): Promise<Answer> =>
  bench.form('/oauth/introspect', { token, ...change }, as);
const revoke = (token: string, change: Parameters = {}, as = bench.planner): Promise<Answer> =>
  bench.form('/oauth/revoke', { token, ...change }, as);

describe('POST /oauth/introspect', () => {
  it('returns the claims of a live token to its agent', async () => {
    const issued = await bench.token();
    const answer = await introspect(tokenOf(issued));
    const { remit_intent: _intent, ...claims } = decodeJwt(tokenOf(issued));
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
    expect(answer.json).toEqual({ active: true, token_type: 'Bearer', ...claims });
    expect(answer.json).toMatchObject({ client_id: plannerId, aud: audience, txn: issued.json['txn'] });
  });

  it('returns the claims of every token to a configured introspector, and nothing to others', async () => {
    const token = tokenOf(await bench.token());
    expect((await introspect(token, gateway)).json).toMatchObject({ active: true, sub: plannerId });
    expect((await introspect(token, bench.reporter)).json).toEqual({ active: false });
  });

  it.each<[string, () => Promise<string>]>([
    ['no token at all', () => Promise.resolve('x')],
    [
      'a token of an ended task',
      async () => {
        const issued = await bench.token();
        await bench.ask(`/tasks/${String(issued.json['txn'])}/complete`, { method: 'POST' });
        return tokenOf(issued);
      },
    ],
    [
      'a token of a suspended task',
      async () => {
        const issued = await bench.token();
        await bench.ask(`/tasks/${String(issued.json['txn'])}/suspend`, { method: 'POST' });
        return tokenOf(issued);
      },
    ],
    [
      'a revoked token',
      async () => {
        const token = tokenOf(await bench.token());
        await revoke(token);
        return token;
      },
    ],
    [
      'an expired token',
      async () => {
        const claims = decodeJwt(tokenOf(await bench.token()));
        const iat = Number(claims.iat) - 400;
        return bench.services.signingKeys.current().sign({ ...claims, iat, exp: iat + 300 });
      },
    ],
    ['a token with a broken signature', async () => `${tokenOf(await bench.token()).slice(0, -4)}AAAA`],
  ])('says that %s is not active, and no more', async (_name, token) => {
    const answer = await introspect(await token());
    expect([answer.status, answer.json]).toEqual([200, { active: false }]);
  });

  it.each<[string, Parameters, string, string]>([
    ['no token', { token: undefined }, 'invalid_request', 'token is required'],
    ['a client secret', { client_secret: 'x' }, 'invalid_request', 'client_secret not allowed'],
    ['another client id', { client_id: reporterId }, 'invalid_client', 'client_id must be the SPIFFE ID'],
  ])('refuses %s', async (_name, change, error, description) => {
    const answer = await introspect('x', bench.planner, change);
    expect([answer.status, answer.json['error']]).toEqual([error === 'invalid_client' ? 401 : 400, error]);
    expect(answer.json['error_description']).toContain(description);
  });

  it('refuses a token that is sent twice, another content type, and a foreign workload', async () => {
    const twice = { method: 'POST', body: 'token=a&token=b', headers: formHeaders };
    expect((await bench.ask('/oauth/introspect', twice)).json['error_description']).toMatch(/sent more than once$/);
    const json = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
    expect((await bench.ask('/oauth/introspect', json)).json['error']).toBe('invalid_request');
    const foreign = await bench.authority.certificate({ uris: ['spiffe://evil.test/x'] });
    const answer = await bench.form('/oauth/introspect', { token: 'x' }, foreign);
    expect([answer.status, answer.json['error']]).toEqual([401, 'invalid_client']);
  });
});

describe('POST /oauth/revoke', () => {
  it('revokes the token before the reply, and leaves its task active', async () => {
    const issued = await bench.token();
    const answer = await revoke(tokenOf(issued));
    expect([answer.status, answer.json]).toEqual([200, { revoked: true }]);
    expect((await introspect(tokenOf(issued))).json).toEqual({ active: false });
    const path = `/tasks/${String(issued.json['txn'])}`;
    expect((await bench.ask(path)).json['state']).toBe('active');
    const further = await bench.ask(`${path}/token`, { method: 'POST' });
    expect((await introspect(tokenOf(further))).json['active']).toBe(true);
    expect((await bench.ask(`${path}/timeline`)).json['records']).toMatchObject([
      { kind: 'intent' },
      { kind: 'token' },
      { kind: 'event', event: 'token-revoked', by: plannerId, cause: 'agent.revoked' },
      { kind: 'token' },
    ]);
  });

  it.each<[string, (issued: Answer) => string]>([
    ['a token of the task', tokenOf],
    ['the id of the task', (issued) => String(issued.json['txn'])],
  ])('ends the whole task by its hint and %s', async (_name, token) => {
    const issued = await bench.token();
    expect((await revoke(token(issued), { token_type_hint: 'urn:remit:task' })).status).toBe(200);
    expect((await bench.ask(`/tasks/${String(issued.json['txn'])}`)).json).toMatchObject({
      state: 'revoked',
      cause: 'agent.revoked',
      cause_note: 'revoked by the agent',
    });
  });

  it.each<[string, string]>([
    ['an unknown token', 'x'],
    ['an unknown task', '0198c0de-0000-7000-8000-000000000001'],
  ])('answers 200 for %s, and says that nothing was revoked', async (_name, token) => {
    const answer = await revoke(token, { token_type_hint: 'urn:remit:task' });
    expect([answer.status, answer.json]).toEqual([200, { revoked: false }]);
  });

  it('is idempotent, with any hint', async () => {
    const token = tokenOf(await bench.token());
    for (const hint of ['access_token', 'refresh_token', 'x']) {
      expect((await revoke(token, { token_type_hint: hint })).status).toBe(200);
    }
  });

  it('refuses a token of another client without effect on it', async () => {
    const issued = await bench.token();
    const refused = await revoke(tokenOf(issued), {}, bench.reporter);
    expect([refused.status, refused.json]).toEqual([
      400,
      { error: 'invalid_grant', error_description: 'the token was issued to another client' },
    ]);
    const hint = { token_type_hint: 'urn:remit:task' };
    const task = await revoke(String(issued.json['txn']), hint, bench.reporter);
    expect([task.status, task.json]).toEqual([200, { revoked: false }]);
    expect((await introspect(tokenOf(issued))).json['active']).toBe(true);
  });

  it('says so if the token or its task has ended already', async () => {
    const issued = await bench.token();
    await bench.ask(`/tasks/${String(issued.json['txn'])}/complete`, { method: 'POST' });
    for (const change of [{}, { token_type_hint: 'urn:remit:task' }]) {
      expect((await revoke(tokenOf(issued), change)).json).toEqual({ revoked: true });
    }
    expect((await bench.ask(`/tasks/${String(issued.json['txn'])}`)).json['state']).toBe('completed');
  });

  it('revokes nothing by a token with a broken signature, or of another issuer', async () => {
    const issued = await bench.token();
    const claims = decodeJwt(tokenOf(issued));
    const foreign = await bench.services.signingKeys.current().sign({ ...claims, iss: 'https://other.test' });
    for (const token of [`${tokenOf(issued).slice(0, -4)}AAAA`, foreign]) {
      const answer = await revoke(token, { token_type_hint: 'urn:remit:task' });
      expect([answer.status, answer.json]).toEqual([200, { revoked: false }]);
    }
    expect((await introspect(tokenOf(issued))).json['active']).toBe(true);
  });

  it('needs no policies and no server of the catalog', async () => {
    const at = folder();
    const none = await startBench(at, { catalog: deny('policy.unavailable', 'no policies are in force') });
    const token = await none.services.signingKeys.current().sign({
      ...decodeJwt(tokenOf(await bench.token())),
      aud: 'https://gone.acme.test',
    });
    const answer = await none.form('/oauth/revoke', { token });
    // Its state file has no such task.
    expect([answer.status, answer.json]).toEqual([200, { revoked: false }]);
    await none.close();
  });

  it('answers 503 if the revocation cannot be committed, or the state cannot be read', async () => {
    const at = folder();
    const store = mustOpen(`${at}/state.db`, { nowMs: systemPorts.nowMs });
    const orphan = await startBench(at, { store });
    const token = tokenOf(await orphan.token());
    store.close();
    for (const path of ['/oauth/revoke', '/oauth/introspect']) {
      const answer = await orphan.form(path, { token });
      expect([answer.status, answer.headers['retry-after'], answer.json['error']]).toEqual([
        503,
        '1',
        'temporarily_unavailable',
      ]);
    }
    await orphan.close();
  });
});

describe('GET /.well-known/oauth-protected-resource', () => {
  it('returns the metadata of a catalog server', async () => {
    const url = new URL(resourceMetadataUrl(issuerUrl, { id: 'payments' }));
    expect(url.href).toBe('https://issuer.acme.test/.well-known/oauth-protected-resource/payments');
    const answer = await bench.ask(url.pathname);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    expect(answer.json).toEqual({
      resource: audience,
      authorization_servers: [issuerUrl],
      scopes_supported: expect.arrayContaining(['payments.read', 'payments.create']),
      bearer_methods_supported: ['header'],
      authorization_details_types_supported: ['urn:remit:task'],
      tls_client_certificate_bound_access_tokens: true,
    });
  });

  it.each([
    ['8443', `${audience}:8443`],
    ['443', audience],
  ])('names the resource at the port %s that a client called', async (port, resource) => {
    const url = new URL(resourceMetadataUrl(issuerUrl, { id: 'payments' }, Number(port)));
    expect(url.pathname).toBe(`/.well-known/oauth-protected-resource/payments:${port}`);
    expect((await bench.ask(url.pathname)).json).toMatchObject({ resource });
  });

  it.each(['0', '65536', '08443', '84430000', '', 'x', '8443:1'])('is 404 for the port %j', async (port) => {
    expect((await bench.ask(`/.well-known/oauth-protected-resource/payments:${port}`)).status).toBe(404);
  });

  it('is 404 for an unknown server', async () => {
    expect((await bench.ask('/.well-known/oauth-protected-resource/none')).status).toBe(404);
    expect((await bench.ask('/.well-known/oauth-protected-resource/__proto__')).status).toBe(404);
  });

  it('puts the path of the issuer after its own', async () => {
    const url = resourceMetadataUrl('https://issuer.acme.test/remit/v1', { id: 'payments' });
    expect(url).toBe('https://issuer.acme.test/.well-known/oauth-protected-resource/remit/v1/payments');
    const deep = await startBench(folder(), { settings: { url: 'https://issuer.acme.test/remit/v1' } });
    expect((await deep.ask(new URL(url).pathname)).json).toMatchObject({ resource: audience });
    await deep.close();
  });
});
