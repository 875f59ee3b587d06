import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentReply } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { es256Key, jwksOf, signed } from '../builders/tokens.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, startDomain } from './domain.ts';

const APPROVALS = 'spiffe://acme.test/ns/finance/sa/approvals';
const INCIDENT_DESK = 'spiffe://acme.test/ns/ops/sa/incident-desk';

const issueOnCall = `
@id("issue-on-call")
permit (principal in Remit::AgentGroup::"on-call", action == Remit::Action::"issue", resource);
`;

const IDP = 'https://idp.acme.test';
const idpKey = es256Key('idp-1');

const compliantDevices = `
@id("compliant-devices")
forbid (principal, action == Remit::Action::"payments.read", resource)
when { context.attested.contains({name: "device-compliance", value: "not-compliant", by: "${IDP}"}) };

@id("read-payments")
permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.read", resource);
`;

interface Attempt {
  readonly name: string;
  readonly server: string;
  readonly action: string;
  readonly call: { readonly method: string; readonly path: string; readonly body?: string };
  readonly says: Readonly<Record<string, string>>;
  readonly attester: string;
  readonly done: number;
}

const attempts: readonly Attempt[] = [
  {
    name: 'amount-limits',
    server: 'payments',
    action: 'payments.create',
    call: { method: 'POST', path: '/v1/payments', body: JSON.stringify({ amount: 1000, currency: 'EUR' }) },
    says: { approval: 'finance' },
    attester: APPROVALS,
    done: 201,
  },
  {
    name: 'break-glass',
    server: 'files',
    action: 'files.delete',
    call: { method: 'DELETE', path: '/v1/files/trip-report' },
    says: { incident: 'INC-1234' },
    attester: INCIDENT_DESK,
    done: 200,
  },
];

/** Issue "Mend what was found in attack", point 2: `task_context` in the agent's own request turned a 403 into a 201. */
describeWith(envoyPart(), 'values claimed by an agent, through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    for (const agent of agents.values()) agent.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  const agents = new Map<string, Agent>();

  beforeAll(async () => {
    const { folder } = scratch;
    const policies = join(folder, 'policies');
    await mkdir(policies);
    for (const [from, to] of [
      ['actions.yaml', 'actions.yaml'],
      ['base.cedarschema', 'base.cedarschema'],
      ['entities.cedarentities.json', 'entities.cedarentities.json'],
      ['policies/issue.cedar', 'issue.cedar'],
      ['examples/amount-limits/payments.cedar', 'payments.cedar'],
      ['examples/break-glass/agents.cedarentities.json', 'on-call.cedarentities.json'],
    ] as const) {
      await copyFile(join(examples, from), join(policies, to));
    }
    const breakGlass = await readFile(join(examples, 'examples/break-glass/break-glass.cedar'), 'utf8');
    // The exception of the example has expired; the one of the test has not.
    await writeFile(join(policies, 'break-glass.cedar'), breakGlass.replace('2026-01-16', '9999-01-01') + issueOnCall);
    await writeFile(join(policies, 'devices.cedar'), compliantDevices);
    await writeFile(join(folder, 'idp.json'), JSON.stringify(jwksOf(idpKey)));
    domain = await startDomain(envoy, {
      folder,
      policies,
      settings: {
        issuer: {
          contextWriters: [APPROVALS, INCIDENT_DESK],
          signals: {
            transmitters: [{ issuer: IDP, jwks: 'idp.json' }],
            effects: { 'device-compliance-change': 'attest' },
          },
        },
      },
    });
    agents.set('payments', domain.stage.planner);
    for (const [name, path] of [
      ['files', '/ns/agents/sa/fixer'],
      [APPROVALS, '/ns/finance/sa/approvals'],
      [INCIDENT_DESK, '/ns/ops/sa/incident-desk'],
    ] as const) {
      agents.set(name, new Agent(await domain.authority.svid(path), domain.authority.bundlePem));
    }
  });

  const agentOf = (name: string): Agent => {
    const agent = agents.get(name);
    if (agent === undefined) throw new Error(`there is no agent ${name}`);
    return agent;
  };

  const request = (agent: Agent, path: string, method: string, type: string, body: string): Promise<AgentReply> =>
    agent.call(domain.stage.issuerPort, {
      host: domain.stage.issuerHost,
      method,
      path,
      headers: { 'content-type': type },
      body,
    });

  it.each(attempts)('do not satisfy the rule $name, but attested values do', async (attempt) => {
    const { server, action, call, says, attester, done } = attempt;
    const agent = agentOf(server);
    const resource = `https://${server}.acme.test`;
    const detail = { type: 'urn:remit:task', locations: [resource], actions: [action], purpose: 'settle it' };
    const issued = await request(
      agent,
      '/oauth/token',
      'POST',
      'application/x-www-form-urlencoded',
      new URLSearchParams({
        grant_type: 'client_credentials',
        resource,
        authorization_details: JSON.stringify([detail]),
        task_context: JSON.stringify(says),
      }).toString(),
    );
    expect([issued.status, issued.body]).toEqual([200, expect.stringContaining('access_token')]);
    const { access_token: token, txn } = JSON.parse(issued.body);
    const use = async (): Promise<readonly unknown[]> => {
      const reply = await agent.call(domain.stage.envoyPort, {
        host: `${server}.acme.test`,
        ...call,
        headers: {
          authorization: `Bearer ${token}`,
          ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
      });
      return [reply.status, reply.status < 300 ? null : JSON.parse(reply.body).reason];
    };
    const say = (as: Agent): Promise<AgentReply> =>
      request(as, `/tasks/${txn}/context`, 'PUT', 'application/json', JSON.stringify({ context: says }));

    expect(await use()).toEqual([403, 'policy.not-permitted']);
    expect((await say(agent)).status).toBe(200);
    expect(await use()).toEqual([403, 'policy.not-permitted']);
    const other = agentOf(attester === APPROVALS ? INCIDENT_DESK : APPROVALS);
    expect((await say(other)).status).toBe(200);
    expect(await use()).toEqual([403, 'policy.not-permitted']);
    expect((await say(agentOf(attester))).status).toBe(200);
    expect(await use()).toEqual([done, null]);

    const timeline = await request(agent, `/tasks/${txn}/timeline`, 'GET', 'application/json', '');
    const { records } = JSON.parse(timeline.body);
    expect(records).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'intent', claimed: says }),
        expect.objectContaining({ kind: 'event', event: 'context', by: attester }),
      ]),
    );
  });

  it('count as attested if a signal brings them: the policies deny and allow again at the next use', async () => {
    const agent = agentOf('payments');
    const { token, taskId } = await mustDeclare(agent, domain, { actions: ['payments.read'] });
    const device = async (current: string): Promise<number> => {
      const claims = {
        iss: IDP,
        aud: 'https://issuer.acme.test',
        iat: Math.floor(Date.now() / 1_000),
        jti: randomUUID(),
        sub_id: { format: 'opaque', id: taskId },
        events: {
          'https://schemas.openid.net/secevent/caep/event-type/device-compliance-change': {
            previous_status: 'compliant',
            current_status: current,
          },
        },
      };
      const header = { typ: 'secevent+jwt', alg: 'ES256', kid: idpKey.keyId };
      const set = signed(idpKey, JSON.stringify(header), JSON.stringify(claims));
      return (await request(agentOf(APPROVALS), '/signals', 'POST', 'application/secevent+jwt', set)).status;
    };
    expect(await callPayments(agent, domain, { token })).toEqual([200, null]);
    expect(await device('not-compliant')).toBe(202);
    expect(await callPayments(agent, domain, { token })).toEqual([403, 'policy.forbidden']);
    expect(await device('compliant')).toBe(202);
    expect(await callPayments(agent, domain, { token })).toEqual([200, null]);
  });
});
