import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { longClusterPart } from '../cluster-part.ts';
import { startCluster } from '../cluster.ts';
import type { Cluster } from '../cluster.ts';
import { linesOf, startAgent } from '../demo.ts';
import { endLoad, startLoad } from '../load.ts';
import { gatewayPart } from './gateway-part.ts';
import { GATEWAY, installByGatewayPage, installGateway, proxiesReady, PROXIES } from './gateway.ts';

const CALLS = ['GET /', 'GET /items/7', 'POST /items {"amount":50}', 'POST /items {"amount":500}', 'DELETE /items/7'];
const ANSWERS = ['200', '200', '200', '403', '403'];

// In this order: one cluster.
describeWith(
  both(both(longClusterPart(), gatewayPart), imagePart()),
  'proxies of Envoy Gateway as pods, installed by its page (issue 39, point 10)',
  ([[parts, gateway]]) => {
    const folder = mkdtempSync(join(tmpdir(), 'rg-'));
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await startCluster(parts);
      await installGateway(cluster, gateway);
      await installByGatewayPage(cluster, folder);
    });
    afterAll(async () => {
      await cluster?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    it('have Remit beside them, and not the controller', async () => {
      const names = '-o jsonpath={range.items[*]}{.spec.initContainers[*].name}{";"}{end}';
      const of = (selector: string): Promise<string> =>
        cluster.kubectl(`-n ${GATEWAY.namespace} get pods -l ${selector} ${names}`);
      const [proxies, controller] = await Promise.all([of(PROXIES), of('control-plane=envoy-gateway')]);
      expect([proxies, controller]).toEqual(['remit;', ';']);
    });

    it('decide by the policies, with SVIDs at both ends', async () => {
      const environment = { CALLS: CALLS.join('\n') };
      await startAgent(cluster, { name: 'first', program: 'agent.mjs', environment, server: GATEWAY });
      expect((await linesOf(cluster, 'first')).map((line) => line.slice(0, 3))).toEqual(ANSWERS);
    });

    it('deny nobody while they are replaced', async () => {
      const load = await startLoad(cluster, { rate: 20, server: GATEWAY });
      await cluster.kubectl(`-n ${GATEWAY.namespace} rollout restart deployment -l ${PROXIES}`);
      await proxiesReady(cluster);
      const { answers, made } = await endLoad(cluster, load);
      process.stdout.write(`proxies replaced: ${made} calls, ${JSON.stringify(answers)}\n`);
      expect(Object.keys(answers).filter((answer) => /^40[13]/.test(answer))).toEqual([]);
    });
  },
);
