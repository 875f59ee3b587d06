import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart, postgresPart } from '../parts.ts';
import { until } from '../until.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { DATABASE_VALUES, startDatabase } from './database.ts';
import type { Database } from './database.ts';
import { pageInstall, permit, prepare } from './installed.ts';
import { endLoad, startLoad } from './load.ts';
import { startMetricsApi } from './metrics-api.ts';
import type { MetricsApi } from './metrics-api.ts';

const PODS = [0, 1, 2].map((at) => `remit-authority-${at}`);
const VALUES = {
  autoscaling: { enabled: true, minReplicas: 1, maxReplicas: PODS.length },
  authority: { database: DATABASE_VALUES },
};

const parts = both(both(longClusterPart(), imagePart()), postgresPart());

/** An answer of Envoy whose server had no processor time for 15 s. */
const SLOW = /^504 forward\.upstream-slow/;

// In this order.
describeWith(parts, 'autoscaling of authorities (issue 38, point 6)', ([[found], binaries]) => {
  const folder = mkdtempSync(join(tmpdir(), 'ra-'));
  let cluster: Cluster;
  let database: Database;
  let metrics: MetricsApi;
  beforeAll(async () => {
    cluster = await startCluster(found);
    await prepare(cluster, folder);
    database = await startDatabase(cluster, binaries);
    metrics = await startMetricsApi(cluster, { namespace: 'remit', pods: PODS });
    writeFileSync(join(folder, 'values.yaml'), JSON.stringify(VALUES));
    const [install = '', label = '', restart = ''] = pageInstall();
    await cluster.run(['sh', '-c', `${install} -f values.yaml && ${label} && ${restart}`], { cwd: folder });
    await cluster.kubectl('-n demo rollout status deployment/tools');
    await permit(cluster, folder);
  });
  afterAll(async () => {
    metrics?.close();
    await database?.close();
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const replicas = () => cluster.kubectl('-n remit get statefulset remit-authority -o jsonpath={.spec.replicas}');

  it('adds authorities, one after the other ready, when they take more than they request', async () => {
    expect(await replicas()).toBe('1');
    // Of 250 m that are requested, of which 70 % are the target.
    metrics.say('600m');
    await until(async () => (await replicas()) === String(PODS.length), {
      what: 'more authorities',
      withinMs: 300_000,
    });
    await cluster.kubectl('-n remit rollout status statefulset/remit-authority');
    const active = '{.status.conditions[?(@.type=="ScalingActive")].status}';
    const words = ['-n', 'remit', 'get', 'hpa', 'remit-authority', '-o', `jsonpath=${active}`];
    expect(await cluster.run(['kubectl', ...words])).toBe('True');
  });

  it('takes them away again when they take less, and no call is lost', async () => {
    // At once, and not after the five minutes of Kubernetes.
    const behavior = { scaleDown: { stabilizationWindowSeconds: 0 } };
    const patch = ['patch', 'hpa', 'remit-authority', '--type=merge', '-p', JSON.stringify({ spec: { behavior } })];
    const load = await startLoad(cluster, { rate: 5 });
    await cluster.run(['kubectl', '-n', 'remit', ...patch]);
    metrics.say('1m');
    await until(async () => (await replicas()) === '1', { what: 'fewer authorities', withinMs: 300_000 });
    for (const pod of PODS.slice(1)) await cluster.kubectl(`-n remit wait pod/${pod} --for=delete --timeout=600s`);
    const { answers, failures, made } = await endLoad(cluster, load);
    process.stdout.write(`| authorities taken away, 3 to 1 | ${made} calls | ${JSON.stringify(answers)} |\n`);
    expect(failures.filter(({ answer }) => !SLOW.test(answer))).toEqual([]);
    expect(answers['200']).toBeGreaterThan(0);
  });
});
