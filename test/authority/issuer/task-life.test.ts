import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { calculateJwkThumbprint, decodeJwt, exportJWK, SignJWT } from 'jose';
import type { IssuedSvid } from '../../../src/dev/authority.ts';
import { type Deny, deny } from '../../../src/core/decision/decision.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { ProofMemory } from '../../../src/core/token/proof/proof-memory.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator } from '../../builders/task.ts';
import { type Answer, type Bench, details, formHeaders, issuerUrl, startBench, exampleGrant } from './bench.ts';
import { recordedAs } from './recorded-as.ts';
import { plannerId } from './idp.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

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
    proofs: new ProofMemory({ pastSeconds: 60, startedAtMs: Date.now() - 60_000 }),
    settings: {
      operators: new Set([mustSpiffeId(operatorId)]),
      contextRules: { model: 'suspend' },
      idleSeconds: 600,
    },
  });
  operator = await bench.authority.svid('/ns/ops/sa/operator');
});

const post = (issued: Answer, what: string, as: IssuedSvid = bench.planner as IssuedSvid): Promise<Answer> =>
  bench.ask(`/tasks/${String(issued.json['txn'])}/${what}`, { method: 'POST', as });
const claimsOf = (answer: Answer) => decodeJwt(String(answer.json['access_token']));
const taskOf = async (answer: Answer) => (await bench.ask(`/tasks/${String(answer.json['txn'])}`)).json;
const isActive = async (answer: Answer): Promise<unknown> =>
  (await bench.form('/oauth/introspect', { token: String(answer.json['access_token']) })).json['active'];

describe('a task that is accepted', () => {
  it('has its context, the rules of the operator and the idle limit', async () => {
    const issued = await bench.token({ task_context: '{"model":"large-3","node":"n1"}' });
    const task = await bench.ask(`/tasks/${String(issued.json['txn'])}`);
    expect(task.json).toMatchObject({
      claimed: { model: 'large-3', node: 'n1' },
      attested: [],
      context_rules: { model: 'suspend' },
      idle_seconds: 600,
    });
  });

  it.each<[string, string]>([
    ['17 names', JSON.stringify(Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`n${n}`, 'x'])))],
    ['a value of 257 characters', JSON.stringify({ model: 'x'.repeat(257) })],
    ['a name twice', '{"model":"a","model":"b"}'],
  ])('is refused with a context of %s', async (_name, context) => {
    const answer = await bench.token({ task_context: context });
    expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_request']);
  });

  it('has the requested constraints', async () => {
    const constraints = { max_calls: 3, single_use: true, max_amount: { argument: 'amount', limit: 10 } };
    const issued = await bench.token({ authorization_details: details({ actions: ['payments.create'], constraints }) });
    expect(claimsOf(issued)['authorization_details']).toMatchObject([{ constraints }]);
  });
});

describe('POST /tasks/{id}/suspend and resume', () => {
  it('suspends the task, and resumes it with a new token while the old token stays dead', async () => {
    const issued = await bench.token();
    const suspended = await post(issued, 'suspend');
    expect([suspended.status, suspended.json['state']]).toEqual([200, 'suspended']);
    expect((await post(issued, 'suspend')).json['state']).toBe('suspended');
    expect(await isActive(issued)).toBe(false);
    const resumed = await post(issued, 'resume');
    expect([resumed.status, resumed.headers['cache-control']]).toEqual([200, 'no-store']);
    expect(resumed.json).toMatchObject({ token_type: 'Bearer', txn: issued.json['txn'], scope: 'payments.read' });
    expect(await isActive(resumed)).toBe(true);
    expect(await isActive(issued)).toBe(false);
    expect((await bench.ask(`/tasks/${String(issued.json['txn'])}`)).json).toMatchObject({
      state: 'active',
      generation: 2,
    });
  });

  it('answers a repeated resume with a token again', async () => {
    const issued = await bench.token();
    await post(issued, 'suspend');
    const [first, second] = [await post(issued, 'resume'), await post(issued, 'resume')];
    expect([await isActive(first), await isActive(second)]).toEqual([true, true]);
  });

  it('lets the agent resume only what it suspended itself', async () => {
    const issued = await bench.token();
    const byOperator = await post(issued, 'suspend', operator);
    expect([byOperator.status, byOperator.json['state']]).toEqual([200, 'suspended']);
    const refused = await post(issued, 'resume');
    expect([refused.status, refused.json]).toEqual([
      403,
      {
        error: 'access_denied',
        error_description: 'the task was not suspended by its agent: an operator must resume it',
        ...recordedAs,
      },
    ]);
    expect((await post(issued, 'token')).json['error']).toBe('task_suspended');
    const resumed = await post(issued, 'resume', operator);
    expect([resumed.status, resumed.json['state'], resumed.json['access_token']]).toEqual([200, 'active', undefined]);
    expect(await isActive(issued)).toBe(false);
    expect(await isActive(await post(issued, 'token'))).toBe(true);
  });

  it('does not let an agent undo a signal by suspending itself first', async () => {
    const issued = await bench.token();
    const { store } = bench;
    await post(issued, 'suspend');
    const key = { issuer: issuerUrl, id: String(issued.json['txn']) };
    const event = { kind: 'suspend', cause: causeOf('signal.token-claims-change') } as const;
    expect(store.applyTaskEvent(key, event, 'https://idp.acme.test')).toMatchObject({ changed: true });
    expect((await post(issued, 'resume')).json['error']).toBe('access_denied');
  });

  it('does not let an agent undo the suspension of an operator, whichever of them came first', async () => {
    for (const order of [
      [bench.planner as IssuedSvid, operator],
      [operator, bench.planner as IssuedSvid],
    ]) {
      const issued = await bench.token();
      for (const by of order) expect((await post(issued, 'suspend', by)).json['state']).toBe('suspended');
      expect(await taskOf(issued)).toMatchObject({ state: 'suspended', cause: 'operator.suspended' });
      expect((await post(issued, 'resume')).json['error']).toBe('access_denied');
      expect((await post(issued, 'resume', operator)).json).toMatchObject({ state: 'active', cause: null });
    }
  });

  it('does not let an agent undo the suspension of an operator that comes while the policies are asked', async () => {
    const issued = await bench.token();
    await post(issued, 'suspend');
    const key = { issuer: issuerUrl, id: String(issued.json['txn']) };
    meanwhile.do = () => bench.store.applyTaskEvent(key, byOperator('suspend'), 'operator');
    const resumed = await post(issued, 'resume');
    meanwhile.do = null;
    expect([resumed.status, resumed.json['error']]).toEqual([403, 'access_denied']);
    expect(await taskOf(issued)).toMatchObject({ state: 'suspended', cause: 'operator.suspended' });
  });

  it('leaves the task suspended if the policies no longer grant it', async () => {
    const issued = await bench.token();
    await post(issued, 'suspend');
    refusal.deny = deny('policy.forbidden', 'forbidden by `x`');
    const refused = await post(issued, 'resume');
    refusal.deny = null;
    expect([refused.status, refused.json['error']]).toEqual([400, 'invalid_authorization_details']);
    expect((await bench.ask(`/tasks/${String(issued.json['txn'])}`)).json['state']).toBe('suspended');
  });

  it('lets agents resume their sub-tasks once the parent is active', async () => {
    const parent = await bench.token();
    const made = await bench.exchange(String(parent.json['access_token']), {
      delegate: 'spiffe://acme.test/ns/agents/sa/reporter',
    });
    const child = await bench.exchange(String(made.json['access_token']), {}, bench.reporter);
    await post(parent, 'suspend');
    const early = await post(child, 'resume', bench.reporter as IssuedSvid);
    expect([early.status, early.json['error']]).toEqual([409, 'task_suspended']);
    await post(parent, 'resume');
    const resumed = await post(child, 'resume', bench.reporter as IssuedSvid);
    expect([resumed.status, claimsOf(resumed)['txn']]).toEqual([200, child.json['txn']]);
  });

  it.each(['complete', 'cancel', 'suspend', 'resume', 'token'])('is 409 on an ended task: %s', async (what) => {
    const issued = await bench.token();
    await bench.form('/oauth/revoke', { token: String(issued.json['txn']), token_type_hint: 'urn:remit:task' });
    const answer = await post(issued, what);
    const isRecorded = what === 'resume' || what === 'token';
    const ended = { error: 'task_ended', error_description: 'the task is already revoked' };
    expect([answer.status, answer.json]).toEqual([409, isRecorded ? { ...ended, ...recordedAs } : ended]);
  });

  it('hides the task from other agents, and refuses completion by an operator', async () => {
    const issued = await bench.token();
    for (const what of ['suspend', 'resume', 'token', 'complete']) {
      expect((await post(issued, what, bench.reporter as IssuedSvid)).status).toBe(404);
    }
    expect((await post(issued, 'complete', operator)).json['error']).toBe('access_denied');
    expect((await post(issued, 'token', operator)).status).toBe(404);
    expect((await post(issued, 'cancel', operator)).json).toMatchObject({
      state: 'cancelled',
      cause: 'operator.cancelled',
      cause_note: 'cancelled by an operator',
    });
  });
});

describe('POST /tasks/{id}/token', () => {
  it('issues a further token bound to the certificate presented now', async () => {
    const issued = await bench.token();
    const rotated = await bench.authority.svid('/ns/agents/sa/planner');
    const further = await post(issued, 'token', rotated);
    expect(further.status).toBe(200);
    const [before, now] = [claimsOf(issued), claimsOf(further)];
    expect(now).toMatchObject({
      txn: before['txn'],
      sub: plannerId,
      scope: before['scope'],
      remit_intent: before['remit_intent'],
    });
    expect(now['cnf']).not.toEqual(before['cnf']);
    expect([await isActive(issued), await isActive(further)]).toEqual([true, true]);
  });

  it('accepts no body', async () => {
    const issued = await bench.token();
    const answer = await bench.form(`/tasks/${String(issued.json['txn'])}/token`, { scope: 'x' });
    expect(answer.json).toEqual({
      error: 'invalid_request',
      error_description: 'this path accepts no body',
      ...recordedAs,
    });
  });

  it('never goes beyond the deadline of the task', async () => {
    const notAfter = Math.floor(Date.now() / 1_000) + 60;
    const issued = await bench.token({ authorization_details: details({ constraints: { not_after: notAfter } }) });
    expect(claimsOf(await post(issued, 'token')).exp).toBeLessThanOrEqual(notAfter);
  });
});

const askWith = (dpop: string): Promise<Answer> => {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    resource: 'https://payments.acme.test',
    authorization_details: details(),
  });
  return bench.ask('/oauth/token', { method: 'POST', body: body.toString(), headers: { ...formHeaders, dpop } });
};

describe('a token request with a DPoP proof', () => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const proof = async (change: Record<string, unknown> = {}, by: { readonly privateKey: KeyObject } = key) =>
    new SignJWT({
      jti: Buffer.from(systemPorts.randomBytes(16)).toString('base64url'),
      htm: 'POST',
      htu: `${issuerUrl}/oauth/token`,
      iat: Math.floor(Date.now() / 1_000),
      ...change,
    })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await exportJWK(key.publicKey) })
      .sign(by.privateKey);
  it('binds the token to the key of the proof', async () => {
    const answer = await askWith(await proof());
    expect([answer.status, answer.json['token_type']]).toEqual([200, 'DPoP']);
    const jkt = await calculateJwkThumbprint(await exportJWK(key.publicKey));
    expect(claimsOf(answer)['cnf']).toEqual({ jkt });
    const introspected = await bench.form('/oauth/introspect', { token: String(answer.json['access_token']) });
    expect(introspected.json).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt } });
  });

  it('accepts a proof once', async () => {
    const once = await proof();
    expect((await askWith(once)).status).toBe(200);
    expect((await askWith(once)).json).toMatchObject({
      error: 'invalid_dpop_proof',
      error_description: 'the proof was used before',
    });
  });

  it.each<[string, () => Promise<string>]>([
    ['another method', () => proof({ htm: 'GET' })],
    ['another target', () => proof({ htu: 'https://evil.test/oauth/token' })],
    ['an old instant', () => proof({ iat: Math.floor(Date.now() / 1_000) - 120 })],
    ['another key', () => proof({}, generateKeyPairSync('ec', { namedCurve: 'P-256' }))],
    ['no form', () => Promise.resolve('x')],
  ])('refuses a proof with %s', async (_name, dpop) => {
    const answer = await askWith(await dpop());
    expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_dpop_proof']);
  });

  it('is announced in the metadata, and refused if it is not enabled', async () => {
    const metadata = await bench.ask('/.well-known/oauth-authorization-server');
    expect(metadata.json['dpop_signing_alg_values_supported']).toEqual(['ES256', 'Ed25519', 'RS256']);
    const plain = await startBench(folder());
    const answer = await plain.ask('/oauth/token', {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        resource: 'x',
        authorization_details: details(),
      }).toString(),
      headers: { ...formHeaders, dpop: await proof() },
    });
    expect(answer.json).toEqual({
      error: 'invalid_dpop_proof',
      error_description: 'DPoP-bound tokens are not enabled',
      ...recordedAs,
    });
    await plain.close();
  });
});
