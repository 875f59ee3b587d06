import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { declare, examples, scratchFolder, startDomain } from './domain.ts';
import type { Declaration } from './domain.ts';

const ZONE = 'Pacific/Kiritimati';
const DAY_MS = 86_400_000;

/** By another way than Remit's: 1 is Monday. */
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

/** Issue "Day two", point 16: what could not be said in policy. */
describeWith(envoyPart(), 'what policies read, through Envoy', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let domain: DevDomain;

  beforeAll(async () => {
    scratch = await scratchFolder('remit-policy-terms-');
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
    await writeFile(join(into, 'terms.cedar'), policies + bounded);
    domain = await startDomain(envoy, { folder, policies: into });
  });
  afterAll(async () => {
    await domain?.stop();
    await scratch?.remove();
  });

  const issued = async (audience: string, declaration: Declaration) => {
    const reply = await declare(domain.stage.planner, domain, {
      ...declaration,
      audience: `https://${audience}.acme.test`,
    });
    return { status: reply.status, body: JSON.parse(reply.body) };
  };

  const used = async (token: string, path: string): Promise<readonly unknown[]> => {
    const reply = await domain.stage.planner.call(domain.stage.envoyPort, {
      host: 'payments.acme.test',
      method: 'GET',
      path,
      headers: { authorization: `Bearer ${token}` },
    });
    return reply.status < 300 ? [reply.status] : [reply.status, JSON.parse(reply.body).reason];
  };

  it('is how much a task asks for', async () => {
    const asked = async (constraints?: Declaration['constraints']) =>
      issued('payments', { actions: ['payments.create'], ...(constraints === undefined ? {} : { constraints }) });
    const refusals = [
      await asked(),
      await asked({ max_calls: 1 }),
      await asked({ max_amount: { argument: 'amount', limit: 501 } }),
      await asked({ max_amount: { argument: 'tip', limit: 1 } }),
    ];
    expect(refusals.map(({ status, body }) => [status, body.error])).toEqual(
      refusals.map(() => [400, 'invalid_authorization_details']),
    );
    const { status, body } = await asked({ max_amount: { argument: 'amount', limit: 500 } });
    expect(status).toBe(200);
    const pay = (amount: number) =>
      domain.stage.planner.call(domain.stage.envoyPort, {
        host: 'payments.acme.test',
        method: 'POST',
        path: '/v1/payments',
        headers: { authorization: `Bearer ${body.access_token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ amount, currency: 'EUR' }),
      });
    expect([(await pay(400)).status, (await pay(101)).status, (await pay(100)).status]).toEqual([201, 429, 201]);
  });

  it('is the weekday in a zone that the catalog names, when a token is asked for and when it is used', async () => {
    const refused = await issued('files', { actions: ['files.list'] });
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_authorization_details']);
    const { body } = await issued('payments', { actions: ['payments.list', 'payments.read'] });
    const token = String(body.access_token);
    expect(await used(token, '/v1/payments')).toEqual([403, 'policy.forbidden']);
    expect((await used(token, '/v1/payments/1'))[1]).toBeUndefined();
  });
});
