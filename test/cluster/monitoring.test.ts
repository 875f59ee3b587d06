import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart, prometheusOperatorPart, prometheusPart } from '../parts.ts';
import { alertRules } from '../prometheus/dashboards.ts';
import { until } from '../until.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { toolPod } from './figures/tools.ts';
import { pageInstall, prepare } from './installed.ts';
import { generateConfiguration, installMonitoringKinds, startPrometheus } from './monitoring.ts';

const parts = both(both(longClusterPart(), imagePart()), both(prometheusPart(), prometheusOperatorPart()));

describeWith(parts, 'monitoring of injected pods (issue 38, point 6)', ([[found], [{ prometheus }, operator]]) => {
  const folder = mkdtempSync(join(tmpdir(), 'rm-'));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster(found);
    await prepare(cluster, folder);
    await installMonitoringKinds(cluster);
    const [install = '', label = '', restart = ''] = pageInstall();
    await cluster.run(['sh', '-c', `${install} --set monitoring.enabled=true && ${label} && ${restart}`], {
      cwd: folder,
    });
    await cluster.kubectl('-n demo rollout status deployment/tools');
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('has injected pods scraped, with the job that its alerts name, by what the Prometheus operator makes of its objects', async () => {
    const configuration = await generateConfiguration(cluster, operator);
    const server = await startPrometheus(cluster, { prometheus, configuration });
    try {
      const pod = await toolPod(cluster);
      const series = await until(
        async () => {
          const { result } = (await server.get(
            `query?query=${encodeURIComponent('remit_build_info * on (instance) group_left () (up == 1)')}`,
          )) as { readonly result: readonly { readonly metric: Readonly<Record<string, string>> }[] };
          return result.length > 0 ? result : undefined;
        },
        { what: 'metrics of a sidecar' },
      );
      expect(series.map(({ metric }) => metric)).toEqual([
        expect.objectContaining({ job: 'remit', namespace: 'demo', pod, container: 'remit' }),
      ]);
      const { activeTargets } = (await server.get('targets?state=active')) as {
        readonly activeTargets: readonly { readonly lastError: string }[];
      };
      expect(activeTargets.map(({ lastError }) => lastError)).toEqual(['']);
      const names = async () => {
        const { groups } = (await server.get('rules')) as {
          readonly groups: readonly { readonly rules: readonly { readonly name: string; readonly health: string }[] }[];
        };
        return groups.flatMap(({ rules }) => rules);
      };
      await until(async () => (await names()).every(({ health }) => health !== 'unknown'), { what: 'rules that ran' });
      expect(Object.fromEntries((await names()).map(({ health, name }) => [name, health]))).toEqual(
        Object.fromEntries(alertRules.map(({ alert }) => [alert, 'ok'])),
      );
    } finally {
      server.end();
    }
  });
});
