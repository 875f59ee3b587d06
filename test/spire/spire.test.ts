import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { isDeny } from '../../src/decision/decision.ts';
import { createAuthority, type Credential } from '../../src/dev/authority.ts';
import { isProblem } from '../../src/dev/envoy-binary.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { envoyConfigWithSpire, shippedSpireConfig } from '../../src/dev/envoy-config.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { leafFromPem } from '../../src/identity/leaf.ts';
import { systemPorts } from '../../src/ports.ts';
import { startAllowAll, type AllowAll } from '../dev/allow-all.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { Spire } from './spire.ts';

const planner = '/ns/agents/sa/planner';
const gateway = '/ns/gateway/sa/envoy';

describeWith(spirePart(), 'SPIRE', (binaries) => {
  it('serves what the product accepts as an X509-SVID, and leaves nothing behind', async () => {
    const spire = await Spire.start(binaries);
    try {
      const id = await spire.register(planner, { ttlSeconds: 600 });
      const svid = await spire.fetchX509(id);
      const leaf = leafFromPem(svid.certPem);
      if (isDeny(leaf)) throw new Error(leaf.detail);
      expect(leaf.id).toBe('spiffe://acme.test/ns/agents/sa/planner');
      expect(leaf.notAfterMs - leaf.notBeforeMs).toBeLessThanOrEqual(620_000);
    } finally {
      await spire.stop();
    }
    expect(existsSync(spire.workloadSocket)).toBe(false);
  }, 60_000);
});

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
      if (isProblem(started)) throw new Error(started.problem);
      envoy = started;
    }, 60_000);
    afterAll(async () => {
      await envoy?.stop();
      await remit?.close();
      await payments?.close();
      await spire?.stop();
      await rm(folder, { recursive: true });
    });

    const call = async (client: Credential, ca: string): Promise<number | undefined> => {
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
    }, 30_000);

    it('refuses the same name from another authority', async () => {
      const { bundlePem } = await spire.fetchX509(`spiffe://acme.test${planner}`);
      const stranger = await createAuthority('acme.test', systemPorts);
      await expect(call(await stranger.svid(planner), bundlePem)).rejects.toThrow(/alert|ECONNRESET|hang up/i);
    }, 30_000);
  },
);
