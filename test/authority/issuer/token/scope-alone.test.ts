import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { Decision } from '../../../../src/core/decision/decision.ts';
import { timelineFrom } from '../../../../src/core/ledger/timeline.ts';
import { authorize } from '../../../../src/core/policy/authorize.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { must } from '../../../builders/must.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { type Answer, audience, type Bench, type Parameters, startBench, exampleGrant } from '../bench.ts';
import { type Idp, plannerId, startIdp } from '../idp.ts';

const folder = testFolders(() => bench.close());
const idp: Idp = startIdp();
let bench: Bench;
/** Decides in place of the example policies. */
const instead: { grant: ((question: Question) => Decision) | null } = { grant: null };
/** What the policies were asked: the action, and all actions of the intent. */
const asked: unknown[] = [];
beforeAll(async () => {
  const grant = await exampleGrant();
  const { subjectIssuers, subjectKeys } = idp;
  bench = await startBench(folder(), {
    subjectKeys,
    settings: { subjectIssuers },
    grant: (question) => {
      asked.push(question.context);
      return (instead.grant ?? grant)(question);
    },
  });
});
afterEach(() => {
  instead.grant = null;
  asked.length = 0;
});

const withScope = (scope: string, change: Parameters = {}, as = bench.planner): Promise<Answer> =>
  bench.token({ authorization_details: undefined, scope, ...change }, as);
const refused = (answer: Answer) => [answer.status, answer.json['error'], answer.json['error_description']];
const hashOf = (answer: Answer): unknown => decodeJwt(String(answer.json['access_token']))['remit_intent'];
const entry = (...actions: readonly string[]) => ({ type: 'urn:remit:task', locations: [audience], actions });

describe('a scope alone', () => {
  it('is an intent with these actions, without purpose and constraints; the record says so', async () => {
    const issued = await withScope('payments.read payments.list payments.read');
    expect(issued.status).toBe(200);
    expect(issued.json['scope']).toBe('payments.list payments.read');
    expect(decodeJwt(String(issued.json['access_token']))['authorization_details']).toEqual([
      entry('payments.read', 'payments.list'),
    ]);
    expect(asked).toMatchObject([
      { intent: { purpose: '' }, requested: { constraints: { singleUse: false } } },
      { intent: { purpose: '' }, requested: { constraints: { singleUse: false } } },
    ]);
    const records = must(await bench.services.recordsOf(String(issued.json['txn']), 10));
    expect(timelineFrom(records)[0]).toMatchObject({ kind: 'intent', purpose: '', decision: 'allow' });
  });

  it('has the hash of the same intent in authorization_details', async () => {
    const [byScope, byDetails] = [
      await withScope('payments.read'),
      await bench.token({ authorization_details: JSON.stringify([entry('payments.read')]) }),
    ];
    expect(hashOf(byScope)).toMatchObject({ h: Object(hashOf(byDetails)).h });
  });

  it('is granted in part if policies refuse some of it, as those that ask for a purpose do', async () => {
    const issued = await withScope('payments.read payments.create payments.refund');
    expect([issued.status, issued.json['scope']]).toEqual([200, 'payments.read']);
    expect(issued.json['authorization_details']).toEqual([entry('payments.read')]);
    // Once about all three, then about what is left, as the whole intent.
    expect(asked.length).toBe(4);
    expect(asked.at(-1)).toMatchObject({ requested: { action: 'payments.read' } });
  });

  it('is refused if policies refuse all of it', async () => {
    const answer = await withScope('payments.create payments.refund');
    expect(refused(answer)).toEqual([400, 'invalid_scope', 'the action payments.create is not granted to this client']);
    expect(bench.refusals.at(-1)).toMatchObject({ decision: 'deny', reason: 'policy.not-permitted', purpose: '' });
  });

  it('is refused if what is left is refused as a whole', async () => {
    let questions = 0;
    instead.grant = () => {
      questions += 1;
      return questions === 1
        ? { kind: 'allow', policyIds: ['p'], observed: null }
        : deny('policy.not-permitted', 'not alone');
    };
    expect(refused(await withScope('payments.list payments.read'))[1]).toBe('invalid_scope');
    expect(questions).toBe(3);
  });

  it('is refused by the policy that the page of the issuer API has for it, unlike an intent with a purpose', async () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../../deploy/guide/reference/issuer-api.md'), 'utf8');
    const [, forbid = ''] = /^```\n(forbid [^`]+)```$/m.exec(page) ?? [];
    const set = await mustLoad(folderWith(`@id("all") permit (principal, action, resource);\n@id("no") ${forbid}`));
    instead.grant = (question) => authorize(set, question);
    expect(refused(await withScope('payments.read'))[1]).toBe('invalid_scope');
    expect((await bench.token()).status).toBe(200);
  });

  it('is not granted in part by a policy that fails', async () => {
    let questions = 0;
    instead.grant = () => {
      questions += 1;
      return questions === 1 ? { kind: 'allow', policyIds: ['p'], observed: null } : deny('policy.error', 'broken');
    };
    expect(refused(await withScope('payments.list payments.read'))[1]).toBe('temporarily_unavailable');
  });

  it('does not make authorization_details granted in part', async () => {
    const both = JSON.stringify([entry('payments.read', 'payments.create')]);
    const answer = await bench.token({ authorization_details: both });
    expect(refused(answer)).toEqual([
      400,
      'invalid_authorization_details',
      'the action payments.create is not granted to this client',
    ]);
  });

  it.each<[string, string, Parameters, string, string]>([
    ['an action of no server', 'payments.none', {}, 'invalid_scope', 'the resource has no action payments.none'],
    ['an action of another server', 'files.read', {}, 'invalid_scope', 'the resource has no action files.read'],
    ['openid', 'payments.read openid', {}, 'invalid_scope', 'the resource has no action openid'],
    ['a star', '*', {}, 'invalid_scope', 'the resource has no action *'],
    ['two spaces', 'payments.read  payments.list', {}, 'invalid_scope', 'the scope is malformed'],
    [
      '65 actions',
      Array.from({ length: 65 }, (_, n) => `payments.n${n}`).join(' '),
      {},
      'invalid_scope',
      'the scope, as authorization_details,',
    ],
    ['no resource', 'payments.read', { resource: undefined }, 'invalid_target', 'exactly one resource is required'],
    ['an unknown resource', 'payments.read', { resource: 'https://x.test' }, 'invalid_target', 'unknown resource'],
    ['nothing', '', {}, 'invalid_authorization_details', 'authorization_details or scope is required'],
  ])('is refused with %s', async (_name, scope, change, error, description) => {
    const answer = await withScope(scope, change);
    expect([answer.status, answer.json['error']]).toEqual([400, error]);
    expect(String(answer.json['error_description'])).toContain(description);
  });

  it('acts for a user by token exchange', async () => {
    const issued = await bench.exchange(await idp.accessToken(), {
      resource: audience,
      scope: 'payments.read payments.create',
    });
    expect([issued.status, issued.json['scope']]).toEqual([200, 'payments.read']);
    expect(decodeJwt(String(issued.json['access_token']))).toMatchObject({ act: { sub: plannerId } });
  });

  it('takes the resource with a slash after its host, as some clients write it', async () => {
    const resource = `${audience}/`;
    const issued = await withScope('payments.read', { resource });
    expect([issued.status, issued.json['authorization_details']]).toEqual([200, [entry('payments.read')]]);
    expect(decodeJwt(String(issued.json['access_token'])).aud).toBe(audience);
    const refresh = { grant_type: 'refresh_token', refresh_token: String(issued.json['refresh_token']), resource };
    expect((await bench.form('/oauth/token', refresh)).status).toBe(200);
    for (const other of [`${audience}//`, `${audience}/x`, `${audience}?`, audience.toUpperCase()])
      expect(refused(await withScope('payments.read', { resource: other }))[1]).toBe('invalid_target');
  });

  it('is renewed with what was asked at first: what was granted stays', async () => {
    const scope = 'payments.read payments.create';
    const issued = await withScope(scope);
    const again = await bench.form('/oauth/token', {
      grant_type: 'refresh_token',
      refresh_token: String(issued.json['refresh_token']),
      scope,
    });
    expect([again.status, again.json['scope'], again.json['txn']]).toEqual([200, 'payments.read', issued.json['txn']]);
  });

  it('takes all of scopes_supported, the session of an MCP server with it', async () => {
    const url = '/.well-known/oauth-protected-resource/tickets';
    const metadata = (await bench.ask(url)).json;
    const scopes = metadata['scopes_supported'];
    if (!Array.isArray(scopes)) throw new Error('no scopes');
    const issued = await withScope(scopes.join(' '), { resource: String(metadata['resource']) });
    expect(issued.status).toBe(200);
    expect(String(issued.json['scope']).split(' ')).toEqual(
      expect.arrayContaining(['tickets.mcp.session', 'tickets.search-customers']),
    );
  });
});
