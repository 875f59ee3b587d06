import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { IssuedSvid } from '../../../src/dev/authority.ts';
import { type Deny, deny, isDeny } from '../../../src/core/decision/decision.ts';
import { timelineFrom } from '../../../src/core/ledger/timeline.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { verifyTaskToken } from '../../../src/core/token/verify.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import {
  type Answer,
  audience,
  type Bench,
  details,
  issuerUrl,
  type Parameters,
  startBench,
  exampleGrant,
} from './bench.ts';
import { plannerId } from './idp.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
let operator: IssuedSvid;
const operatorId = 'spiffe://acme.test/ns/ops/sa/operator';
const refusal: { deny: Deny | null } = { deny: null };
/** Runs while the policies are asked. */
const meanwhile: { do: (() => unknown) | null } = { do: null };
beforeAll(async () => {
  const grant = await exampleGrant();
  bench = await startBench(folder(), {
    grant: (question) => {
      meanwhile.do?.();
      return refusal.deny ?? grant(question);
    },
    settings: { operators: new Set([mustSpiffeId(operatorId)]) },
  });
  operator = await bench.authority.svid('/ns/ops/sa/operator');
});
afterEach(() => {
  refusal.deny = null;
  meanwhile.do = null;
});

const accessToken = (answer: Answer): string => String(answer.json['access_token']);
const refreshToken = (answer: Answer): string => String(answer.json['refresh_token']);
const refresh = (token: string, change: Parameters = {}, as = bench.planner): Promise<Answer> =>
  bench.form('/oauth/token', { grant_type: 'refresh_token', refresh_token: token, ...change }, as);
const post = (issued: Answer, what: string, as = bench.planner): Promise<Answer> =>
  bench.ask(`/tasks/${String(issued.json['txn'])}/${what}`, { method: 'POST', as });
const introspect = (token: string, as = bench.planner): Promise<Answer> =>
  bench.form('/oauth/introspect', { token }, as);
const refused = (answer: Answer) => [answer.status, answer.json['error'], answer.json['error_description']];

describe('grant_type=refresh_token', () => {
  it('gives a further token of the same task, recorded in its timeline; the refresh token stays the same', async () => {
    const issued = await bench.token({ authorization_details: details({ constraints: { max_calls: 3 } }) });
    const again = await refresh(refreshToken(issued));
    expect(again.status).toBe(200);
    expect(again.json).toMatchObject({
      token_type: 'Bearer',
      scope: 'payments.read',
      txn: issued.json['txn'],
      authorization_details: issued.json['authorization_details'],
      refresh_token: refreshToken(issued),
    });
    expect(again.json).not.toHaveProperty('issued_token_type');
    expect(decodeJwt(accessToken(again)).jti).not.toBe(decodeJwt(accessToken(issued)).jti);
    expect((await introspect(accessToken(again))).json['active']).toBe(true);
    const records = must(await bench.services.recordsOf(String(issued.json['txn']), 10));
    expect(timelineFrom(records).map(({ kind }) => kind)).toEqual(['intent', 'token', 'token']);
  });

  it('binds the new token to the renewed certificate of the same agent', async () => {
    const issued = await bench.token();
    const renewed = await bench.authority.svid('/ns/agents/sa/planner');
    const again = await refresh(refreshToken(issued), {}, renewed);
    const bound = [issued, again].map((answer) => decodeJwt(accessToken(answer))['cnf']);
    expect([again.status, bound[0] === bound[1]]).toEqual([200, false]);
    expect(bound[1]).not.toEqual(bound[0]);
  });

  it('takes client_id, resource and fewer details', async () => {
    const issued = await bench.token();
    const all = { client_id: plannerId, resource: audience, authorization_details: details() };
    expect((await refresh(refreshToken(issued), all)).status).toBe(200);
  });

  it('narrows by scope, and leaves out what the task never had', async () => {
    const issued = await bench.token({
      authorization_details: details({ actions: ['payments.list', 'payments.read'] }),
    });
    const narrow = await refresh(refreshToken(issued), { scope: 'payments.read payments.create' });
    expect([narrow.status, narrow.json['scope']]).toEqual([200, 'payments.read']);
    expect((await refresh(refreshToken(narrow))).json['scope']).toBe('payments.list payments.read');
  });

  it('works after an operator resumed the task, when earlier access tokens are dead', async () => {
    const issued = await bench.token();
    await post(issued, 'suspend', operator);
    expect(refused(await refresh(refreshToken(issued)))).toEqual([
      400,
      'invalid_grant',
      'the task of the refresh_token is suspended',
    ]);
    await post(issued, 'resume', operator);
    const again = await refresh(refreshToken(issued));
    expect([again.status, (await introspect(accessToken(again))).json['active']]).toEqual([200, true]);
    expect((await introspect(accessToken(issued))).json['active']).toBe(false);
  });

  it.each([
    ['complete', 'completed'],
    ['cancel', 'cancelled'],
  ])('is invalid_grant after %s', async (what, state) => {
    const issued = await bench.token();
    await post(issued, what);
    expect(refused(await refresh(refreshToken(issued)))).toEqual([
      400,
      'invalid_grant',
      `the task of the refresh_token is ${state}`,
    ]);
  });

  it('is invalid_grant if the task ends while the policies are asked', async () => {
    const issued = await bench.token();
    meanwhile.do = () => {
      meanwhile.do = null;
      const task = must(bench.store.taskOf(issuerUrl, String(issued.json['txn'])));
      if (task === undefined) throw new Error('no task');
      bench.store.applyTaskEvent(
        task,
        { kind: 'cancel', cause: { code: 'operator.cancelled', note: '' } },
        mustSpiffeId(operatorId),
      );
    };
    expect(refused(await refresh(refreshToken(issued)))).toEqual([
      400,
      'invalid_grant',
      'the task of the refresh_token is cancelled',
    ]);
  });

  it('asks the policies again', async () => {
    const issued = await bench.token();
    refusal.deny = deny('policy.forbidden', 'not any more');
    expect(refused(await refresh(refreshToken(issued)))[1]).toBe('invalid_authorization_details');
  });

  it('tells another agent no more than for a task that does not exist', async () => {
    const issued = await bench.token();
    const notMine = await refresh(refreshToken(issued), {}, bench.reporter);
    const unknown = await refresh('remit-refresh-0199a3bf-0000-7000-8000-000000000000', {}, bench.reporter);
    expect(refused(notMine)).toEqual([400, 'invalid_grant', 'the refresh_token is not one of this client']);
    expect(refused(unknown)).toEqual(refused(notMine));
    expect((await introspect(refreshToken(issued), bench.reporter)).json).toEqual({ active: false });
  });

  it.each<[string, Parameters, string, string]>([
    ['no refresh token', { refresh_token: undefined }, 'invalid_request', 'refresh_token is required'],
    ['other text', { refresh_token: 'x' }, 'invalid_grant', 'the refresh_token is not one of this client'],
    ['upper case', { refresh_token: 'REMIT' }, 'invalid_grant', 'the refresh_token is not one of this client'],
    ['another resource', { resource: 'https://files.acme.test' }, 'invalid_target', 'the resource must be that of'],
    ['only scopes it never had', { scope: 'payments.create' }, 'invalid_scope', 'the scope is wider'],
    [
      'wider details',
      { authorization_details: details({ actions: ['payments.list'] }) },
      'invalid_authorization_details',
      'the subject_token does not grant',
    ],
    [
      'another purpose',
      { authorization_details: details({ purpose: 'x' }) },
      'invalid_authorization_details',
      'the purp',
    ],
    ['a context', { task_context: '{"a":"b"}' }, 'invalid_request', 'task_context is given when'],
    ['a delegate', { delegate: operatorId }, 'invalid_request', 'delegate requires a subject_token'],
    ['a secret', { client_secret: 'x' }, 'invalid_request', 'client_secret not allowed'],
    ['another client_id', { client_id: operatorId }, 'invalid_client', 'client_id must be'],
  ])('is refused with %s', async (_name, change, error, description) => {
    const issued = await bench.token();
    const answer = await refresh(refreshToken(issued), change);
    expect(answer.json['error']).toBe(error);
    expect(String(answer.json['error_description'])).toContain(description);
  });
});

describe('a refresh token', () => {
  it('is no access token and no subject_token', async () => {
    const token = refreshToken(await bench.token());
    const rules = { audiences: new Set([audience]), maxLifetimeSeconds: 900, clockSkewSeconds: 5, maxBytes: 8_192 };
    const keys = { keyFor: () => deny('token.issuer', 'none') };
    const verified = verifyTaskToken(token, rules, keys, systemPorts.nowMs());
    expect(isDeny(verified) && verified.reason).toBe('token.malformed');
    for (const type of ['access_token', 'refresh_token', 'jwt']) {
      const subject_token_type = `urn:ietf:params:oauth:token-type:${type}`;
      expect((await bench.exchange(token, { subject_token_type })).json['error']).toBe('invalid_request');
    }
  });

  it('does not come with a token for a delegate', async () => {
    const issued = await bench.token();
    const made = await bench.exchange(accessToken(issued), { delegate: 'spiffe://acme.test/ns/agents/sa/reporter' });
    expect([made.status, made.json['refresh_token']]).toEqual([200, undefined]);
    const part = await bench.exchange(accessToken(made), {}, bench.reporter);
    const again = await refresh(refreshToken(part), {}, bench.reporter);
    expect([again.status, again.json['txn']]).toEqual([200, part.json['txn']]);
    expect(decodeJwt(accessToken(again))['act']).toEqual(decodeJwt(accessToken(part))['act']);
    await post(issued, 'cancel');
    expect((await refresh(refreshToken(part), {}, bench.reporter)).json['error']).toBe('invalid_grant');
  });

  it('is introspected until the deadline of its task', async () => {
    const issued = await bench.token();
    const { deadline } = (await bench.ask(`/tasks/${String(issued.json['txn'])}`)).json;
    expect((await introspect(refreshToken(issued))).json).toEqual({
      active: true,
      iss: issuerUrl,
      sub: plannerId,
      client_id: plannerId,
      exp: Math.floor(Date.parse(String(deadline)) / 1_000),
      txn: issued.json['txn'],
    });
    await post(issued, 'complete');
    expect((await introspect(refreshToken(issued))).json).toEqual({ active: false });
  });

  it('ends its task if it is revoked, by its own agent alone', async () => {
    const issued = await bench.token();
    const revoke = (as: Bench['planner']): Promise<Answer> =>
      bench.form('/oauth/revoke', { token: refreshToken(issued), token_type_hint: 'refresh_token' }, as);
    expect((await revoke(bench.reporter)).status).toBe(200);
    expect((await introspect(accessToken(issued))).json['active']).toBe(true);
    expect((await revoke(bench.planner)).status).toBe(200);
    expect((await introspect(accessToken(issued))).json).toEqual({ active: false });
    expect((await bench.ask(`/tasks/${String(issued.json['txn'])}`)).json['state']).toBe('revoked');
  });
});
