import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, X509Certificate } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentReply } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { es256Key, jwksOf, signed } from '../builders/tokens.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, declare, examples, mustDeclare, payment, startDomain } from './domain.ts';

const idpKey = es256Key('idp-1');
const IDP = 'https://idp.acme.test';
const AUDIENCE = 'https://payments.acme.test';
const PAY = payment(100);

/** Tasks and tokens of issue "Tasks and tokens", each through a real Envoy with the shipped configuration. */
describeWith(envoyPart(), 'tasks and tokens through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;

  beforeAll(async () => {
    const { folder } = scratch;
    await writeFile(join(folder, 'idp.json'), JSON.stringify(jwksOf(idpKey)));
    const policies = join(folder, 'policies');
    await cp(examples, policies, { recursive: true });
    const catalog = join(policies, 'actions.yaml');
    const text = await readFile(catalog, 'utf8');
    await writeFile(
      catalog,
      text
        .replace(
          'audience: https://payments.acme.test',
          'audience: https://payments.acme.test\n    transactionToken: true',
        )
        .replace(
          "path: '/v1/payments/{id}', risk: low",
          "path: '/v1/payments/{id}', risk: low, accepts: [task-token, external-token, workload-identity]",
        ),
    );
    domain = await startDomain(envoy, {
      folder,
      policies,
      settings: {
        acceptedIssuers: [{ issuer: IDP, jwks: 'idp.json', kind: 'external', types: ['at+jwt', 'JWT'] }],
        issuer: {
          transactionKey: 'transaction-key.pem',
          context: { model: 'suspend', network: 'revoke', locale: 'ask' },
          // Each test stops tasks of the same agents; test/authority/issuer/token/stopped-task.test.ts has the wait.
          stoppedTaskWaitSeconds: 'off',
          operators: ['spiffe://acme.test/ns/agents/sa/reporter'],
          subjectIssuers: [
            { issuer: IDP, jwks: 'idp.json', kind: 'access-token', audience: 'https://issuer.acme.test' },
          ],
          signals: { transmitters: [{ issuer: IDP, jwks: 'idp.json' }] },
        },
      },
    });
  });

  const post = (
    agent: Agent,
    path: string,
    body = '',
    type = 'application/x-www-form-urlencoded',
  ): Promise<AgentReply> =>
    agent.call(domain.stage.issuerPort, {
      host: domain.stage.issuerHost,
      method: 'POST',
      path,
      headers: { 'content-type': type },
      body,
    });

  const transactionToken = () => domain.payments.received().at(-1)?.headers['txn-token'];

  describe('constraints at use', () => {
    it('allows at most `max_calls`, however many arrive concurrently', async () => {
      const { planner } = domain.stage;
      const { token } = await mustDeclare(planner, domain, {
        actions: ['payments.read'],
        constraints: { max_calls: 3 },
      });
      const answers = await Promise.all(Array.from({ length: 12 }, () => callPayments(planner, domain, { token })));
      expect(answers.filter(([status]) => status === 200)).toHaveLength(3);
      expect(answers.filter(([, reason]) => reason === 'task.exhausted')).toHaveLength(9);
      expect(answers.find(([, reason]) => reason === 'task.exhausted')?.[0]).toBe(403);
    });

    it('sums up amounts over the uses of a task against `max_amount`', async () => {
      const { planner } = domain.stage;
      const constraints = {
        max_amount: { argument: 'amount', limit: 250, currency: { argument: 'currency', value: 'EUR' } },
      };
      const { token } = await mustDeclare(planner, domain, { actions: ['payments.create'], constraints });
      const reasons: (string | null)[] = [];
      for (let n = 0; n < 3; n += 1) reasons.push((await callPayments(planner, domain, { token, ...PAY }))[1]);
      expect(reasons).toEqual([null, null, 'task.exhausted']);
    });

    it('allows a `single_use` token once', async () => {
      const { planner } = domain.stage;
      const { token } = await mustDeclare(planner, domain, {
        actions: ['payments.read'],
        constraints: { single_use: true },
      });
      expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
      expect(await callPayments(planner, domain, { token })).toEqual([403, 'task.replayed']);
    });

    it('refuses an unknown constraint at issuance', async () => {
      const reply = await declare(domain.stage.planner, domain, { constraints: { max_pages: 3 } });
      expect([reply.status, JSON.parse(reply.body).error]).toEqual([400, 'invalid_authorization_details']);
    });
  });

  it('suspends a task at once, and resumes it only with a new token', async () => {
    const { planner, reporter } = domain.stage;
    const { token, taskId } = await mustDeclare(planner, domain);
    expect((await post(reporter, `/tasks/${taskId}/suspend`)).status).toBe(200);
    expect(await callPayments(planner, domain, { token })).toEqual([403, 'task.suspended']);
    const resumed = await post(planner, `/tasks/${taskId}/resume`);
    // Somebody else suspended it, so the agent itself cannot resume it.
    expect(resumed.status).not.toBe(200);
    const resumedByOperator = await post(reporter, `/tasks/${taskId}/resume`);
    expect(resumedByOperator.status).toBe(200);
    expect(await callPayments(planner, domain, { token })).toEqual([401, 'token.revoked']);
    const further = await post(planner, `/tasks/${taskId}/token`);
    expect(further.status).toBe(200);
    expect(await callPayments(planner, domain, { token: JSON.parse(further.body).access_token })).toEqual([200, null]);
  });

  /** What a stock client does (oauth4webapi): it answers a 401 challenge with a new declaration, and returns anything else. */
  const stockClient = (agent: Agent) => {
    let held: { readonly token: string; readonly taskId: string } | null = null;
    const declared: string[] = [];
    const declareAnew = async () => {
      held = await mustDeclare(agent, domain);
      declared.push(held.taskId);
      return held;
    };
    const ask = async (token: string): Promise<number> => {
      const response = await oauth.protectedResourceRequest(
        token,
        'GET',
        new URL(`${AUDIENCE}/v1/payments/p-1`),
        undefined,
        null,
        {
          [oauth.customFetch]: async (url, { headers }) => {
            const { host, pathname: path } = new URL(url);
            const reply = await agent.call(domain.stage.envoyPort, { host, path, headers });
            const challenge = reply.headers['www-authenticate'];
            const challenges = challenge === undefined ? {} : { 'www-authenticate': String(challenge) };
            return new Response(reply.body, { status: reply.status, headers: challenges });
          },
        },
      );
      return response.status;
    };
    const call = async (): Promise<number> => {
      const { token } = held ?? (await declareAnew());
      try {
        return await ask(token);
      } catch (error) {
        if (!(error instanceof oauth.WWWAuthenticateChallengeError) || error.status !== 401) throw error;
        return ask((await declareAnew()).token);
      }
    };
    return { call, declared };
  };

  it.each(['suspend', 'cancel'])('a stock OAuth client does not get around a %s by a new declaration', async (what) => {
    const { planner, reporter } = domain.stage;
    const client = stockClient(planner);
    expect(await client.call()).toBe(200);
    expect((await post(reporter, `/tasks/${String(client.declared[0])}/${what}`)).status).toBe(200);
    expect([await client.call(), await client.call()]).toEqual([403, 403]);
    expect(client.declared).toHaveLength(1);
  });

  it('a stock OAuth client with a token from before a resume gets a new token', async () => {
    const { planner } = domain.stage;
    const client = stockClient(planner);
    expect(await client.call()).toBe(200);
    const taskId = String(client.declared[0]);
    await post(planner, `/tasks/${taskId}/suspend`);
    await post(planner, `/tasks/${taskId}/resume`);
    expect(await client.call()).toBe(200);
    expect(client.declared).toHaveLength(2);
  });

  it('lets a changed context suspend or revoke by its rule', async () => {
    const { planner } = domain.stage;
    const put = (taskId: string, context: Readonly<Record<string, string>>): Promise<AgentReply> =>
      planner.call(domain.stage.issuerPort, {
        host: domain.stage.issuerHost,
        method: 'PUT',
        path: `/tasks/${taskId}/context`,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ context }),
      });
    for (const [name, reason] of [
      ['model', 'task.suspended'],
      ['network', 'task.revoked'],
    ] as const) {
      const { token, taskId } = await mustDeclare(planner, domain);
      expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
      expect((await put(taskId, { [name]: 'changed' })).status).toBe(200);
      expect(await callPayments(planner, domain, { token })).toEqual([403, reason]);
    }
  });

  it('ends a task on a security event about its agent', async () => {
    const { planner } = domain.stage;
    const { token } = await mustDeclare(planner, domain);
    const event = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
    const set = signed(
      idpKey,
      JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: idpKey.keyId }),
      JSON.stringify({
        iss: IDP,
        aud: 'https://issuer.acme.test',
        iat: Math.floor(Date.now() / 1000),
        jti: `set-${Date.now()}`,
        sub_id: { format: 'uri', uri: planner.id },
        events: { [event]: {} },
      }),
    );
    const pushed = await post(domain.stage.reporter, '/signals', set, 'application/secevent+jwt');
    expect([pushed.status, pushed.body]).toEqual([202, '']);
    expect(await callPayments(planner, domain, { token })).toEqual([403, 'task.revoked']);
  });

  it('revokes a token that another workload presents, for its own agent too', async () => {
    const { planner, thief } = domain.stage;
    const { token, taskId } = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    expect(await callPayments(thief, domain, { token })).toEqual([401, 'token.binding']);
    expect(await callPayments(planner, domain, { token })).toEqual([401, 'token.revoked']);
    const records = await domain.remit.recordsOf(taskId, 100);
    expect(
      JSON.stringify(Array.isArray(records) ? records.map(({ bytes }) => Buffer.from(bytes).toString()) : []),
    ).toContain('binding-violation');
  });

  it('binds a task token to a rotated certificate by self-exchange, without extending it', async () => {
    const { authority, stage } = domain;
    const { token, taskId } = await mustDeclare(stage.planner, domain);
    const renewed = await authority.svid('/ns/agents/sa/planner');
    const rotated = new Agent(renewed, authority.bundlePem);
    try {
      expect(await callPayments(rotated, domain, { token })).toEqual([401, 'token.binding']);
      const reply = await post(
        rotated,
        '/oauth/token',
        form({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: token,
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        }),
      );
      const body = JSON.parse(reply.body);
      expect([reply.status, body.txn]).toEqual([200, taskId]);
      const [before, after] = [token, body.access_token].map(claimsIn);
      expect(after?.['cnf']).toEqual({ 'x5t#S256': thumbprintOf(renewed.certPem) });
      expect(Number(after?.['exp'])).toBeLessThanOrEqual(Number(before?.['exp']));
      expect(await callPayments(rotated, domain, { token: body.access_token })).toEqual([200, null]);
    } finally {
      rotated.close();
    }
  });

  it('gives a part of a task to another agent, within its budget, and ends it with the task', async () => {
    const { planner, reporter, thief } = domain.stage;
    const { token, taskId } = await mustDeclare(planner, domain);
    const exchange = (by: Agent, fields: Readonly<Record<string, string>>): Promise<AgentReply> =>
      post(
        by,
        '/oauth/token',
        form({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          ...fields,
        }),
      );
    const handed = await exchange(planner, {
      subject_token: token,
      delegate: reporter.id,
      authorization_details: details(['payments.read']),
    });
    expect(handed.status).toBe(200);
    const ticket = JSON.parse(handed.body).access_token;
    expect(await callPayments(planner, domain, { token: ticket })).toEqual([401, 'token.audience']);
    const wider = await exchange(reporter, {
      subject_token: ticket,
      authorization_details: details(['payments.create']),
    });
    expect(wider.status).toBe(400);

    const taken = await exchange(reporter, { subject_token: ticket });
    expect(taken.status).toBe(200);
    const part = JSON.parse(taken.body);
    expect(part.txn).not.toBe(taskId);
    const { sub, act, client_id: client } = claimsIn(part.access_token);
    expect([sub, act, client]).toEqual([planner.id, { sub: reporter.id }, reporter.id]);
    expect(await callPayments(reporter, domain, { token: part.access_token })).toEqual([200, null]);
    expect((await callPayments(reporter, domain, { token: part.access_token, ...PAY }))[1]).toBe(
      'action.outside-intent',
    );

    expect((await exchange(thief, { subject_token: ticket })).status).toBe(400);
    expect((await post(planner, `/tasks/${taskId}/complete`)).status).toBe(200);
    const [status, reason] = await callPayments(reporter, domain, { token: part.access_token });
    expect([status, reason]).toEqual([403, 'task.cancelled']);
  });

  it('issues for a user by token exchange, and passes user and agent to the tool server in a transaction token', async () => {
    const { planner, lastDecision } = domain.stage;
    const now = Math.floor(Date.now() / 1000);
    const subjectToken = signed(
      idpKey,
      JSON.stringify({ typ: 'at+jwt', alg: 'ES256', kid: idpKey.keyId }),
      JSON.stringify({
        iss: IDP,
        sub: 'alice',
        aud: 'https://issuer.acme.test',
        client_id: 'portal',
        iat: now,
        exp: now + 120,
        jti: `user-${now}-0123456789`,
      }),
    );
    const detail = { type: 'urn:remit:task', locations: [AUDIENCE], actions: ['payments.read'], purpose: 'for alice' };
    const reply = await post(
      planner,
      '/oauth/token',
      form({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: subjectToken,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource: AUDIENCE,
        authorization_details: JSON.stringify([detail]),
      }),
    );
    const { access_token: token, txn } = JSON.parse(reply.body);
    expect(reply.status).toBe(200);
    const claims = claimsIn(token);
    expect([claims['sub'], claims['client_id'], claims['act']]).toEqual(['alice', planner.id, { sub: planner.id }]);
    expect(Number(claims['exp'])).toBeLessThanOrEqual(now + 120);
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    expect(lastDecision()).toContain('allow;id=');
    const handed = claimsIn(String(transactionToken()));
    expect([handed['txn'], handed['sub'], handed['req_wl']]).toEqual([txn, 'alice', planner.id]);
    expect(Number(handed['exp']) - Number(handed['iat'])).toBeLessThanOrEqual(60);

    const { reporter: service } = domain.stage;
    const exchange = (asked: readonly string[], subject = String(transactionToken())): Promise<AgentReply> =>
      post(
        service,
        '/oauth/token',
        form({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: subject,
          subject_token_type: 'urn:ietf:params:oauth:token-type:txn_token',
          resource: AUDIENCE,
          authorization_details: JSON.stringify([{ ...detail, actions: asked }]),
        }),
      );
    const own = JSON.parse((await exchange(['payments.read'])).body);
    expect([claimsIn(own.access_token)['sub'], claimsIn(own.access_token)['client_id']]).toEqual(['alice', service.id]);
    expect(await callPayments(service, domain, { token: own.access_token })).toEqual([200, null]);
    expect((await exchange(['payments.list'])).status).toBe(400);
    expect((await exchange(['payments.read'], token)).status).toBe(400);
    // A transaction token is not a credential for calls, and ends with its task.
    expect((await callPayments(planner, domain, { token: String(transactionToken()) }))[1]).toMatch(/^token\./);
    expect((await post(planner, `/tasks/${txn}/complete`)).status).toBe(200);
    expect((await exchange(['payments.read'])).status).toBe(400);
  });

  describe('layers', () => {
    it('accepts an IAM token if the catalog entry permits it, and requires a task token otherwise', async () => {
      const { planner } = domain.stage;
      expect(await callPayments(planner, domain, { token: iamToken() })).toEqual([200, null]);
      expect(await callPayments(planner, domain, { token: iamToken(), path: '/v1/payments' })).toEqual([
        401,
        'token.issuer',
      ]);
      expect(await callPayments(planner, domain, { token: iamToken(), ...PAY })).toEqual([401, 'token.issuer']);
    });

    it('verifies with the last valid keys of a file', async () => {
      const { planner } = domain.stage;
      const file = join(scratch.folder, 'idp.json');
      const next = es256Key('idp-2');
      const answers = async () => [
        (await callPayments(planner, domain, { token: iamToken() }))[1],
        (await callPayments(planner, domain, { token: iamToken(next) }))[1],
      ];
      expect(await answers()).toEqual([null, 'token.signature']);
      await writeFile(file, JSON.stringify(jwksOf(next)));
      expect(await answers()).toEqual([null, 'token.signature']);
      await domain.remit.reload();
      expect(await answers()).toEqual(['token.signature', null]);
      await writeFile(file, '{"keys":[]}');
      await domain.remit.reload();
      expect(await answers()).toEqual(['token.signature', null]);
      await writeFile(file, JSON.stringify(jwksOf(idpKey)));
      await domain.remit.reload();
      expect(await answers()).toEqual([null, 'token.signature']);
    });

    it('accepts an identity alone for the same action, and no other', async () => {
      const { planner, envoyPort } = domain.stage;
      const bare = (path: string): Promise<AgentReply> => planner.call(envoyPort, { host: 'payments.acme.test', path });
      expect((await bare('/v1/payments/p-1')).status).toBe(200);
      expect(JSON.parse((await bare('/v1/payments')).body).reason).toBe('token.missing');
    });
  });

  it('challenges with the URL of the protected resource metadata', async () => {
    const { planner, envoyPort } = domain.stage;
    const reply = await planner.call(envoyPort, { host: 'payments.acme.test', path: '/v1/payments' });
    expect(reply.headers['www-authenticate']).toContain(
      'resource_metadata="https://issuer.acme.test/.well-known/oauth-protected-resource/payments"',
    );
  });
});

const claimsIn = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));

const thumbprintOf = (pem: string): string =>
  createHash('sha256').update(new X509Certificate(pem).raw).digest('base64url');

const form = (fields: Readonly<Record<string, string>>): string => new URLSearchParams(fields).toString();

const details = (actions: readonly string[]): string =>
  JSON.stringify([{ type: 'urn:remit:task', locations: [AUDIENCE], actions, purpose: 'settle payment p-1' }]);

const iamToken = (key = idpKey): string => {
  const now = Math.floor(Date.now() / 1000);
  return signed(
    key,
    JSON.stringify({ typ: 'JWT', alg: 'ES256', kid: key.keyId }),
    JSON.stringify({ iss: IDP, sub: 'planner', aud: AUDIENCE, iat: now, exp: now + 600, scope: 'payments' }),
  );
};
