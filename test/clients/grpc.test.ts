import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { encoded, shopSet } from '../core/action/grpc/protobuf/shop.ts';
import { testFolder } from '../builders/test-folders.ts';
import { writePolicies } from '../e2e/written-policies.ts';
import { mustDeclare, startDomain } from '../e2e/domain.ts';
import { startShopServer } from '../e2e/shop-server.ts';
import type { ShopServer } from '../e2e/shop-server.ts';
import { clientPart, describeWith, envoyPart } from '../parts.ts';

const HOST = 'files.acme.test';

const CATALOG = `servers:
  files:
    hosts: [${HOST}]
    audience: https://${HOST}
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder: { action: files.order, risk: low, args: { customer: {} } }
`;

const POLICIES = `@id("all") permit (principal in Remit::AgentGroup::"agents", action, resource in Remit::Server::"files");`;

/** Orders for one customer a day, by all tasks together. */
const LIMITS = `limits:
  - id: customers-a-day
    agents: ['spiffe://acme.test/ns/agents/*']
    actions: [files.order]
    per: [agent]
    window: 1d
    distinct: { argument: customer, limit: 1 }
`;

const CLUSTER = '    - name: files\n      type: STATIC\n';

/** The status of each call, and of each denial what the client reads in it. */
interface Called {
  readonly codes: readonly string[];
  readonly details: readonly unknown[];
}

describeWith(envoyPart(), 'gRPC with retries', (envoy) => {
  const scratch = testFolder(async () => {
    await domain?.stop();
    server?.close();
  });
  let server: ShopServer;
  let domain: DevDomain;
  beforeAll(async () => {
    server = await startShopServer();
    const policies = join(scratch.folder, 'policies');
    const files = { 'actions.yaml': CATALOG, 'limits.yaml': LIMITS, 'shop.binpb': shopSet, 'shop.cedar': POLICIES };
    await writePolicies(policies, files);
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies,
      filesServer: server.address,
      envoyConfig: (shipped) => {
        expect(shipped).toContain(CLUSTER);
        return shipped.replace(CLUSTER, `${CLUSTER}      typed_extension_protocol_options: *http2\n`);
      },
    });
  });

  /** Reasons of the denied uses of a task. */
  async function denials(task: string): Promise<readonly string[]> {
    const { planner, issuerHost: host, issuerPort } = domain.stage;
    const answer = await planner.call(issuerPort, { host, method: 'GET', path: `/tasks/${task}/timeline` });
    const { records } = JSON.parse(answer.body);
    return records.flatMap(({ reason }: { reason?: string | null }) => reason ?? []);
  }

  const file = (name: string): string => join(scratch.folder, name);
  const declared = (constraints: Readonly<Record<string, unknown>> = {}) =>
    mustDeclare(domain.stage.planner, domain, {
      actions: ['files.order'],
      audience: `https://${HOST}`,
      constraints,
    });

  describeWith(clientPart('oauth-python'), 'by grpcio', (packages) => {
    const called = async (token: string, customer = 'ada'): Promise<Called> => {
      const { stdout } = await promisify(execFile)('python3', [join(import.meta.dirname, 'python/grpc_retries.py')], {
        env: {
          PATH: process.env['PATH'],
          PYTHONPATH: packages,
          HOST_NAME: HOST,
          ENVOY_PORT: String(domain.stage.envoyPort),
          BUNDLE: file('bundle.pem'),
          SVID_CERT: file('planner.pem'),
          SVID_KEY: file('planner.key'),
          METHOD: '/acme.shop.v1.Shop/PlaceOrder',
          MESSAGE: Buffer.from(encoded({ customer })).toString('hex'),
          TOKEN: token,
        },
        timeout: 120_000,
      });
      const { codes, details } = JSON.parse(stdout);
      return { codes, details: details.map((text: string): unknown => JSON.parse(text)) };
    };
    it('asks for a spent budget once', async () => {
      const { token, taskId } = await declared({ max_calls: 1 });
      const { codes, details } = await called(token);
      expect(codes).toEqual(['OK', 'PERMISSION_DENIED']);
      expect(details).toMatchObject([{ reason: 'task.exhausted', budget: { limit: 1, used: 1 } }]);
      expect(await denials(taskId)).toEqual(['task.exhausted']);
    });

    it('reads which limit over all tasks refuses a call, what it counts, and when its window ends', async () => {
      const [first, second] = [await declared(), await declared()];
      expect((await called(first.token)).codes).toEqual(['OK', 'OK']);
      const { codes, details } = await called(second.token, 'bob');
      expect(codes).toEqual(['PERMISSION_DENIED', 'PERMISSION_DENIED']);
      const ends = expect.stringMatching(/^2\d{3}-\d\d-\d\dT00:00:00Z$/);
      const limit = { id: 'customers-a-day', counts: 'different customer', max: 1, used: 1, ends };
      const message = expect.stringContaining('1 of 1 (different customer) of `customers-a-day` are used until 2');
      const denial = { reason: 'limit.exceeded', next: 'ask_person', message, limit };
      expect(details).toMatchObject([denial, denial]);
      expect(await denials(second.taskId)).toEqual(['limit.exceeded', 'limit.exceeded']);
    });

    it('asks once for each call of a stopped task', async () => {
      const { token, taskId } = await declared();
      const { planner, issuerHost: host, issuerPort } = domain.stage;
      await planner.call(issuerPort, { host, method: 'POST', path: `/tasks/${taskId}/cancel` });
      expect((await called(token)).codes).toEqual(['PERMISSION_DENIED', 'PERMISSION_DENIED']);
      expect(await denials(taskId)).toEqual(['task.cancelled', 'task.cancelled']);
    });
  });
});
