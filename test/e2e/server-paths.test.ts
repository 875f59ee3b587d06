import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { CRM, SERVED, withCrm } from './crm.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, declare, mustDeclare, startDomain } from './domain.ts';

const PAYMENTS = 'https://payments.acme.test';

describeWith(envoyPart(), 'two servers on one host, told apart by path, through Envoy', (binary) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  let ofPayments: string;
  let ofCrm: string;

  beforeAll(async () => {
    domain = await startDomain(binary, { folder: scratch.folder, policies: await withCrm(scratch.folder) });
    const { planner } = domain.stage;
    ofPayments = (await mustDeclare(planner, domain, { actions: ['payments.read'] })).token;
    ofCrm = (await mustDeclare(planner, domain, { actions: ['crm.read'], audience: CRM })).token;
  });

  const outcome = (token: string, path: string) => callPayments(domain.stage.planner, domain, { token, path });

  it('each accepts only its own tokens', async () => {
    expect(await outcome(ofPayments, '/v1/payments/p-1')).toEqual([200, null]);
    expect(await outcome(ofCrm, '/v1/payments/crm')).toEqual(SERVED);
    expect(await outcome(ofPayments, '/v1/payments/crm')).toEqual([401, 'token.audience']);
    expect(await outcome(ofCrm, '/v1/payments/p-1')).toEqual([401, 'token.audience']);
  });

  it.each([
    ['/v1/payments/CRM', 400, 'request.not-canonical'],
    ['/v1/payments/crm/1', 403, 'action.unknown'],
  ])('`%s` is not a payment: %s %s', async (path, ...expected) => {
    expect(await outcome(ofPayments, path)).toEqual(expected);
  });

  it('a task for both is refused, since a token is for one server', async () => {
    const { status } = await declare(domain.stage.planner, domain, { actions: ['payments.read', 'crm.read'] });
    expect(status).toBe(400);
  });

  it.each([
    ['payments', PAYMENTS],
    ['crm', CRM],
  ])('the metadata of `%s` names its own resource', async (id, resource) => {
    const { issuerPort, issuerHost, planner } = domain.stage;
    const path = `/.well-known/oauth-protected-resource/${id}`;
    const { status, body } = await planner.call(issuerPort, { host: issuerHost, method: 'GET', path });
    expect([status, JSON.parse(body).resource]).toEqual([200, resource]);
  });
});
