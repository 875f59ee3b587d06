import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { deny } from '../../../../src/core/decision/decision.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { audience, type Bench, details, type Parameters, startBench } from '../bench.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
beforeAll(async () => {
  bench = await startBench(folder());
});

const check = (change: Parameters = {}, as = bench.planner, at: Bench = bench) =>
  at.form(
    '/intents/check',
    { grant_type: 'client_credentials', resource: audience, authorization_details: details(), ...change },
    as,
  );
const detailsOf = (...entries: readonly object[]): string =>
  JSON.stringify(entries.map((entry) => JSON.parse(details({ ...entry }))[0]));

describe('POST /intents/check', () => {
  it('says what a token request would be granted, and issues nothing', async () => {
    const actions = ['payments.read', 'payments.create'];
    const constraints = { max_calls: 5, max_amount: { argument: 'amount', limit: 500 } };
    const before = [bench.refusals.length, bench.store.tasks({ limit: 100 })];
    const answer = await check({ authorization_details: details({ actions, constraints }) });
    expect([answer.status, answer.headers['cache-control'], answer.json]).toEqual([
      200,
      'no-store',
      {
        granted: true,
        actions: [
          { action: 'payments.read', granted: true },
          { action: 'payments.create', granted: true },
        ],
        authorization_details: JSON.parse(
          detailsOf(
            { actions: ['payments.create'], constraints },
            { actions: ['payments.read'], constraints: { max_calls: 5 } },
          ),
        ) as unknown,
        task_seconds: 900,
        token_seconds: 300,
      },
    ]);
    expect([bench.refusals.length, bench.store.tasks({ limit: 100 })]).toEqual(before);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'intent.check',
      attributes: {
        'remit.agent': 'spiffe://acme.test/ns/agents/sa/planner',
        'remit.decision': 'allow',
        'remit.intent.actions': actions,
      },
    });
    expect(bench.answered.at(-1)).toEqual(['/intents/check', 200]);
  });

  it('says of each action why it is not granted, and which action is meant', async () => {
    const actions = ['payments.raed', 'payments.refund', 'payments.list', 'customers.*', 'files.read'];
    const { status, json } = await check({ authorization_details: details({ actions }) }, bench.reporter);
    expect([status, json['granted'], json['actions']]).toEqual([
      200,
      false,
      [
        { action: 'payments.list', granted: true },
        { action: 'payments.refund', granted: false, reason: 'policy.not-permitted' },
        { action: 'payments.raed', granted: false, reason: 'action.unknown', nearest: 'payments.read' },
        { action: 'customers.*', granted: false, reason: 'action.unknown' },
        { action: 'files.read', granted: false, reason: 'action.unknown' },
      ],
    ]);
    expect(bench.spans.at(-1)).toMatchObject({ attributes: { 'remit.decision': 'deny' } });
  });

  it('says of what would be granted why every use would be denied', async () => {
    const at = await startBench(folder(), { grant: () => ({ kind: 'allow', policyIds: ['all'], observed: null }) });
    const actions = ['payments.list', 'payments.refund'];
    const { json } = await check({ authorization_details: details({ actions }) }, at.reporter, at);
    expect([json['granted'], json['actions']]).toEqual([
      true,
      [
        { action: 'payments.list', granted: true },
        { action: 'payments.refund', granted: true, uses_denied: { reason: 'policy.not-permitted' } },
      ],
    ]);
    await at.close();
  });

  it('shows the `@reason` of the policy that forbids, and no more of the policies', async () => {
    const at = await startBench(folder(), {
      grant: () =>
        deny('policy.forbidden', 'forbidden by `secret-name`', { policyIds: ['secret-name'], advice: 'ask for less' }),
    });
    const { text } = await check({}, at.planner, at);
    expect(JSON.parse(text)['actions']).toEqual([
      { action: 'payments.read', granted: false, reason: 'policy.forbidden', advice: 'ask for less' },
    ]);
    expect(text).not.toMatch(/secret-name|issue-low-risk/);
    await at.close();
  });

  it.each<[string, Parameters, string, RegExp]>([
    [
      'an unknown resource',
      { resource: 'https://payment.acme.test' },
      'invalid_target',
      /did you mean https:\/\/payments/,
    ],
    [
      'an amount of no action',
      { authorization_details: details({ constraints: { max_amount: { argument: 'amount', limit: 5 } } }) },
      'invalid_authorization_details',
      /^no action of the entry has the argument amount/,
    ],
    [
      'an end that has passed',
      { authorization_details: details({ constraints: { not_after: 1 } }) },
      'invalid_authorization_details',
      /^not_after has passed$/,
    ],
  ])('says that the whole intent is refused for %s', async (_name, change, error, description) => {
    const { status, json } = await check(change);
    expect([status, json]).toEqual([
      200,
      {
        granted: false,
        actions: [],
        refusal: { error, error_description: expect.stringMatching(description) },
        authorization_details: [],
      },
    ]);
  });

  it.each<[string, Parameters, number, string]>([
    ['no details', { authorization_details: undefined }, 400, 'invalid_authorization_details'],
    ['details that are none', { authorization_details: '{}' }, 400, 'invalid_authorization_details'],
    ['another client', { client_id: 'spiffe://acme.test/x' }, 401, 'invalid_client'],
    ['a client secret', { client_secret: 'x' }, 400, 'invalid_request'],
    ['another grant', { grant_type: 'password' }, 400, 'unsupported_grant_type'],
    [
      'an exchange',
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: 'x',
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      },
      400,
      'invalid_request',
    ],
  ])('refuses %s', async (_name, change, status, error) => {
    const answer = await check(change);
    expect([answer.status, answer.json['error']]).toEqual([status, error]);
    expect(bench.spans.at(-1)).toMatchObject({ name: 'intent.check', attributes: { 'error.type': error } });
  });

  it('answers 503 if the policies cannot answer', async () => {
    const broken = await startBench(folder(), {
      grant: () => deny('policy.error', 'overflow'),
    });
    const answer = await check({}, broken.planner, broken);
    expect([answer.status, answer.json['error']]).toEqual([503, 'temporarily_unavailable']);
    expect(answer.text).not.toContain('overflow');
    await broken.close();
  });

  it('counts by the limits of the client', async () => {
    const slow = await startBench(folder(), { limits: { requestsPerSecondPerClient: 1 } });
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await check({}, slow.planner, slow)).status),
    );
    expect(statuses).toContain(429);
    await slow.close();
  });

  it('decides as a token request does', async () => {
    const names = ['payments.read', 'payments.create', 'payments.refund', 'payments.*', 'payments.burn', 'files.read'];
    const constraints = fc.constantFrom<object | undefined>(
      undefined,
      { max_calls: 3 },
      { max_amount: { argument: 'amount', limit: 5 } },
      { not_after: Math.floor(Date.now() / 1_000) + 600 },
      { not_after: Math.floor(Date.now() / 1_000) + 8 * 3_600 },
    );
    const entries = fc.array(fc.record({ actions: fc.subarray(names, { minLength: 1 }), constraints }), {
      minLength: 1,
      maxLength: 2,
    });
    await fc.assert(
      fc.asyncProperty(entries, fc.boolean(), async (asked, isPlanner) => {
        const as = isPlanner ? bench.planner : bench.reporter;
        const authorization_details = detailsOf(...asked);
        const { json } = await check({ authorization_details }, as);
        const issued = await bench.token({ authorization_details }, as);
        expect([authorization_details, json['granted']]).toEqual([authorization_details, issued.status === 200]);
        const { authorization_details: granted, expires_in: seconds } = issued.status === 200 ? issued.json : {};
        const promised = issued.status === 200 ? [json['authorization_details'], json['token_seconds']] : [];
        expect([granted, seconds].slice(0, promised.length)).toEqual(promised);
      }),
      { numRuns: 40 },
    );
  });
});
