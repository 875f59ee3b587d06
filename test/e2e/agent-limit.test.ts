import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentReply } from '../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority } from '../../src/dev/authority.ts';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { envoyVersions } from '../parts/cache.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { mustDeclare, startDomain } from './domain.ts';

/** Few: nobody answers the check of most of them, and each of these takes the half second that Envoy waits. */
const CALLS = 8;
const nobody = { host: '127.0.0.1', port: 1 };

/** The shipped configuration, where an agent has some calls and then no more for hours, so that counts are exact. */
function fewCalls(shipped: string, calls: number): string {
  const config = parse(shipped);
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const limit = manager.http_filters[0].typed_config;
  for (const bucket of [limit.token_bucket, limit.descriptors[0].token_bucket])
    Object.assign(bucket, { max_tokens: calls, tokens_per_fill: 1, fill_interval: '36000s' });
  return stringify(config);
}

/** As for agents behind a hop that ends TLS, in `deploy/guide/install/overload.md`. */
function byForwardedCertificate(shipped: string): string {
  const config = parse(shipped);
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.forward_client_cert_details = 'ALWAYS_FORWARD_ONLY';
  const [action] = manager.http_filters[0].typed_config.rate_limits[0].actions;
  action.extension.typed_config.text = "request.headers['x-forwarded-client-cert']";
  return stringify(config);
}

/** An Envoy whose heap is over its bound from the start. */
function withoutHeap(shipped: string): string {
  const config = parse(shipped);
  config.overload_manager.resource_monitors[1].typed_config.max_heap_size_bytes = 1;
  config.overload_manager.actions.shift();
  return stringify(config);
}

const statuses = async (times: number, call: () => Promise<AgentReply>): Promise<Readonly<Record<number, number>>> => {
  const counts: Record<number, number> = {};
  const replies = await Promise.all(Array.from({ length: times }, call));
  for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

const reasonOf = ({ body }: AgentReply): unknown => JSON.parse(body).reason;

const caller =
  (agent: Agent, { address }: EnvoyProcess, headers: Readonly<Record<string, string>> = {}) =>
  (): Promise<AgentReply> =>
    agent.call(address.port, { host: 'payments.acme.test', path: '/v1/payments/p-1', headers });

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `the limit of each agent, Envoy ${version} without Remit`, (binary) => {
    const scratch = testFolder(async () => {
      for (const end of ends.reverse()) await end();
    });
    let authority: CertificateAuthority;
    const ends: (() => void | Promise<void>)[] = [];

    const startEnvoy = async (shipped: string): Promise<EnvoyProcess> => {
      const { folder } = scratch;
      const files = {
        ...(await writeCredential(folder, 'envoy', await authority.svid('/envoy', { dns: ['payments.acme.test'] }))),
        bundles: new Map([['acme.test', await writeBundle(folder, 'acme', authority)]]),
      };
      const config = (adminSocket: string): string =>
        envoyConfigWithFiles(
          shipped,
          {
            listener: { host: '127.0.0.1', port: 0 },
            adminSocket,
            remitSocket: join(folder, 'nobody.sock'),
            payments: nobody,
            files: nobody,
            collector: null,
          },
          files,
        );
      const envoy = await EnvoyProcess.start({ binary, config });
      if (isBinaryProblem(envoy)) throw new Error(envoy.problem);
      ends.push(() => envoy.stop());
      return envoy;
    };
    const agentOf = async (name: string): Promise<Agent> => {
      const agent = new Agent(await authority.svid(`/ns/agents/sa/${name}`), authority.bundlePem);
      ends.push(() => agent.close());
      return agent;
    };
    beforeAll(async () => {
      authority = await createAuthority('acme.test', systemPorts);
    });

    it('is a bucket for each certificate, and refuses in the form of denials', async () => {
      const envoy = await startEnvoy(fewCalls(await shippedEnvoyConfig(), CALLS));
      const [noisy, other] = [await agentOf('noisy'), await agentOf('other')];
      // 503: nobody answers the check.
      expect(await statuses(3 * CALLS, caller(noisy, envoy))).toEqual({ 503: CALLS, 429: 2 * CALLS });
      expect(await statuses(CALLS, caller(other, envoy))).toEqual({ 503: CALLS });
      const refused = await caller(noisy, envoy)();
      expect(JSON.parse(refused.body)).toEqual({
        error: 'temporarily_unavailable',
        reason: 'envoy.rate-limited',
        request: refused.headers['x-request-id'],
        message: 'too many calls of this agent, so the call was denied',
      });
      expect(refused.headers).toMatchObject({
        'x-remit-decision': 'deny;reason=envoy.rate-limited',
        'retry-after': '1',
        'cache-control': 'no-store',
      });
      const { body } = await envoy.admin('/stats?filter=remit_agents');
      expect(body).toContain(`remit_agents.http_local_rate_limit.rate_limited: ${2 * CALLS + 1}\n`);
      // The alert `RemitEnvoyShedding` is on it.
      const scraped = await envoy.admin('/stats/prometheus?filter=remit_agents');
      expect(scraped.body).toContain(
        `envoy_http_local_rate_limit_rate_limited{envoy_local_http_ratelimit_prefix="remit_agents"} ${2 * CALLS + 1}\n`,
      );
      const logged = await until(() => envoy.accessLog().find((line) => line.includes('"status":429')));
      expect(JSON.parse(logged)).toMatchObject({ flags: 'RL', details: 'local_rate_limited', peer: noisy.id });
    });

    it('is a bucket for each forwarded certificate, with the key for agents behind a hop', async () => {
      const envoy = await startEnvoy(byForwardedCertificate(fewCalls(await shippedEnvoyConfig(), CALLS)));
      const hop = await agentOf('hop');
      const of = (name: string) =>
        caller(hop, envoy, {
          'x-forwarded-client-cert': `By=spiffe://acme.test/hop;Hash=00;URI=spiffe://acme.test/${name}`,
        });
      expect(await statuses(2 * CALLS, of('noisy'))).toEqual({ 503: CALLS, 429: CALLS });
      expect(await statuses(CALLS, of('other'))).toEqual({ 503: CALLS });
    });

    it('yields to the bound on memory, whose refusals have the form of denials too', async () => {
      const envoy = await startEnvoy(withoutHeap(await shippedEnvoyConfig()));
      const agent = await agentOf('early');
      // Envoy looks at its heap once a second.
      const refused = await until(async () => {
        const reply = await caller(agent, envoy)();
        return reasonOf(reply) === 'envoy.overloaded' ? reply : undefined;
      });
      expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
      expect(refused.headers['x-remit-decision']).toBe('deny;reason=envoy.overloaded');
    });
  });
}

describeWith(envoyPart(), 'the limit of each agent, with Remit', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;

  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      envoyConfig: (shipped) => fewCalls(shipped, CALLS),
    });
  });

  it('refuses no call of a neighbour, and asks Remit about no call over it', async () => {
    const { envoyPort, planner, reporter } = domain.stage;
    const declaration = { actions: ['payments.read'] };
    const tokens = [
      (await mustDeclare(planner, domain, declaration)).token,
      (await mustDeclare(reporter, domain, declaration)).token,
    ];
    const callerOf = (agent: Agent, token: string | undefined) => (): Promise<AgentReply> =>
      agent.call(envoyPort, {
        host: 'payments.acme.test',
        path: '/v1/payments/p-1',
        headers: { authorization: `Bearer ${token}` },
      });
    const [noisy, neighbour] = await Promise.all([
      statuses(10 * CALLS, callerOf(planner, tokens[0])),
      statuses(CALLS, callerOf(reporter, tokens[1])),
    ]);
    expect(noisy).toEqual({ 200: CALLS, 429: 9 * CALLS });
    expect(neighbour).toEqual({ 200: CALLS });
    expect(domain.payments.received()).toHaveLength(2 * CALLS);
    const response = await fetch(`http://127.0.0.1:${domain.remit.adminPort}/metrics`);
    expect(await response.text()).toMatch(
      new RegExp(`^remit_decisions_total{decision="allow",[^}]*} ${2 * CALLS}$`, 'm'),
    );
  });
});
