import { beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { IssuedSvid } from '../../../src/dev/authority.ts';
import { leafFromPem } from '../../../src/core/identity/leaf-certificate.ts';
import { subjectFrom } from '../../../src/authority/issuer/token/subject-token.ts';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { tokenNumber } from '../../builders/task.ts';
import { type Answer, audience, type Bench, details, issuerUrl, type Parameters, startBench } from './bench.ts';
import { recordedAs } from './recorded-as.ts';
import { type Idp, idpUrl, plannerId, reporterId, startIdp } from './idp.ts';
import { must, mustFind } from '../../builders/must.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const folder = testFolders(() => bench.close());
const idp: Idp = startIdp();
let bench: Bench;
beforeAll(async () => {
  const { subjectIssuers, subjectKeys } = idp;
  bench = await startBench(folder(), { subjectKeys, settings: { subjectIssuers } });
});

const tokenOf = (answer: Answer): string => String(answer.json['access_token']);
const claimsOf = (answer: Answer) => decodeJwt(tokenOf(answer));
const taskOf = (answer: Answer): Task => mustFind(bench.store.taskOf(issuerUrl, String(answer.json['txn'])));
const thumbprintOf = (svid: Pick<IssuedSvid, 'certPem'>): string => {
  const leaf = must(leafFromPem(svid.certPem));
  return leaf.sha256;
};
const asking: Parameters = { resource: audience, authorization_details: details() };
const jwt = 'urn:ietf:params:oauth:token-type:jwt';
const idJagType = 'urn:ietf:params:oauth:token-type:id-jag';

describe('token exchange of a subject token of a configured issuer', () => {
  it('issues a task token in which the client acts for the user', async () => {
    const answer = await bench.exchange(await idp.accessToken(), asking);
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
    expect(answer.json).toMatchObject({
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      scope: 'payments.read',
    });
    expect(claimsOf(answer)).toMatchObject({
      sub: 'alice@acme.test',
      client_id: plannerId,
      act: { sub: plannerId },
      aud: audience,
      cnf: { 'x5t#S256': thumbprintOf(bench.planner) },
    });
    expect(taskOf(answer)).toMatchObject({ subject: 'alice@acme.test', agent: plannerId, parentId: null });
  });

  it.each<[string, () => Promise<string>, string, Record<string, unknown>]>([
    ['an ID-JAG by its own type', () => idp.idJag(), idJagType, { sub: 'alice@acme.test', act: { sub: plannerId } }],
    ['an ID-JAG as a JWT', () => idp.idJag(), jwt, { sub: 'alice@acme.test' }],
    ['a JWT-SVID', () => idp.jwtSvid(), jwt, { sub: reporterId, act: { sub: plannerId } }],
    ['a JWT-SVID without typ', () => idp.jwtSvid({}, { typ: undefined }), jwt, { sub: reporterId }],
    [
      'an actor who acts already',
      () => idp.accessToken({ act: { sub: 'portal', iss: idpUrl } }),
      jwt,
      { act: { sub: plannerId, act: { sub: 'portal' } } },
    ],
    ['a may_act that names the client', () => idp.accessToken({ may_act: { sub: plannerId } }), jwt, {}],
    ['a single audience of several', () => idp.accessToken({ aud: ['https://x.test', issuerUrl] }), jwt, {}],
  ])('takes %s', async (_name, token, type, claims) => {
    const answer = await bench.exchange(await token(), { ...asking, subject_token_type: type });
    expect([answer.status, answer.json['error_description']]).toEqual([200, undefined]);
    expect(claimsOf(answer)).toMatchObject(claims);
  });

  // Issue 42: a stop of that actor held until the token was renewed.
  it('keeps an actor who acted already in each further token of the task and of its parts', async () => {
    const chain = { sub: plannerId, act: { sub: 'portal' } };
    const first = await bench.exchange(await idp.accessToken({ act: { sub: 'portal', iss: idpUrl } }), asking);
    const refresh = (token: Answer, as = bench.planner) =>
      bench.form(
        '/oauth/token',
        { grant_type: 'refresh_token', refresh_token: String(token.json['refresh_token']) },
        as,
      );
    expect(claimsOf(await refresh(first))).toMatchObject({ act: chain });
    expect(claimsOf(await refresh(await refresh(first)))).toMatchObject({ act: chain });
    const handed = await bench.exchange(tokenOf(first), { delegate: reporterId });
    const part = await bench.exchange(tokenOf(handed), {}, bench.reporter);
    expect(claimsOf(await refresh(part, bench.reporter))).toMatchObject({ act: { sub: reporterId, act: chain } });
  });

  it('has no actor if a workload exchanges its own JWT-SVID', async () => {
    const answer = await bench.exchange(await idp.jwtSvid({ sub: plannerId }), { ...asking, subject_token_type: jwt });
    expect(claimsOf(answer)).toMatchObject({ sub: plannerId, client_id: plannerId });
    expect(claimsOf(answer)).not.toHaveProperty('act');
  });

  it('accepts a token bound to the certificate of the client', async () => {
    const cnf = { 'x5t#S256': thumbprintOf(bench.planner) };
    expect((await bench.exchange(await idp.accessToken({ cnf }), asking)).status).toBe(200);
  });

  it('never outlives the subject token, nor does its task', async () => {
    const exp = Math.floor(Date.now() / 1_000) + 100;
    const answer = await bench.exchange(await idp.accessToken({ exp }), asking);
    expect(claimsOf(answer).exp).toBe(exp);
    expect(taskOf(answer).deadlineMs).toBe(exp * 1_000);
  });

  it('accepts audience instead of resource', async () => {
    const answer = await bench.exchange(await idp.accessToken(), { ...asking, resource: undefined, audience });
    expect(claimsOf(answer).aud).toBe(audience);
  });

  const now = Math.floor(Date.now() / 1_000);
  it.each<[string, () => Promise<string>, string, RegExp]>([
    ['an expired token', () => idp.accessToken({ exp: now - 1 }), jwt, /claim `exp` has passed$/],
    ['a token from the future', () => idp.accessToken({ nbf: now + 600 }), jwt, /claim `nbf` is in the future$/],
    [
      'a token for another audience',
      () => idp.accessToken({ aud: 'https://x.test' }),
      jwt,
      /claim `aud` is not that of/,
    ],
    ['an ID-JAG for two audiences', () => idp.idJag({ aud: [issuerUrl, 'https://x.test'] }), jwt, /claim `aud` is not/],
    ['an unknown issuer', () => idp.accessToken({ iss: 'https://evil.test' }), jwt, /its issuer is not accepted/],
    ['an unknown trust domain', () => idp.jwtSvid({ sub: 'spiffe://evil.test/x' }), jwt, /its issuer is not accepted/],
    ['a JWT-SVID of no SPIFFE ID', () => idp.jwtSvid({ sub: 'alice' }), jwt, /claim `sub` must be a SPIFFE ID$/],
    ['a JWT-SVID without exp', () => idp.jwtSvid({ exp: undefined }), jwt, /claim `exp` is required$/],
    [
      'an access token without client_id',
      () => idp.accessToken({ client_id: undefined }),
      jwt,
      /`client_id` is required$/,
    ],
    ['an access token without jti', () => idp.accessToken({ jti: undefined }), jwt, /`jti` is required$/],
    ['a forged signature', () => idp.forged({}), jwt, /the signature does not verify/],
    ['an ID token', () => idp.accessToken({}, { typ: 'JWT' }), jwt, /claim `sub` must be a SPIFFE ID$/],
    ['a transaction token', () => idp.accessToken({}, { typ: 'txntoken+jwt' }), jwt, /`typ` is not that of a subject/],
    ['no JWT', () => Promise.resolve('opaque'), jwt, /is not three parts of base64url$/],
    [
      'an ID-JAG for another client',
      () => idp.idJag({ client_id: reporterId }),
      jwt,
      /`client_id` is not this client$/,
    ],
    ['a may_act for another', () => idp.accessToken({ may_act: { sub: 'bob' } }), jwt, /`may_act` is not this client$/],
    [
      'a may_act that asks for more',
      () => idp.accessToken({ may_act: { sub: plannerId, iss: idpUrl } }),
      jwt,
      /unknown member `iss`$/,
    ],
    [
      'a token bound to another certificate',
      () => idp.accessToken({ cnf: { 'x5t#S256': 'A'.repeat(43) } }),
      jwt,
      /`cnf` is not the key of this client$/,
    ],
    ['a token bound by other means', () => idp.accessToken({ cnf: { jwk: {} } }), jwt, /unknown member `jwk`$/],
    [
      'a chain that is too long',
      () => idp.accessToken({ act: { sub: 'a', act: { sub: 'b', act: { sub: 'c' } } } }),
      jwt,
      /^the chain of actors is longer than 3$/,
    ],
    [
      'a chain longer than is read',
      () => idp.accessToken({ act: { sub: 'a', act: { sub: 'b', act: { sub: 'c', act: { sub: 'd' } } } } }),
      jwt,
      /must nest at most 3 actors$/,
    ],
    [
      'a chain that has the client already',
      () => idp.accessToken({ act: { sub: plannerId } }),
      jwt,
      /^the client is in the chain of actors/,
    ],
    [
      'an ID-JAG called an access token',
      () => idp.idJag(),
      'urn:ietf:params:oauth:token-type:access_token',
      /issuer is not/,
    ],
    ['an access token called an ID-JAG', () => idp.accessToken(), idJagType, /its issuer is not accepted/],
    [
      'a JWT-SVID called an access token',
      () => idp.jwtSvid(),
      'urn:ietf:params:oauth:token-type:access_token',
      /issuer is/,
    ],
    ['a kind it does not know', () => idp.accessToken(), 'urn:ietf:params:oauth:token-type:saml2', /is not supported$/],
  ])('refuses %s as invalid_request', async (_name, token, type, description) => {
    const before = bench.store.tasks({});
    const answer = await bench.exchange(await token(), { ...asking, subject_token_type: type });
    expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_request']);
    expect(answer.json['error_description']).toMatch(description);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(bench.store.tasks({})).toHaveLength(isStoreFailure(before) ? -1 : before.length);
    expect(bench.refusals.at(-1)).toMatchObject({ kind: 'intent', decision: 'deny', error: 'invalid_request' });
  });

  it.each<[string, Parameters, string, RegExp]>([
    ['no subject token', { subject_token: undefined }, 'invalid_request', /^subject_token is required$/],
    ['no subject token type', { subject_token_type: undefined }, 'invalid_request', /^subject_token_type is required$/],
    ['an actor token', { actor_token: 'x' }, 'invalid_request', /^actor_token is not supported/],
    ['another requested type', { requested_token_type: jwt }, 'invalid_request', /^the requested_token_type is not/],
    ['a txn', { txn: '0198c0de-0000-7000-8000-000000000001' }, 'invalid_request', /^txn is given by the issuer/],
    [
      'a delegate of a user token',
      { delegate: reporterId },
      'invalid_request',
      /^delegate requires a subject_token issued to this client/,
    ],
    ['no resource', { resource: undefined }, 'invalid_target', /^exactly one resource is required$/],
    [
      'two targets',
      { audience: 'https://files.acme.test' },
      'invalid_target',
      /^resource and audience must name the same$/,
    ],
    ['no details', { authorization_details: undefined }, 'invalid_authorization_details', /is required: the intent/],
    ['a task context that is no object', { task_context: '[]' }, 'invalid_request', /^task_context must be an object$/],
    ['a task context with numbers', { task_context: '{"a":1}' }, 'invalid_request', /^task_context value `a` must be/],
    ['a task context that is no JSON', { task_context: '{' }, 'invalid_request', /^task_context is not valid JSON$/],
  ])('refuses %s', async (_name, change, error, description) => {
    const answer = await bench.exchange(await idp.accessToken(), { ...asking, ...change });
    expect([answer.status, answer.json['error']]).toEqual([400, error]);
    expect(answer.json['error_description']).toMatch(description);
  });

  it.each<[string, Record<string, unknown>, string | null, RegExp]>([
    [
      'an action outside its scope',
      { scope: 'openid payments.create' },
      'invalid_scope',
      /payments.read is not in the scope/,
    ],
    ['an action in its scope', { scope: 'openid payments.read' }, null, /^undefined$/],
    ['an action in a family of its scope', { scope: 'payments.*' }, null, /^undefined$/],
    // Issue 14: a token without scope granted everything, although its issuer's scopes limit.
    ['no scope of the subject', { scope: undefined }, 'invalid_scope', /payments.read is not in the scope/],
    [
      'no scope of the subject beside its details',
      { scope: undefined, authorization_details: JSON.parse(details()) },
      'invalid_scope',
      /payments.read is not in the scope/,
    ],
    ['an empty scope of the subject', { scope: '' }, 'invalid_request', /scope/],
    [
      'an action outside its details',
      { authorization_details: JSON.parse(details({ actions: ['payments.create'] })) },
      'invalid_authorization_details',
      /^the subject_token does not grant the action payments.read$/,
    ],
    [
      'constraints wider than its details',
      { authorization_details: JSON.parse(details({ constraints: { max_calls: 3 } })) },
      'invalid_authorization_details',
      /^the constraints of the action payments.read are wider/,
    ],
    ['details of other types alone', { authorization_details: [{ type: 'openid' }] }, null, /^undefined$/],
    [
      'details that are malformed',
      { authorization_details: [{ type: 'urn:remit:task' }] },
      'invalid_request',
      /is required$/,
    ],
  ])('only narrows: %s', async (_name, claims, error, description) => {
    const answer = await bench.exchange(await idp.accessToken(claims), asking);
    expect([answer.status, answer.json['error'] ?? null]).toEqual([error === null ? 200 : 400, error]);
    expect(String(answer.json['error_description'])).toMatch(description);
  });

  it.each<[string, 'limits' | 'ignored', readonly string[] | null]>([
    ['limits', 'limits', []],
    ['is ignored', 'ignored', null],
  ])('gives a JWT-SVID without scope nothing if scope limits: %s', async (_name, scope, expected) => {
    const leaf = must(leafFromPem(bench.planner.certPem));
    const issuers = idp.subjectIssuers.map((issuer) => ({ ...issuer, scope }));
    const rules = {
      issuers,
      attributeTypes: new Map(),
      keys: idp.subjectKeys,
      leaf,
      proofThumbprint: null,
      nowMs: Date.now(),
    };
    expect(subjectFrom(await idp.jwtSvid(), rules)).toMatchObject({ id: reporterId, scope: expected });
  });

  it('grants nothing by an ID-JAG without scope if scopes limit', async () => {
    const answer = await bench.exchange(await idp.idJag({ scope: undefined }), {
      ...asking,
      subject_token_type: idJagType,
    });
    expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_scope']);
  });

  it('limits an ID-JAG to its resource', async () => {
    const answer = await bench.exchange(await idp.idJag({ resource: 'https://files.acme.test' }), {
      ...asking,
      subject_token_type: idJagType,
    });
    expect(answer.json).toEqual({
      error: 'invalid_target',
      error_description: 'the subject_token is for another resource',
      ...recordedAs,
    });
    const good = await bench.exchange(await idp.idJag({ resource: [audience] }), {
      ...asking,
      subject_token_type: idJagType,
    });
    expect(good.status).toBe(200);
  });

  it('answers 503 while the keys of the issuer are not available', async () => {
    const { KeyRing } = await import('../../../src/core/token/jose/keys.ts');
    const { systemPorts } = await import('../../../src/core/runtime/ports.ts');
    const { after } = await import('../../../src/core/runtime/timers.ts');
    const none = new KeyRing(
      [
        {
          issuer: idpUrl,
          kind: 'external',
          algorithms: ['ES256'],
          source: { kind: 'remote', fetch: () => Promise.reject(new Error('down')) },
        },
      ],
      { ports: systemPorts, after, onProblem: () => undefined },
    );
    const settings = { subjectIssuers: idp.subjectIssuers };
    const waiting = await startBench(folder(), { subjectKeys: none, settings });
    const answer = await waiting.exchange(await idp.accessToken(), asking);
    expect([answer.status, answer.json]).toEqual([
      503,
      { error: 'temporarily_unavailable', error_description: 'the subject_token could not be verified', ...recordedAs },
    ]);
    await waiting.close();
  });
});

describe('self-exchange of a live task token', () => {
  const twoActions = { authorization_details: details({ actions: ['payments.read', 'payments.create'] }) };

  it('re-binds the token to the certificate presented now: same task, same end', async () => {
    const first = await bench.token();
    const rotated = await bench.authority.svid('/ns/agents/sa/planner');
    const second = await bench.exchange(tokenOf(first), {}, rotated);
    expect(second.status).toBe(200);
    const [before, now] = [claimsOf(first), claimsOf(second)];
    expect(now).toMatchObject({
      txn: before['txn'],
      exp: before.exp,
      sub: before.sub,
      scope: before['scope'],
      authorization_details: before['authorization_details'],
      remit_intent: before['remit_intent'],
      cnf: { 'x5t#S256': thumbprintOf(rotated) },
    });
    expect(now.jti).not.toBe(before.jti);
    const records = await bench.ask(`/tasks/${String(now['txn'])}/timeline`);
    expect(records.json['records']).toMatchObject([{ kind: 'intent' }, { kind: 'token' }, { kind: 'token' }]);
  });

  it.each<[string, Parameters, unknown]>([
    ['by details', { authorization_details: details({ actions: ['payments.create'] }) }, ['payments.create']],
    ['by scope alone', { scope: 'payments.create' }, ['payments.create']],
    [
      'by a tighter constraint',
      { authorization_details: details({ constraints: { max_calls: 1 } }) },
      ['payments.read'],
    ],
  ])('narrows the token %s', async (_name, change, actions) => {
    const first = await bench.token(twoActions);
    const second = await bench.exchange(tokenOf(first), change);
    expect([second.status, second.json['txn']]).toEqual([200, first.json['txn']]);
    expect(second.json['authorization_details']).toMatchObject([{ actions }]);
    expect(taskOf(second).detailsJson).toBe(JSON.stringify(first.json['authorization_details']));
  });

  it.each<[string, Parameters, string, RegExp]>([
    [
      'another action',
      { authorization_details: details({ actions: ['payments.refund'] }) },
      'invalid_authorization_details',
      /^the subject_token does not grant the action payments.refund$/,
    ],
    [
      'a family that is wider',
      { authorization_details: details({ actions: ['payments.*'] }) },
      'invalid_authorization_details',
      /^the subject_token does not grant the action /,
    ],
    ['a wider scope', { scope: 'payments.read payments.refund' }, 'invalid_scope', /^the scope is wider than that/],
    [
      'a budget that its task does not have (issue 37, point 7)',
      {
        authorization_details: details({
          actions: ['payments.create'],
          constraints: { max_amount: { argument: 'amount', limit: 1 } },
        }),
      },
      'invalid_authorization_details',
      /^the task has no budget of `amount`: a token may lower a limit of its task, and not add a limit$/,
    ],
    [
      'another purpose',
      { authorization_details: details({ purpose: 'x' }) },
      'invalid_authorization_details',
      /^the purpose/,
    ],
    ['another resource', { resource: 'https://files.acme.test' }, 'invalid_target', /^the resource must be that of/],
    [
      'a context',
      { task_context: '{"model":"x"}' },
      'invalid_request',
      /^task_context is given when a task is accepted/,
    ],
    ['a txn', { txn: '0198c0de-0000-7000-8000-000000000001' }, 'invalid_request', /^txn is given by the issuer/],
    [
      'the type of an ID-JAG',
      { subject_token_type: idJagType },
      'invalid_request',
      /does not match subject_token_type/,
    ],
  ])('refuses %s', async (_name, change, error, description) => {
    const first = await bench.token(twoActions);
    const answer = await bench.exchange(tokenOf(first), change);
    expect([answer.status, answer.json['error']]).toEqual([400, error]);
    expect(answer.json['error_description']).toMatch(description);
  });

  it('does not loosen a constraint', async () => {
    const actions = ['payments.create'];
    const now = Math.floor(Date.now() / 1_000);
    const constraints = {
      max_calls: 5,
      max_amount: { argument: 'amount', limit: 100, currency: { argument: 'currency', value: 'EUR' } },
      single_use: true,
      not_before: now - 10,
      not_after: now + 200,
    };
    const first = await bench.token({ authorization_details: details({ actions, constraints }) });
    expect(first.status).toBe(200);
    const looser: Record<string, unknown>[] = [
      {},
      { ...constraints, max_calls: 6 },
      { ...constraints, max_calls: undefined },
      { ...constraints, max_amount: { ...constraints.max_amount, limit: 101 } },
      // A sum in ten-thousandths is another budget.
      { ...constraints, max_amount: { ...constraints.max_amount, limit: '0.01' } },
      { ...constraints, max_amount: { argument: 'amount', limit: 100 } },
      { ...constraints, max_amount: { ...constraints.max_amount, argument: 'other' } },
      { ...constraints, max_amount: { ...constraints.max_amount, currency: { argument: 'currency', value: 'USD' } } },
      { ...constraints, single_use: undefined },
      { ...constraints, not_before: now - 11 },
      { ...constraints, not_after: now + 201 },
    ];
    for (const change of looser) {
      const answer = await bench.exchange(tokenOf(first), {
        authorization_details: details({ actions, constraints: change }),
      });
      expect([JSON.stringify(change), answer.json['error']]).toEqual([
        JSON.stringify(change),
        'invalid_authorization_details',
      ]);
    }
    const tighter = { ...constraints, max_calls: 1, not_after: now + 100 };
    const good = await bench.exchange(tokenOf(first), {
      authorization_details: details({ actions, constraints: tighter }),
    });
    expect([good.status, claimsOf(good).exp]).toEqual([200, now + 100]);
  });

  it.each([
    ['completed', 'complete'],
    ['suspended', 'suspend'],
  ])('refuses the token of a task that is %s', async (state, event) => {
    const first = await bench.token();
    await bench.ask(`/tasks/${String(first.json['txn'])}/${event}`, { method: 'POST' });
    const answer = await bench.exchange(tokenOf(first));
    expect(answer.json['error']).toBe('invalid_request');
    expect(answer.json['error_description']).toMatch(
      new RegExp(`^the subject_token cannot be used: the task is .${state}`),
    );
  });

  it('refuses a token issued before a resume', async () => {
    const first = await bench.token();
    const path = `/tasks/${String(first.json['txn'])}`;
    await bench.ask(`${path}/suspend`, { method: 'POST' });
    const resumed = await bench.ask(`${path}/resume`, { method: 'POST' });
    const old = await bench.exchange(tokenOf(first));
    expect([old.status, old.json['error']]).toEqual([400, 'invalid_request']);
    expect(old.json['error_description']).toMatch(/was issued before the task was suspended and resumed$/);
    expect((await bench.exchange(tokenOf(resumed))).status).toBe(200);
  });

  it('refuses a revoked token, and a token that the issuer signed but never issued', async () => {
    const first = await bench.token();
    await bench.form('/oauth/revoke', { token: tokenOf(first) });
    expect((await bench.exchange(tokenOf(first))).json['error_description']).toMatch(/the token was revoked$/);
    const claims = { ...claimsOf(await bench.token()), jti: 'never-issued-by-anybody' };
    const unissued = await bench.services.signingKeys.current().sign(claims);
    expect((await bench.exchange(unissued)).json['error_description']).toMatch(/holds no such token of the task$/);
  });

  it('revokes a token that another workload presents, and issues nothing', async () => {
    const first = await bench.token();
    const thief = await bench.exchange(tokenOf(first), {}, bench.reporter);
    expect(thief.json).toEqual({
      error: 'invalid_request',
      error_description: 'the subject_token was issued to another client and does not name this client in may_act',
      ...recordedAs,
    });
    expect(bench.refusals).toContainEqual(
      expect.objectContaining({ kind: 'event', event: 'binding-violation', by: reporterId }),
    );
    expect((await bench.exchange(tokenOf(first))).json['error_description']).toMatch(/the token was revoked$/);
  });

  it('records that another workload presents a token that has expired (issue 37)', async () => {
    const first = await bench.token();
    const now = Math.floor(Date.now() / 1_000);
    const claims = { ...claimsOf(first), iat: now - 600, exp: now - 300 };
    const expired = await bench.services.signingKeys.current().sign(claims);
    const thief = await bench.exchange(expired, {}, bench.reporter);
    expect(thief.json['error_description']).toMatch(/claim `exp` has passed$/);
    const violation = expect.objectContaining({ kind: 'event', event: 'binding-violation', by: reporterId });
    expect(bench.refusals).toContainEqual(violation);
  });

  it('leaves the old token valid until it expires', async () => {
    const first = await bench.token();
    await bench.exchange(tokenOf(first));
    expect((await bench.form('/oauth/introspect', { token: tokenOf(first) })).json['active']).toBe(true);
  });
});

/** A token of the planner, and one for the reporter that was exchanged for it. */
const chained = async (change: Parameters = {}) => {
  const parent = await bench.token({
    authorization_details: details({ actions: ['payments.read', 'payments.list'] }),
  });
  const made = await bench.exchange(tokenOf(parent), { delegate: reporterId, ...change });
  return { parent, made };
};

describe('a chain of agents', () => {
  it('issues a token for the delegate, which no resource accepts', async () => {
    const { parent, made } = await chained({ scope: 'payments.read' });
    expect([made.status, made.json['token_type'], made.json['issued_token_type']]).toEqual([200, 'N_A', jwt]);
    expect(claimsOf(made)).toMatchObject({
      aud: issuerUrl,
      client_id: plannerId,
      sub: plannerId,
      txn: parent.json['txn'],
      may_act: { sub: reporterId },
      scope: 'payments.read',
    });
    const { json } = await bench.ask(`/tasks/${String(parent.json['txn'])}/timeline`);
    expect(json['records']).toMatchObject([
      { kind: 'intent' },
      { kind: 'token', agent: plannerId, delegate: null },
      { kind: 'token', agent: plannerId, delegate: reporterId },
    ]);
  });

  it('gives the delegate a sub-task in its own name', async () => {
    const { parent, made } = await chained();
    const child = await bench.exchange(tokenOf(made), { scope: 'payments.read' }, bench.reporter);
    expect([child.status, child.json['error_description']]).toEqual([200, undefined]);
    expect(claimsOf(child)).toMatchObject({
      aud: audience,
      client_id: reporterId,
      sub: plannerId,
      act: { sub: reporterId },
      cnf: { 'x5t#S256': thumbprintOf(bench.reporter) },
      scope: 'payments.read',
    });
    expect(child.json['txn']).not.toBe(parent.json['txn']);
    const task = taskOf(child);
    expect(task).toMatchObject({ parentId: parent.json['txn'], agent: reporterId, subject: plannerId });
    expect(task.deadlineMs).toBeLessThanOrEqual(taskOf(parent).deadlineMs);
    expect(claimsOf(child).exp).toBeLessThanOrEqual(Number(claimsOf(made).exp));
  });

  it('keeps the user and nests the actors, at most three', async () => {
    const first = await bench.exchange(await idp.accessToken(), asking);
    const made = await bench.exchange(tokenOf(first), { delegate: reporterId });
    const second = await bench.exchange(tokenOf(made), {}, bench.reporter);
    expect(claimsOf(second)).toMatchObject({
      sub: 'alice@acme.test',
      act: { sub: reporterId, act: { sub: plannerId } },
    });
    const again = await bench.ask(`/tasks/${String(second.json['txn'])}/token`, {
      method: 'POST',
      as: bench.reporter,
    });
    expect(claimsOf(again)).toMatchObject({ act: { sub: reporterId, act: { sub: plannerId } } });
    const back = await bench.exchange(tokenOf(second), { delegate: plannerId }, bench.reporter);
    expect(back.json['error_description']).toBe('delegate is in the chain of actors already');
  });

  it('ends all sub-tasks with the parent', async () => {
    const { parent, made } = await chained();
    const child = await bench.exchange(tokenOf(made), {}, bench.reporter);
    await bench.ask(`/tasks/${String(parent.json['txn'])}/complete`, { method: 'POST' });
    const introspected = await bench.form('/oauth/introspect', { token: tokenOf(child) }, bench.reporter);
    expect(introspected.json).toEqual({ active: false });
    expect(taskOf(child).state).toBe('cancelled');
    expect((await bench.exchange(tokenOf(made), {}, bench.reporter)).json['error_description']).toMatch(/`completed`/);
  });

  it.each<[string, Parameters, RegExp]>([
    ['itself', { delegate: plannerId }, /^delegate is in the chain of actors already$/],
    ['no SPIFFE ID', { delegate: 'reporter' }, /^delegate must be a SPIFFE ID$/],
    ['a foreign workload', { delegate: 'spiffe://evil.test/x' }, /^the trust domain of delegate is not accepted$/],
  ])('is not made out for %s', async (_name, change, description) => {
    const { made } = await chained(change);
    expect([made.status, made.json['error']]).toEqual([400, 'invalid_request']);
    expect(made.json['error_description']).toMatch(description);
  });

  it('refuses a delegate with client_credentials', async () => {
    const answer = await bench.token({ delegate: reporterId });
    expect(answer.json).toMatchObject({ error: 'invalid_request' });
  });

  it('is usable by the delegate only', async () => {
    const { made } = await chained();
    const own = await bench.exchange(tokenOf(made));
    expect(own.json['error_description']).toBe('the subject_token was issued for another workload to exchange');
    const third = await bench.authority.svid('/ns/agents/sa/writer');
    expect((await bench.exchange(tokenOf(made), {}, third)).json['error_description']).toMatch(
      /^the subject_token was/,
    );
    const late = await bench.exchange(tokenOf(made), {}, bench.reporter);
    expect(late.json['error_description']).toMatch(/the token was revoked$/);
  });

  it.each<[string, Parameters, string]>([
    [
      'another action',
      { authorization_details: details({ actions: ['payments.create'] }) },
      'invalid_authorization_details',
    ],
    ['a wider scope', { scope: 'payments.read payments.create' }, 'invalid_scope'],
    ['another resource', { resource: 'https://files.acme.test' }, 'invalid_target'],
    ['a delegate in the same step', { delegate: 'spiffe://acme.test/x' }, 'invalid_request'],
  ])('does not give the delegate %s', async (_name, change, error) => {
    const { made } = await chained();
    const answer = await bench.exchange(tokenOf(made), change, bench.reporter);
    expect([answer.status, answer.json['error']]).toEqual([400, error]);
  });

  it('takes the delegated budget from the task, and never more than is left', async () => {
    // Everybody may do what the planner may.
    const open = await startBench(folder(), {
      grant: (question) => bench.grant({ ...question, principal: mustSpiffeId(plannerId) }),
    });
    const actions = ['payments.read', 'payments.create'];
    const constraints = { max_calls: 5, max_amount: { argument: 'amount', limit: 100 } };
    const parent = await open.token({ authorization_details: details({ actions, constraints }) });
    const hand = async (calls: number, limit: number): Promise<Answer> => {
      const part = { max_calls: calls, max_amount: { argument: 'amount', limit } };
      const made = await open.exchange(tokenOf(parent), {
        delegate: reporterId,
        authorization_details: details({ actions, constraints: part }),
      });
      return open.exchange(tokenOf(made), {}, open.reporter);
    };
    expect((await hand(3, 60)).status).toBe(200);
    const left = 'the budget left of the task is too small to delegate this much';
    expect((await hand(3, 10)).json).toMatchObject({
      error: 'invalid_authorization_details',
      error_description: left,
    });
    expect((await hand(1, 41)).json['error_description']).toBe(left);
    expect((await hand(2, 40)).status).toBe(200);
    const { store } = open;
    const key = mustFind(store.taskOf(issuerUrl, String(parent.json['txn'])));
    const jti = jtiDigestOf(String(claimsOf(parent).jti));
    expect(store.spend(key, jti, [{ kind: 'calls', limit: 5 }])).toBe('exhausted');
    expect(store.spend(key, jti, [{ kind: 'amount', name: 'amount', amount: 1, limit: 100 }])).toBe('exhausted');
    await open.close();
  });

  it('takes a delegated decimal budget exactly (issue 37, point 19)', async () => {
    const open = await startBench(folder(), {
      grant: (question) => bench.grant({ ...question, principal: mustSpiffeId(plannerId) }),
    });
    const actions = ['payments.create'];
    const of = (limit: string) => details({ actions, constraints: { max_amount: { argument: 'amount', limit } } });
    const parent = await open.token({ authorization_details: of('0.3') });
    expect(parent.status).toBe(200);
    const hand = async (limit: string): Promise<number> => {
      const made = await open.exchange(tokenOf(parent), { delegate: reporterId, authorization_details: of(limit) });
      return (await open.exchange(tokenOf(made), {}, open.reporter)).status;
    };
    expect([await hand('0.1'), await hand('0.1'), await hand('0.1'), await hand('0.0001')]).toEqual([
      200, 200, 200, 400,
    ]);
    await open.close();
  });

  it('does not hand on an action without the `max_amount` that bounds it in the task', async () => {
    const constraints = { max_amount: { argument: 'amount', limit: 100 } };
    const actions = ['payments.read', 'payments.create'];
    const parent = await bench.token({ authorization_details: details({ actions, constraints }) });
    const made = await bench.exchange(tokenOf(parent), {
      delegate: reporterId,
      authorization_details: details({ actions: ['payments.create'] }),
    });
    expect(made.json['error_description']).toBe(
      'the constraints of the action payments.create are wider than those of the subject_token',
    );
  });

  it('takes no budget if the sub-task cannot be inserted', async () => {
    const parent = await bench.token({ authorization_details: details({ constraints: { max_calls: 5 } }) });
    const { store } = bench;
    const task = mustFind(store.taskOf(issuerUrl, taskOf(parent).id));
    const crowd = store.inOneCommit(() => {
      for (let n = 0; n < 1_000; n += 1) {
        store.insertTask({ ...task, id: `${task.id}-${n}`, parentId: task.id }, tokenNumber(900_000 + n), []);
      }
    });
    expect(crowd).toBeNull();
    const made = await bench.exchange(tokenOf(parent), { delegate: reporterId });
    const refused = await bench.exchange(tokenOf(made), {}, bench.reporter);
    expect(refused.json).toMatchObject({
      error: 'invalid_request',
      error_description: 'the subject_token cannot be used: a task has 1000 open parts at most',
    });
    const jti = jtiDigestOf(String(claimsOf(parent).jti));
    expect(store.spend(task, jti, [{ kind: 'calls', limit: 5, count: 5 }])).toBeNull();
  });

  it('delegates a single use as the single use of the task', async () => {
    const constraints = { single_use: true };
    const parent = await bench.token({ authorization_details: details({ constraints }) });
    const made = await bench.exchange(tokenOf(parent), { delegate: reporterId });
    expect((await bench.exchange(tokenOf(made), {}, bench.reporter)).status).toBe(200);
    expect((await bench.exchange(tokenOf(made), {}, bench.reporter)).json['error']).toBe(
      'invalid_authorization_details',
    );
  });

  it('delegates at most 10,000 calls', async () => {
    const parent = await bench.token({ authorization_details: details({ constraints: { max_calls: 10_001 } }) });
    const made = await bench.exchange(tokenOf(parent), { delegate: reporterId });
    const all = await bench.exchange(tokenOf(made), {}, bench.reporter);
    expect(all.json['error_description']).toBe('at most 10000 calls of a task with limits can be delegated');
    const constraints = { max_calls: 10_000 };
    const most = await bench.exchange(
      tokenOf(made),
      { authorization_details: details({ constraints }) },
      bench.reporter,
    );
    expect(most.status).toBe(200);
  });

  it('asks the policies about the delegate too', async () => {
    const parent = await bench.token({ authorization_details: details({ actions: ['payments.create'] }) });
    const made = await bench.exchange(tokenOf(parent), { delegate: reporterId });
    const child = await bench.exchange(tokenOf(made), {}, bench.reporter);
    expect(child.json).toEqual({
      error: 'invalid_authorization_details',
      error_description: 'the action payments.create is not granted to this client',
      ...recordedAs,
    });
    expect(bench.refusals.at(-1)).toMatchObject({ agent: reporterId, reason: 'policy.not-permitted' });
  });
});
