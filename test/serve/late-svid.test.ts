import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { createAuthority } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { startRemit } from '../../src/serve/remit.ts';
import { baseSchema, exampleCatalog } from '../builders/policy-folder.ts';
import { mustConfig } from '../builders/config.ts';
import { freePort } from '../free-port.ts';
import { entryOf, WorkloadApiServer } from '../core/identity/workload-api-server.ts';
import { until } from '../until.ts';

describe('a start whose Workload API answers late', () => {
  const folder = mkdtempSync(join(tmpdir(), 'late-svid-'));
  const policies = join(folder, 'policies');
  let acme: Awaited<ReturnType<typeof createAuthority>>;
  beforeAll(async () => {
    acme = await createAuthority('acme.test', systemPorts);
    mkdirSync(join(policies, 'policies'), { recursive: true });
    writeFileSync(join(policies, 'base.cedarschema'), baseSchema);
    writeFileSync(join(policies, 'actions.yaml'), exampleCatalog);
    writeFileSync(join(policies, 'policies', 'all.cedar'), '@id("all") permit (principal, action, resource);\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each<[string, (port: number) => object]>([
    [
      'serves sidecars over TCP',
      (port) => ({
        issuer: { listen: '127.0.0.1:0', url: 'https://issuer.acme.test', signingKey: 'signing-keys' },
        authority: {
          listen: `127.0.0.1:${port}`,
          sidecars: { id: 'spiffe://acme.test/sidecar', audiences: 'https://payments.acme.test' },
        },
        extAuthz: { listen: `unix:${join(folder, 'check.sock')}` },
      }),
    ],
    [
      'answers checks over the network',
      (port) => ({ extAuthz: { listen: `0.0.0.0:${port}`, callers: 'spiffe://acme.test/gateway' } }),
    ],
  ])('%s once it has', async (name, roles) => {
    const socket = `unix:${join(folder, `${name.length}.sock`)}`;
    const { server } = await WorkloadApiServer.start(socket);
    try {
      const settings = {
        trustDomains: ['acme.test'],
        svid: { workloadApi: socket },
        admin: { listen: '127.0.0.1:0' },
        policies,
        state: `sqlite:state-${name.length}.db`,
        ...roles(await freePort()),
      };
      const starting = startRemit(mustConfig(stringify(settings), { folder }), {
        ports: systemPorts,
        environment: {},
        log: () => undefined,
        onFatal: (error) => {
          throw error;
        },
      });
      await until(() => server.open > 0);
      // So much later that whatever does not wait has failed.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      server.push({ svids: [entryOf(await acme.svid('/remit', { dns: ['localhost'] }), acme.bundlePem)] });
      const started = await starting;
      expect(started).not.toHaveProperty('problem');
      if (!('problem' in started)) await started.close();
    } finally {
      server.close();
    }
  });
});
