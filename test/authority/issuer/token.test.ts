import { statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, createPublicKey } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import type { JSONWebKeySet } from 'jose';
import { deny } from '../../../src/core/decision/decision.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import { leafFromPem } from '../../../src/core/identity/leaf-certificate.ts';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import type { JsonValue } from '../../../src/core/ledger/canonical-json.ts';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';
import { timelineFrom } from '../../../src/core/ledger/timeline.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { verifyTaskToken } from '../../../src/core/token/verify.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { audience, type Bench, details, formHeaders, issuerUrl, type Parameters, startBench } from './bench.ts';
import { recordedAs } from './recorded-as.ts';
import { must, mustFind } from '../../builders/must.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
beforeAll(async () => {
  bench = await startBench(folder());
});

const plannerId = 'spiffe://acme.test/ns/agents/sa/planner';
const reporterId = 'spiffe://acme.test/ns/agents/sa/reporter';
const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const leafOf = (pem: string) => must(leafFromPem(pem));

describe('POST /oauth/token', () => {
  it('issues a task token that a sidecar accepts, and returns the grant', async () => {
    const answer = await bench.token({ client_id: plannerId });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      pragma: 'no-cache',
    });
    const granted = JSON.parse(details()) as JsonValue;
    expect(answer.json).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'payments.read',
      authorization_details: granted,
      txn: expect.stringMatching(/^[0-9a-f-]{36}$/),
      refresh_token: expect.stringMatching(/^remit-refresh-[0-9a-f-]{36}$/),
    });
    const compact = String(answer.json['access_token']);
    const { publicJwk, keyId } = bench.services.signingKeys.current();
    const key = createPublicKey({ key: { ...publicJwk }, format: 'jwk' });
    const rules = { audiences: new Set([audience]), maxLifetimeSeconds: 900, clockSkewSeconds: 5, maxBytes: 8_192 };
    const token = must(verifyTaskToken(compact, rules, { keyFor: () => key }, Date.now()));
    const intent = { client_id: plannerId, authorization_details: granted };
    const canonical = canonicalJson({ typ: 'remit-intent', iss: issuerUrl, value: intent });
    if (typeof canonical !== 'string') throw new Error(canonical.problem);
    const leaf = leafOf(bench.planner.certPem);
    expect(token).toMatchObject({
      issuer: issuerUrl,
      keyId,
      audience,
      subject: plannerId,
      clientId: plannerId,
      taskId: answer.json['txn'],
      scope: ['payments.read'],
      confirmation: { kind: 'x5t#S256', thumbprint: leaf.sha256 },
      intentHash: `sha-256:${createHash('sha256').update(canonical).digest('base64url')}`,
    });
    expect(token.expiresAtSeconds - token.issuedAtSeconds).toBe(300);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'token.issue',
      traceId: token.issuance.traceId,
      attributes: {
        'remit.intent.purpose': 'pay the invoices of may',
        'remit.intent.actions': ['payments.read'],
        'remit.token.lifetime_seconds': 300,
        'remit.task.id': answer.json['txn'],
        'remit.task.deadline': expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      },
    });
  });

  it.each<[string, string, number | undefined, number]>([
    ['high risk for 8 hours', 'payments.create', 8 * 3_600, 400],
    ['high risk for more than a quarter of an hour', 'payments.create', 930, 400],
    ['high risk for a quarter of an hour', 'payments.create', 900, 200],
    ['high risk without an end, which is a quarter of an hour by default', 'payments.create', undefined, 200],
    ['low risk for 8 hours', 'payments.read', 8 * 3_600, 200],
  ])('decides by the life of the task: %s', async (_name, action, seconds, status) => {
    const notAfter = seconds === undefined ? undefined : Math.floor(Date.now() / 1_000) + seconds;
    const answer = await bench.token({
      authorization_details: details({ actions: [action], constraints: { not_after: notAfter } }),
    });
    expect(answer.status).toBe(status);
    if (status === 400) {
      expect(answer.json['error_description']).toBe(`the action ${action} is not granted to this client`);
    } else {
      expect(answer.json['expires_in']).toBe(300);
    }
  });

  it('has the header and the claims of the profile and no others', async () => {
    const answer = await bench.token();
    const compact = String(answer.json['access_token']);
    expect(decodeProtectedHeader(compact)).toEqual({
      typ: 'at+jwt',
      alg: 'ES256',
      kid: await calculateJwkThumbprint(bench.services.signingKeys.current().publicJwk),
    });
    const jwks = (await bench.ask('/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
    const { payload } = await jwtVerify(compact, createLocalJWKSet(jwks), {
      issuer: issuerUrl,
      audience,
      typ: 'at+jwt',
    });
    expect(Object.keys(payload).toSorted()).toEqual([
      'aud',
      'authorization_details',
      'client_id',
      'cnf',
      'exp',
      'iat',
      'iss',
      'jti',
      'remit_intent',
      'scope',
      'sub',
      'txn',
    ]);
    expect(payload['remit_intent']).toEqual({
      h: expect.stringMatching(/^sha-256:[\w-]{43}$/),
      tp: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
    });
    expect(payload.aud).toBe(audience);
    expect(Buffer.from(String(payload.jti), 'base64url')).toHaveLength(16);
  });

  it('writes task, intent and token to disk, with the deciding policies and without the token', async () => {
    const answer = await bench.token({
      authorization_details: details({ actions: ['payments.create', 'payments.read'] }),
    });
    const id = String(answer.json['txn']);
    const { store } = bench;
    expect(store.taskOf(issuerUrl, id)).toMatchObject({
      agent: plannerId,
      state: 'active',
      purpose: 'pay the invoices of may',
    });
    const records = must(store.recordsOf(id, 10));
    const { payload } = await jwtVerify(
      String(answer.json['access_token']),
      await importJWK(bench.services.signingKeys.current().publicJwk, 'ES256'),
    );
    const timeline = timelineFrom(records);
    expect(timeline).toMatchObject([
      {
        kind: 'intent',
        task: id,
        agent: plannerId,
        decision: 'allow',
        error: null,
        reason: null,
        policyIds: ['issue-high-risk', 'issue-low-risk'],
        policySet: bench.policySet,
        details: answer.json['authorization_details'],
      },
      {
        kind: 'token',
        task: id,
        jtiDigest: jtiDigestOf(String(payload.jti)),
        audience,
        expires: Number(payload.exp) * 1_000,
        binding: 'x5t#S256',
      },
    ]);
    const text = JSON.stringify(timeline);
    expect(text).not.toContain(String(payload.jti));
    expect(text).not.toContain(String(answer.json['access_token']).split('.')[2]);
  });

  it('expands a family to its actions, so that later catalog entries are not granted', async () => {
    const answer = await bench.token({ authorization_details: details({ actions: ['payments.*'] }) });
    expect(answer.json['scope']).toBe('payments.list payments.read payments.create payments.refund');
    expect(answer.json['authorization_details']).toMatchObject([
      { actions: ['payments.list', 'payments.read', 'payments.create', 'payments.refund'] },
    ]);
  });

  it('accepts a scope that lists the actions, and a purpose in another script', async () => {
    const answer = await bench.token({
      scope: 'payments.read',
      authorization_details: details({ purpose: '五月の請求書 💶' }),
    });
    expect([answer.status, answer.json['scope']]).toEqual([200, 'payments.read']);
    expect(bench.store.taskOf(issuerUrl, String(answer.json['txn']))).toMatchObject({
      purpose: '五月の請求書 💶',
    });
  });

  it('continues the trace of the request', async () => {
    const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`;
    const body = new URLSearchParams({ grant_type: 'x' }).toString();
    await bench.ask('/oauth/token', { method: 'POST', body, headers: { ...formHeaders, traceparent } });
    expect(bench.spans.at(-1)).toMatchObject({ parent: traceparent, attributes: { 'remit.decision': 'deny' } });
  });

  const unknownType = details({ type: 'urn:other' });
  it.each<[string, Parameters, string, RegExp]>([
    ['no grant type', { grant_type: undefined }, 'invalid_request', /^grant_type is required$/],
    [
      'another grant type',
      { grant_type: 'password' },
      'unsupported_grant_type',
      /^the grant_type must be client_credentials or refresh_token or urn:/,
    ],
    ['an empty grant type', { grant_type: '' }, 'invalid_request', /^grant_type is required$/],
    ['no resource', { resource: undefined }, 'invalid_target', /^exactly one resource is required$/],
    ['an unknown resource', { resource: 'https://evil.test' }, 'invalid_target', /^unknown resource$/],
    [
      'a resource with a path',
      { resource: `${audience}/v1` },
      'invalid_target',
      /^unknown resource; did you mean https:\/\/payments.acme.test\?$/,
    ],
    [
      'another client id',
      { client_id: 'spiffe://acme.test/ns/agents/sa/reporter' },
      'invalid_client',
      /^client_id must be the SPIFFE ID/,
    ],
    ['a client secret', { client_secret: 's3cret' }, 'invalid_request', /^client_secret not allowed/],
    ['a client assertion', { client_assertion: 'x' }, 'invalid_request', /^client_assertion not allowed/],
    ['a txn', { txn: '0198c0de-0000-7000-8000-000000000001' }, 'invalid_request', /^txn is given by the issuer/],
    [
      'no details',
      { authorization_details: undefined },
      'invalid_authorization_details',
      /is required: the intent of the task$/,
    ],
    [
      'details that are no JSON',
      { authorization_details: '[{' },
      'invalid_authorization_details',
      /is not valid JSON$/,
    ],
    [
      'a duplicate member',
      { authorization_details: '[{"type":"a","type":"b"}]' },
      'invalid_authorization_details',
      /duplicate member name$/,
    ],
    ['no entries', { authorization_details: '[]' }, 'invalid_authorization_details', /^authorization_details /],
    [
      'an unknown type',
      { authorization_details: unknownType },
      'invalid_authorization_details',
      /must be `urn:remit:task`$/,
    ],
    [
      'an unknown field',
      { authorization_details: details({ x: 1 }) },
      'invalid_authorization_details',
      /unknown member `x`$/,
    ],
    [
      'an unknown constraint',
      { authorization_details: details({ constraints: { max_bytes: 1 } }) },
      'invalid_authorization_details',
      /unknown constraint/,
    ],
    [
      'another location',
      { authorization_details: details({ locations: ['https://files.acme.test'] }) },
      'invalid_authorization_details',
      /^every location must be the requested resource$/,
    ],
    [
      'an additional location',
      { authorization_details: details({ locations: [audience, 'https://files.acme.test'] }) },
      'invalid_authorization_details',
      /^every location must be/,
    ],
    [
      'an unknown action',
      { authorization_details: details({ actions: ['payments.burn'] }) },
      'invalid_authorization_details',
      /^the resource has no action payments.burn$/,
    ],
    [
      'a misspelt action',
      { authorization_details: details({ actions: ['payments.raed'] }) },
      'invalid_authorization_details',
      /^the resource has no action payments.raed; did you mean payments.read\?$/,
    ],
    [
      'an action of another server',
      { authorization_details: details({ actions: ['files.read'] }) },
      'invalid_authorization_details',
      /^the resource has no action files.read$/,
    ],
    [
      'every action there is',
      { authorization_details: details({ actions: ['*'] }) },
      'invalid_authorization_details',
      /^the resource has no action \*$/,
    ],
    [
      'an empty family',
      { authorization_details: details({ actions: ['nothing.*'] }) },
      'invalid_authorization_details',
      /^the resource has no action nothing/,
    ],
    [
      'an action with quotes',
      { authorization_details: details({ actions: ['"\\'] }) },
      'invalid_authorization_details',
      /^the resource has no action ''$/,
    ],
    [
      'two purposes',
      {
        authorization_details: JSON.stringify([...JSON.parse(details()), ...JSON.parse(details({ purpose: 'other' }))]),
      },
      'invalid_authorization_details',
      /^the entries name several purposes/,
    ],
    [
      'a time that has passed',
      { authorization_details: details({ constraints: { not_after: 1 } }) },
      'invalid_authorization_details',
      /^not_after has passed$/,
    ],
    ['an unknown scope', { scope: 'admin' }, 'invalid_scope', /^the scope must list the actions/],
    ['a wider scope', { scope: 'payments.read payments.create' }, 'invalid_scope', /^the scope must list/],
    ['a malformed scope', { scope: 'a  b' }, 'invalid_scope', /^the scope is malformed$/],
    [
      'too many actions',
      {
        authorization_details: JSON.stringify(
          Array.from(
            { length: 2 },
            () => JSON.parse(details({ actions: Array.from({ length: 40 }, () => 'payments.read') }))[0],
          ),
        ),
      },
      'invalid_authorization_details',
      /^an intent has at most 64 actions, each counted once for each of its constraints$/,
    ],
    [
      'details longer than 16 KiB',
      { authorization_details: details({ purpose: 'x'.repeat(17_000) }) },
      'invalid_authorization_details',
      /longer than 16384 characters$/,
    ],
    [
      'details too large for a token',
      {
        authorization_details: JSON.stringify(
          Array.from({ length: 30 }, () => JSON.parse(details({ purpose: 'x'.repeat(200) }))[0]),
        ),
      },
      'invalid_authorization_details',
      /^authorization_details are too large for a token$/,
    ],
  ])('refuses %s', async (_name, change, error, description) => {
    const before = bench.refusals.length;
    const answer = await bench.token(change);
    expect([answer.status, answer.json['error']]).toEqual([error === 'invalid_client' ? 401 : 400, error]);
    expect(answer.json['error_description']).toMatch(description);
    expect(Object.keys(answer.json)).toEqual(['error', 'error_description', 'decision', 'trace']);
    expect(answer.headers['cache-control']).toBe('no-store');
    const { decision: decisionId, trace: traceId } = answer.json;
    expect(decisionId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(bench.refusals.slice(before)).toMatchObject([
      {
        kind: 'intent',
        decision: 'deny',
        error,
        agent: plannerId,
        task: null,
        decisionId,
        traceId,
        detail: expect.stringMatching(/./),
      },
    ]);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'token.issue',
      attributes: { 'remit.decision': 'deny', 'remit.decision.id': decisionId, 'error.type': error },
    });
  });

  it('refuses what the policies do not permit, naming the action and no policy', async () => {
    const change = { authorization_details: details({ actions: ['payments.read', 'payments.create'] }) };
    const answer = await bench.token(change, bench.reporter);
    expect([answer.status, answer.json]).toEqual([
      400,
      {
        error: 'invalid_authorization_details',
        error_description: 'the action payments.create is not granted to this client',
        ...recordedAs,
      },
    ]);
    expect(bench.refusals.at(-1)).toMatchObject({
      agent: 'spiffe://acme.test/ns/agents/sa/reporter',
      reason: 'policy.not-permitted',
      purpose: 'pay the invoices of may',
      intentHash: expect.stringMatching(/^sha-256:/),
    });
  });

  it.each<[string, string]>([
    ['grant_type', 'grant_type=client_credentials&grant_type=client_credentials'],
    [
      'authorization_details',
      `grant_type=client_credentials&authorization_details=${encodeURIComponent(details())}&authorization_details=[]`,
    ],
    ['an unknown parameter', 'grant_type=client_credentials&x=1&x=2'],
  ])('refuses %s sent twice', async (_name, body) => {
    const answer = await bench.ask('/oauth/token', { method: 'POST', body, headers: formHeaders });
    expect(answer.json).toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringMatching(/is sent more than once$/),
    });
  });

  it('refuses a second resource as a target it cannot serve', async () => {
    const body = `grant_type=client_credentials&resource=${audience}&resource=https://files.acme.test`;
    const answer = await bench.ask('/oauth/token', { method: 'POST', body, headers: formHeaders });
    expect(answer.json).toEqual({
      error: 'invalid_target',
      error_description: 'a token is for exactly one resource',
      ...recordedAs,
    });
  });

  it.each<[string, string | Buffer, Record<string, string>, string]>([
    [
      'JSON',
      '{}',
      { 'content-type': 'application/json' },
      'the content-type must be application/x-www-form-urlencoded',
    ],
    ['no content type', 'a=b', {}, 'the content-type must be application/x-www-form-urlencoded'],
    ['a stray %', 'a=%zz', formHeaders, 'the body is not a url-encoded form in UTF-8'],
    [
      'bytes that are not UTF-8',
      Buffer.from([0x61, 0x3d, 0xff]),
      formHeaders,
      'the body is not a url-encoded form in UTF-8',
    ],
    ['too many parameters', 'a=1&'.repeat(65), formHeaders, 'more than 64 parameters'],
  ])('refuses a body with %s', async (_name, body, headers, description) => {
    const answer = await bench.ask('/oauth/token', { method: 'POST', body, headers });
    expect([answer.status, answer.json]).toEqual([
      400,
      { error: 'invalid_request', error_description: description, ...recordedAs },
    ]);
  });

  it.each<[string, string, string]>([
    ['a client secret', basic(plannerId, 's3cret'), 'Basic'],
    ['a client secret, url-encoded', basic(encodeURIComponent(plannerId), 's3cret'), 'Basic'],
    ['the id of another client', basic(reporterId, ''), 'Basic'],
    ['no id', basic('', ''), 'Basic'],
    ['the id and no colon', `Basic ${Buffer.from(plannerId).toString('base64')}`, 'Basic'],
    ['more after it', `${basic(plannerId, '')}, Basic x`, 'Basic'],
    ['a bearer token', 'Bearer s3cret', 'Bearer'],
  ])(
    'answers an authorization header that has %s with a challenge, and never repeats it',
    async (_name, authorization, scheme) => {
      const body = new URLSearchParams({
        grant_type: 'client_credentials',
        resource: audience,
        authorization_details: details(),
      }).toString();
      for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) {
        const answer = await bench.ask(path, { method: 'POST', body, headers: { ...formHeaders, authorization } });
        expect([path, answer.status, answer.json['error'], answer.headers['www-authenticate']]).toEqual([
          path,
          401,
          'invalid_client',
          `${scheme} realm="remit: client certificates only"`,
        ]);
        expect(answer.text).not.toContain('s3cret');
      }
      expect(JSON.stringify([bench.refusals, bench.spans, bench.problems])).not.toMatch(/s3cret|czNjcmV0/);
    },
  );

  it.each([
    ['as it is', `Basic ${base64(`${plannerId}:`)}`],
    ['url-encoded', `Basic ${base64(`${encodeURIComponent(plannerId)}:`)}`],
    ['url-encoded in lower case', `Basic ${base64(`${encodeURIComponent(plannerId).toLowerCase()}:`)}`],
    ['url-encoded in part', `Basic ${base64(`${plannerId.replace(':', '%3A')}:`)}`],
    ['after another spelling of the scheme', `basic ${base64(`${plannerId}:`)}`],
    ['and the None of Python, as Authlib writes no secret', `Basic ${base64(`${plannerId}:None`)}`],
  ])('takes Basic with its own id %s for client_id, at each endpoint of a form', async (_name, authorization) => {
    const headers = { ...formHeaders, authorization };
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_secret: '',
      resource: audience,
      authorization_details: details(),
      token: 'x',
    }).toString();
    for (const path of ['/oauth/token', '/intents/check', '/oauth/introspect', '/oauth/revoke']) {
      expect([path, (await bench.ask(path, { method: 'POST', body, headers })).status]).toEqual([path, 200]);
      const foreign = await bench.ask(path, { as: bench.reporter, method: 'POST', body, headers });
      expect([path, foreign.status, foreign.json['error']]).toEqual([path, 401, 'invalid_client']);
    }
  });

  it.each([
    ['a secret', `${plannerId}:none`],
    ['a part of its id', `${plannerId.slice(0, -1)}:`],
    ['no secret at all', plannerId],
    ['escapes that are none', `${plannerId}%zz:`],
  ])('refuses Basic with %s', async (_name, text) => {
    const headers = { ...formHeaders, authorization: `Basic ${base64(text)}` };
    const answer = await bench.ask('/oauth/introspect', { method: 'POST', body: 'token=x', headers });
    expect([answer.status, answer.json['error']]).toEqual([401, 'invalid_client']);
  });

  it('accepts a charset, ignores unknown parameters, and treats empty parameters as absent', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' };
    const body = `grant_type=client_credentials&resource=${audience}&scope=&client_secret&foo=bar&authorization_details=${encodeURIComponent(details())}`;
    expect((await bench.ask('/oauth/token', { method: 'POST', body, headers })).status).toBe(200);
  });
});

describe('the lifetime of a token', () => {
  it('ends with the certificate, and no token is issued for a certificate that is about to expire', async () => {
    const short = await bench.authority.svid('/ns/agents/sa/planner', { ttlSeconds: 250 });
    const answer = await bench.token({}, short);
    expect(answer.json['expires_in']).toBeGreaterThan(140);
    expect(answer.json['expires_in']).toBeLessThanOrEqual(240);
    const ending = await bench.authority.svid('/ns/agents/sa/planner', { ttlSeconds: 18 });
    expect((await bench.token({}, ending)).json).toEqual({
      error: 'invalid_client',
      error_description: 'the client certificate ends in less than 10 s',
      ...recordedAs,
    });
  });

  it('ends with the task, whose deadline is the not_after of the intent', async () => {
    const notAfter = Math.floor(Date.now() / 1_000) + 200;
    const answer = await bench.token({ authorization_details: details({ constraints: { not_after: notAfter } }) });
    expect(answer.json['expires_in']).toBeGreaterThan(100);
    expect(answer.json['expires_in']).toBeLessThanOrEqual(200);
    const task = bench.store.taskOf(issuerUrl, String(answer.json['txn']));
    expect(task).toMatchObject({ deadlineMs: notAfter * 1_000 });
  });

  it.each<[string, Record<string, unknown>, number]>([
    ['15 minutes if the intent names none', {}, 900_000],
    [
      'a day if the intent asks for a year',
      { constraints: { not_after: Math.floor(Date.now() / 1_000) + 31_536_000 } },
      86_400_000,
    ],
  ])('of a task is %s', async (_name, change, lifeMs) => {
    const answer = await bench.token({ authorization_details: details(change) });
    const task = mustFind(bench.store.taskOf(issuerUrl, String(answer.json['txn'])));
    expect(task.deadlineMs - task.createdAtMs).toBeGreaterThan(lifeMs - 1_000);
    expect(task.deadlineMs - task.createdAtMs).toBeLessThanOrEqual(lifeMs);
  });
});

describe('an issuer in trouble', () => {
  it.each<[string, Decision, string]>([
    ['an erring policy', deny('policy.error', 'secret policy text'), 'the grant could not be decided'],
    ['no policies', deny('policy.unavailable', 'x'), 'the grant could not be decided'],
  ])('answers 503 for %s, and issues nothing', async (_name, decision, description) => {
    const troubled = await startBench(folder(), { grant: () => decision });
    const answer = await troubled.token();
    expect([answer.status, answer.headers['retry-after'], answer.json]).toEqual([
      503,
      '1',
      { error: 'temporarily_unavailable', error_description: description, ...recordedAs },
    ]);
    expect(troubled.store.tasks({})).toEqual([]);
    await troubled.close();
  });

  it('answers 503 if no catalog is loaded', async () => {
    const troubled = await startBench(folder(), {
      catalog: deny('policy.unavailable', 'no policies are loaded'),
    });
    expect((await troubled.token()).json).toEqual({
      error: 'temporarily_unavailable',
      error_description: 'no policies are loaded',
      ...recordedAs,
    });
    await troubled.close();
  });

  it('signs nothing while the disk is full, and continues when there is space', async () => {
    const at = folder();
    let signed = 0;
    const file = join(at, 'state.db');
    mustOpen(file).close();
    // Room for some tasks beside the tables, however many tables a release has.
    const small = mustOpen(file, { nowMs: systemPorts.nowMs, maxBytes: statSync(file).size + 32 * 1024 });
    const troubled = await startBench(at, { store: small });
    const keys = troubled.services.signingKeys;
    const counting = { ...keys.current(), sign: () => ((signed += 1), Promise.resolve('t')) };
    const signingKeys = { ...keys, problem: () => null, current: () => counting, jwks: () => keys.jwks() };
    const counted = await startBench(folder(), { store: small, signingKeys });
    let answers = 0;
    let last = await counted.token();
    while (last.status === 200 && answers < 200) {
      answers += 1;
      last = await counted.token();
    }
    expect(last.json).toEqual({
      error: 'temporarily_unavailable',
      error_description: 'the issuance could not be recorded',
      ...recordedAs,
    });
    expect(signed).toBe(answers);
    expect(small.tasks({})).toHaveLength(answers);
    expect(counted.refusals.at(-1)).toMatchObject({ error: 'temporarily_unavailable', reason: 'ledger.unavailable' });
    await counted.server.close(0);
    await troubled.close();
  });

  it('answers 503 and records nothing but the refusal while no key signs', async () => {
    const other = await startBench(folder());
    const keys = other.services.signingKeys;
    const problem = 'the key of this authority signs in 9 s, once every sidecar has it';
    const waiting = await startBench(folder(), { signingKeys: { ...keys, problem: () => problem } });
    expect((await waiting.token()).json).toEqual({
      error: 'temporarily_unavailable',
      error_description: problem,
      ...recordedAs,
    });
    expect(waiting.store.tasks({})).toEqual([]);
    await waiting.close();
    await other.close();
  });

  it('answers 500 for an internal error, reports it to the operator, and keeps serving', async () => {
    const troubled = await startBench(folder(), {
      grant: () => {
        throw new TypeError('a bug');
      },
    });
    expect((await troubled.token()).json).toEqual({ error: 'server_error', error_description: 'the request failed' });
    expect(troubled.problems).toEqual([expect.stringContaining('a bug')]);
    expect(troubled.spans).toMatchObject([{ attributes: { 'remit.decision': 'deny', 'remit.reason': 'internal' } }]);
    expect((await troubled.ask('/.well-known/jwks.json')).status).toBe(200);
    await troubled.close();
  });
});
