import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import { longClusterPart } from '../cluster-part.ts';
import { startCluster } from '../cluster.ts';
import type { Cluster } from '../cluster.ts';
import { linesOf, startAgent } from '../demo.ts';
import { gatewayPart } from './gateway-part.ts';
import { enforceByGatewayPage, GATEWAY, installByGatewayPage, installGateway } from './gateway.ts';

const CALLS = ['GET /', 'POST /items {"amount":500}', 'DELETE /items/7', 'GET /reports/1'];

// In this order: one cluster, observed and then enforced, by the commands of the page (issue 41, point 3).
describeWith(
  both(both(longClusterPart(), gatewayPart), imagePart()),
  'Envoy Gateway in a cluster that is observed, and then enforced',
  ([[parts, gateway]]) => {
    const folder = mkdtempSync(join(tmpdir(), 'ro-'));
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await startCluster(parts);
      await installGateway(cluster, gateway);
      await installByGatewayPage(cluster, folder, '--observe --owner team-platform');
    });
    afterAll(async () => {
      await cluster?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const statuses = async (name: string): Promise<readonly string[]> => {
      const environment = { CALLS: CALLS.join('\n') };
      await startAgent(cluster, { name, program: 'agent.mjs', environment, server: GATEWAY });
      return (await linesOf(cluster, name)).map((line) => line.slice(0, 3));
    };

    it('lets calls pass that its policies would deny', async () => {
      expect(await statuses('observed')).toEqual(CALLS.map(() => '200'));
    });

    it('denies them after the commands of the page', async () => {
      await enforceByGatewayPage(cluster, folder);
      let round = 0;
      const enforced = async (): Promise<boolean> => {
        round += 1;
        return (await statuses(`enforced-${round}`)).join() === '200,403,403,403';
      };
      await until(enforced, { what: 'denials', withinMs: 300_000 });
    });
  },
);
