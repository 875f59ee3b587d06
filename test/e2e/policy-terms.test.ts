import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { DevDomain } from '../../src/dev/domain.ts';
import { formPost } from '../../src/dev/issuer-request.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { declare, examples, startDomain } from './domain.ts';
import type { Declaration } from './domain.ts';

const ZONE = 'Pacific/Kiritimati';
const DAY_MS = 86_400_000;

/** Computed in another way than Remit does: 1 is Monday. */
function weekdayAt(ms: number): number {
  const name = new Intl.DateTimeFormat('en-GB', { timeZone: ZONE, weekday: 'short' }).format(ms);
  return ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(name) + 1;
}

/** Today and tomorrow, so that the test may run over midnight. */
const days = [weekdayAt(Date.now()), weekdayAt(Date.now() + DAY_MS)];

const policies = `
@id("use")
permit (principal, action in [Remit::Action::"payments.list", Remit::Action::"payments.read"], resource);

@id("not-today")
@reason("not on these days")
forbid (principal, action == Remit::Action::"payments.list", resource)
when { [${days.join(', ')}].contains(context.time.there.weekday) };

@id("only-today")
forbid (principal, action == Remit::Action::"payments.read", resource)
unless { [${days.join(', ')}].contains(context.time.there.weekday) && context.time.there.minuteOfDay <= 1439 };

@id("no-task-today")
forbid (principal, action == Remit::Action::"issue", resource in Remit::Server::"files")
when { [${days.join(', ')}].contains(context.time.there.weekday) };
`;

const bounded = `
@id("bounded")
forbid (principal, action == Remit::Action::"issue", resource in Remit::Server::"payments")
when { context.requested.action == "payments.create" }
unless {
  context.requested.constraints has maxAmount && context.requested.constraints.maxAmount.limit <= 500 &&
  context.requested.constraints.maxAmount.argument == "amount"
};

@id("pay")
permit (principal, action == Remit::Action::"payments.create", resource);
`;

const IDP = 'https://idp.acme.test';

const ofSubjects = `
@id("tasks-for-people-of-acme")
forbid (principal, action == Remit::Action::"issue", resource in Remit::Server::"tickets")
unless { context.subjectAttributes has tenant && context.subjectAttributes.tenant == "acme" };

@id("tickets-for-support")
permit (principal, action in [Remit::Action::"tickets.mcp.session", Remit::Action::"tickets.create"], resource)
when { context.subjectAttributes has groups && context.subjectAttributes.groups.contains("support") };

@id("no-contractors")
forbid (principal, action, resource in Remit::Server::"tickets")
when { context.subjectAttributes has groups && context.subjectAttributes.groups.contains("contractors") };
`;

/** Issue "Day two", point 16: what policies could not express. */
describeWith(envoyPart(), 'what policies read, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  let idpKey: CryptoKey;

  beforeAll(async () => {
    const { folder } = scratch;
    const into = join(folder, 'policies');
    await mkdir(into);
    for (const [from, to] of [
      ['base.cedarschema', 'base.cedarschema'],
      ['entities.cedarentities.json', 'entities.cedarentities.json'],
      ['policies/issue.cedar', 'issue.cedar'],
    ] as const) {
      await copyFile(join(examples, from), join(into, to));
    }
    const catalog = await readFile(join(examples, 'actions.yaml'), 'utf8');
    await writeFile(join(into, 'actions.yaml'), catalog.replace('office: Europe/Berlin', `there: ${ZONE}`));
    await writeFile(join(into, 'terms.cedar'), policies + bounded + ofSubjects);
    const keys = await generateKeyPair('ES256', { extractable: true });
    idpKey = keys.privateKey;
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'idp', alg: 'ES256', use: 'sig' };
    await writeFile(join(folder, 'idp.json'), JSON.stringify({ keys: [jwk] }));
    const attributes = { groups: 'groups', tenant: 'https://acme.test/tenant' };
    const idp = {
      kind: 'access-token',
      issuer: IDP,
      jwks: join(folder, 'idp.json'),
      audience: 'https://issuer.test',
      attributes,
    };
    domain = await startDomain(envoy, { folder, policies: into, settings: { issuer: { subjectIssuers: [idp] } } });
  });

  const issued = async (audience: string, declaration: Declaration) => {
    const reply = await declare(domain.stage.planner, domain, {
      ...declaration,
      audience: `https://${audience}.acme.test`,
    });
    return { status: reply.status, body: JSON.parse(reply.body) };
  };

  const asksFor = (constraints?: Declaration['constraints']) =>
    issued('payments', { actions: ['payments.create'], ...(constraints === undefined ? {} : { constraints }) });

  const used = async (token: string, path: string): Promise<readonly unknown[]> => {
    const reply = await domain.stage.planner.call(domain.stage.envoyPort, {
      host: 'payments.acme.test',
      method: 'GET',
      path,
      headers: { authorization: `Bearer ${token}` },
    });
    return reply.status < 300 ? [reply.status] : [reply.status, JSON.parse(reply.body).reason];
  };

  const exchanged = async (claims: Readonly<Record<string, unknown>>) => {
    const { planner, issuerHost, issuerPort } = domain.stage;
    const token = await new SignJWT({ client_id: 'portal', jti: 'a-token-of-alice', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'idp', typ: 'at+jwt' })
      .setIssuer(IDP)
      .setSubject('alice@acme.test')
      .setAudience('https://issuer.test')
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(idpKey);
    const locations = ['https://tickets.acme.test'];
    const request = formPost('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: 'https://tickets.acme.test',
      authorization_details: JSON.stringify([
        { type: 'urn:remit:task', locations, actions: ['tickets.create'], purpose: 'help' },
      ]),
    });
    const reply = await planner.call(issuerPort, { host: issuerHost, ...request });
    return { status: reply.status, body: JSON.parse(reply.body) };
  };

  const tenant = { 'https://acme.test/tenant': 'acme' };
  it('include attributes of the subject from its token, at the exchange and at every use', async () => {
    const write = async (token: unknown) => {
      const reply = await domain.stage.planner.call(domain.stage.envoyPort, {
        host: 'tickets.acme.test',
        method: 'POST',
        path: '/mcp',
        headers: { authorization: `Bearer ${String(token)}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'create_ticket', arguments: { title: 'a', priority: 2 } },
        }),
      });
      return /policy\.[a-z-]+/.exec(reply.body)?.[0] ?? 'passed';
    };
    const support = await exchanged({ ...tenant, groups: ['support', 'staff'] });
    const sales = await exchanged({ ...tenant, groups: ['sales'] });
    expect([support.status, sales.status]).toEqual([200, 200]);
    expect([await write(support.body.access_token), await write(sales.body.access_token)]).toEqual([
      'passed',
      'policy.not-permitted',
    ]);
    const shown = await domain.stage.planner.call(domain.stage.issuerPort, {
      host: domain.stage.issuerHost,
      method: 'GET',
      path: `/tasks/${support.body.txn}`,
    });
    expect(JSON.parse(shown.body)).toMatchObject({
      subject: 'alice@acme.test',
      subject_attributes: { groups: ['staff', 'support'], tenant: 'acme' },
    });
  });

  it.each([
    [
      'of another tenant',
      { 'https://acme.test/tenant': 'evil', groups: ['support'] },
      'invalid_authorization_details',
      null,
    ],
    ['of no tenant', { groups: ['support'] }, 'invalid_authorization_details', null],
    // A claim of the wrong type must not avoid a `forbid` by groups.
    [
      'with groups of another type',
      { ...tenant, groups: 'contractors' },
      'invalid_request',
      'claim `groups` must be an array',
    ],
    [
      'with too many groups',
      { ...tenant, groups: Array.from({ length: 257 }, String) },
      'invalid_request',
      'claim `groups` must be',
    ],
    ['in a forbidden group', { ...tenant, groups: ['support', 'contractors'] }, 'invalid_authorization_details', null],
  ])('refuse a task for a subject %s', async (_name, claims, error, description) => {
    const { status, body } = await exchanged(claims);
    expect([status, body.error]).toEqual([400, error]);
    expect(body.error_description ?? '').toContain(description ?? '');
  });

  it('include the requested constraints of a task', async () => {
    const refusals = [
      await asksFor(),
      await asksFor({ max_calls: 1 }),
      await asksFor({ max_amount: { argument: 'amount', limit: 501 } }),
      // A policy sees a decimal rounded up.
      await asksFor({ max_amount: { argument: 'amount', limit: '500.0001' } }),
      await asksFor({ max_amount: { argument: 'tip', limit: 1 } }),
    ];
    expect(refusals.map(({ status, body }) => [status, body.error])).toEqual(
      refusals.map(() => [400, 'invalid_authorization_details']),
    );
    const { status, body } = await asksFor({ max_amount: { argument: 'amount', limit: 500 } });
    expect(status).toBe(200);
    const pay = (amount: number) =>
      domain.stage.planner.call(domain.stage.envoyPort, {
        host: 'payments.acme.test',
        method: 'POST',
        path: '/v1/payments',
        headers: { authorization: `Bearer ${body.access_token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ amount, currency: 'EUR' }),
      });
    expect([(await pay(400)).status, (await pay(101)).status, (await pay(100)).status]).toEqual([201, 403, 201]);
  });

  it('include the weekday in a time zone of the catalog, at issuance and at use', async () => {
    const refused = await issued('files', { actions: ['files.list'] });
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_authorization_details']);
    const { body } = await issued('payments', { actions: ['payments.list', 'payments.read'] });
    const token = String(body.access_token);
    expect(await used(token, '/v1/payments')).toEqual([403, 'policy.forbidden']);
    expect((await used(token, '/v1/payments/1'))[1]).toBeUndefined();
  });
});
