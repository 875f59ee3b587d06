import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createAuthority, type IssuedCertificate } from '../../src/dev/authority.ts';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { envoyConfigWithSpire, shippedSpireConfig } from '../../src/tools/init/envoy-config.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { firstSvid } from '../../src/core/identity/first-svid.ts';
import { leafFromPem } from '../../src/core/identity/leaf-certificate.ts';
import { type TrustDomain } from '../../src/core/identity/spiffe-id.ts';
import { WorkloadApiSource, type WorkloadApiOptions } from '../../src/core/identity/workload-api.ts';
import { workloadApiTargetFrom } from '../../src/core/identity/workload-api-address.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { startAllowAll, type AllowAll } from '../dev/allow-all.ts';
import { FaultProxy } from '../fault-proxy.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { until } from '../until.ts';
import { Spire } from './spire.ts';
import { must } from '../builders/must.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';

const planner = '/ns/agents/sa/planner';
const gateway = '/ns/gateway/sa/envoy';

describeWith(spirePart(), 'SPIRE', (binaries) => {
  it('serves what the product accepts as an X509-SVID, and leaves nothing behind', async () => {
    const spire = await Spire.start(binaries);
    try {
      const id = await spire.register(planner, { ttlSeconds: 600 });
      const svid = await spire.fetchX509(id);
      const leaf = must(leafFromPem(svid.certPem));
      expect(leaf.id).toBe('spiffe://acme.test/ns/agents/sa/planner');
      expect(leaf.notAfterMs - leaf.notBeforeMs).toBeLessThanOrEqual(620_000);
    } finally {
      await spire.stop();
    }
    expect(existsSync(spire.workloadSocket)).toBe(false);
  });
});

describeWith(spirePart(), 'WorkloadApiSource at a SPIRE agent', (binaries) => {
  let spire: Spire;
  let source: WorkloadApiSource;

  beforeAll(async () => {
    spire = await Spire.start(binaries);
    source = sourceAt(spire, planner);
  });
  afterAll(async () => {
    source?.close();
    await spire?.stop();
  });

  it('says that no registration entry matches, and has its svid once an entry matches', async () => {
    await until(() => source.problem()?.includes('no registration entry matches it') === true);
    await spire.register(planner, { ttlSeconds: 20 });
    const svid = must(await firstSvid(source, { withinMs: 60_000, after }));
    expect(svid.id).toBe('spiffe://acme.test/ns/agents/sa/planner');
    expect(source.problem()).toBeNull();
    const [anchor = ''] = svid.bundles.get('acme.test' as TrustDomain) ?? [];
    expect(new X509Certificate(svid.certificatePem).verify(new X509Certificate(anchor).publicKey)).toBe(true);
  });

  it('follows two rotations without a gap', async () => {
    const seen: string[] = [];
    let gaps = 0;
    const end = source.onChange((svid) => seen.push(svid.certificatePem));
    await until(() => {
      gaps += source.current() === null ? 1 : 0;
      return seen.length === 2;
    });
    end();
    expect(gaps).toBe(0);
    expect(new Set(seen).size).toBe(2);
    expect(source.current()?.certificatePem).toBe(seen[1]);
    expect(source.problem()).toBeNull();
  });

  it('has the bundle of a trust domain that is federated with', async () => {
    const { bundlePem } = await createAuthority('other.test', systemPorts);
    await spire.federate('other.test', bundlePem);
    await spire.register('/ns/agents/sa/envoy', { federatesWith: ['other.test'] });
    const federated = sourceAt(spire, '/ns/agents/sa/envoy');
    try {
      const svid = must(await firstSvid(federated, { withinMs: 60_000, after }));
      expect([...svid.bundles.keys()].toSorted()).toEqual(['acme.test', 'other.test']);
      expect(svid.bundles.get('other.test' as TrustDomain)).toEqual([bundlePem]);
    } finally {
      federated.close();
    }
  });

  it('gives the svid up when its registration entry is deleted, and has it again with a new entry', async () => {
    await spire.unregister('spiffe://acme.test/ns/agents/sa/planner');
    await until(() => source.current() === null);
    expect(source.problem()).toContain('the workload api gives 1 svids, none with id');
    await spire.unregister('spiffe://acme.test/ns/agents/sa/envoy');
    await until(() => source.problem()?.includes('no registration entry matches it') === true);
    await spire.register(planner);
    await until(() => source.current() !== null);
  });

  // Issue 37, point 5.
  it('leaves a connection on which the agent answers no ping, and follows it over another connection', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'remit-spire-'));
    const socket = join(folder, 'agent.sock');
    const proxy = await FaultProxy.startAt(socket, spire.workloadSocket);
    const keepalive = { timeMs: 1_000, timeoutMs: 500 };
    const problems: (string | null)[] = [];
    const frozen = sourceAt(spire, planner, {
      target: `unix://${socket}`,
      keepalive,
      onProblem: (problem) => problems.push(problem),
    });
    try {
      const held = must(await firstSvid(frozen, { withinMs: 60_000, after }));
      // Before the first ping: the agent, as servers of grpc-go, ends a connection that pings so often.
      proxy.freezeOpen();
      await until(() => proxy.accepted > 1, { what: 'another connection is made' });
      expect(problems[0]).toMatch(/^the workload api failed with UNAVAILABLE: /);
      expect(frozen.current()?.id === held.id).toBe(true);
      await until(() => frozen.problem() === null, { what: 'the agent is followed again' });
    } finally {
      frozen.close();
      await proxy.close();
      await rm(folder, { recursive: true });
    }
  });

  // Issue 37, found.
  it('has a new svid once the socket is back that was gone until after its svid had ended', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'remit-spire-'));
    const socket = join(folder, 'agent.sock');
    const brief = '/ns/agents/sa/brief';
    await spire.register(brief, { ttlSeconds: 10 });
    let proxy = await FaultProxy.startAt(socket, spire.workloadSocket);
    const away = sourceAt(spire, brief, { target: `unix://${socket}` });
    const seen: string[] = [];
    away.onChange(({ certificatePem }) => seen.push(certificatePem));
    try {
      const held = must(await firstSvid(away, { withinMs: 60_000, after }));
      await proxy.close();
      await until(() => away.problem()?.startsWith('the workload api failed with UNAVAILABLE') === true);
      await until(() => away.current() === null, { what: 'the end of the svid' });
      expect(away.problem()).toMatch(/^the svid ended at \S+Z: the workload api failed with UNAVAILABLE: /);
      proxy = await FaultProxy.startAt(socket, spire.workloadSocket);
      const renewed = await until(() => away.current() ?? undefined, { what: 'another svid' });
      expect(renewed.notAfterMs).toBeGreaterThan(held.notAfterMs);
      expect([away.problem(), seen.at(-1)]).toEqual([null, renewed.certificatePem]);
    } finally {
      away.close();
      await proxy.close();
      await spire.unregister(`spiffe://acme.test${brief}`);
      await rm(folder, { recursive: true });
    }
  });

  it('keeps the svid while the agent is gone', async () => {
    const held = source.current();
    await spire.stopAgent();
    await until(() => source.problem() !== null);
    expect(source.problem()).toMatch(/^the workload api failed with UNAVAILABLE: /);
    expect(source.current()).toBe(held);
  });
});

const sourceAt = (
  spire: Spire,
  path: string,
  {
    target: address = `unix://${spire.workloadSocket}`,
    ...options
  }: Partial<Pick<WorkloadApiOptions, 'keepalive' | 'onProblem' | 'target'>> = {},
): WorkloadApiSource => {
  const target = workloadApiTargetFrom(address);
  const id = mustSpiffeId(`spiffe://${spire.trustDomain}${path}`);
  if (typeof target !== 'string') throw new Error('no source of an svid');
  return new WorkloadApiSource({ target, id, hint: null, ports: systemPorts, after, ...options });
};

describeWith(
  both(spirePart(), envoyPart()),
  'the shipped envoy-spire.yaml on SVIDs from SPIRE',
  ([binaries, envoyBinary]) => {
    let folder: string;
    let spire: Spire;
    let envoy: EnvoyProcess;
    let remit: AllowAll;
    let payments: ToolServer;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'remit-spire-'));
      spire = await Spire.start(binaries);
      const id = await spire.register(gateway, { dns: ['payments.acme.test'] });
      await spire.register(planner);
      await spire.fetchX509(id);
      payments = await ToolServer.start('payments');
      remit = await startAllowAll(join(folder, 'check.sock'));
      const shipped = await shippedSpireConfig();
      const started = await EnvoyProcess.start({
        binary: envoyBinary,
        config: (adminSocket) =>
          envoyConfigWithSpire(
            shipped,
            {
              listener: { host: '127.0.0.1', port: 0 },
              adminSocket,
              remitSocket: join(folder, 'check.sock'),
              payments: payments.address,
              files: payments.address,
              collector: null,
            },
            { socket: spire.workloadSocket, id, trustDomain: spire.trustDomain },
          ),
      });
      if (isBinaryProblem(started)) throw new Error(started.problem);
      envoy = started;
    });
    afterAll(async () => {
      await envoy?.stop();
      await remit?.close();
      await payments?.close();
      await spire?.stop();
      await rm(folder, { recursive: true });
    });

    const call = async (client: IssuedCertificate, ca: string): Promise<number | undefined> => {
      const asked = request({
        host: envoy.address.host,
        port: envoy.address.port,
        path: '/v1/payments/p-1',
        agent: false,
        ca,
        servername: 'payments.acme.test',
        headers: { host: 'payments.acme.test' },
        cert: client.certPem,
        key: client.keyPem,
      });
      asked.end();
      const [response] = await once(asked, 'response');
      response.resume();
      return response.statusCode;
    };

    it('takes a client on its SVID and tells Remit who it is', async () => {
      const svid = await spire.fetchX509(`spiffe://acme.test${planner}`);
      expect(await call(svid, svid.bundlePem)).toBe(200);
      expect(remit.checks.at(-1)?.request.toString('latin1')).toContain('spiffe://acme.test/ns/agents/sa/planner');
    });

    it('refuses the same name from another authority', async () => {
      const { bundlePem } = await spire.fetchX509(`spiffe://acme.test${planner}`);
      const stranger = await createAuthority('acme.test', systemPorts);
      await expect(call(await stranger.svid(planner), bundlePem)).rejects.toThrow(/alert|ECONNRESET|hang up/i);
    });
  },
);
