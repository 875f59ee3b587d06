import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../parts.ts';
import { until } from '../until.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { linesOf, startAgent, TOOLS } from './demo.ts';
import { toolPod } from './figures/tools.ts';
import { pageInstall, permit, prepare } from './installed.ts';
import { HAS_RANGE, securityContextConstraints, UID_RANGE } from './security-context-constraints.ts';

/** The first user of each namespace. */
const USERS = { remit: 1_000_650_000, demo: 1_000_660_000 } as const;
const IDS = 'process.getuid() + " " + process.getgroups().toSorted().join()';

// In this order: one installation.
describeWith(both(longClusterPart(), imagePart()), 'OpenShift (issue 38, point 6)', ([parts]) => {
  const folder = mkdtempSync(join(tmpdir(), 'rs-'));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster(parts);
    await cluster.apply(...securityContextConstraints);
    await prepare(cluster, folder);
    for (const [name, user] of Object.entries(USERS))
      await cluster.apply({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          name,
          annotations: { [UID_RANGE]: `${user}/10000` },
          labels: { 'pod-security.kubernetes.io/enforce': 'restricted', ...HAS_RANGE },
        },
      });
    // There nobody names a user.
    const removed = [0, 1].flatMap((container) =>
      ['runAsUser', 'runAsGroup'].map((key) => ({
        op: 'remove',
        path: `/spec/template/spec/containers/${container}/securityContext/${key}`,
      })),
    );
    const patch = ['patch', 'deployment', TOOLS.name, '--type=json', '-p', JSON.stringify(removed)];
    await cluster.run(['kubectl', '-n', TOOLS.namespace, ...patch]);
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const idsIn = (namespace: string, pod: string, container: string): Promise<string> =>
    cluster.run(['kubectl', '-n', namespace, 'exec', pod, '-c', container, '--', '/usr/bin/node', '-p', IDS]);

  it('runs on OpenShift: the authority as a user of its namespace, and injected pods with theirs beside Remit', async () => {
    const [install = '', label = '', restart = '', doctor = ''] = pageInstall();
    await cluster.run(['sh', '-c', `${install} --set openshift.enabled=true`], {
      cwd: folder,
    });
    await cluster.run(['sh', '-c', `${label} && ${restart}`]);
    await cluster.kubectl('-n demo rollout status deployment/tools');
    await permit(cluster, folder);
    const { remit, demo } = USERS;
    expect(await idsIn('remit', 'remit-authority-0', 'remit')).toBe(`${remit} 0,${remit}\n`);
    const pod = await toolPod(cluster);
    expect(await idsIn('demo', pod, 'tools')).toBe(`${demo} 0,${demo}\n`);
    expect(await idsIn('demo', pod, 'remit')).toBe(`65532 ${demo},65532\n`);
    await startAgent(cluster, {
      name: 'first',
      program: 'agent.mjs',
      environment: { CALLS: 'GET /\nDELETE /items/7' },
    });
    expect((await linesOf(cluster, 'first')).map((line) => line.slice(0, 3))).toEqual(['200', '403']);
    // Envoy has another user, and its admin socket is open to that one alone.
    const said = await cluster.tried(['sh', '-c', doctor], { cwd: folder });
    expect([said.status, said.stdout]).toEqual([3, expect.stringContaining('0 errors, 0 warnings')]);
  });

  it('refuses injected pods on OpenShift without the binding of the chart', async () => {
    await cluster.kubectl('-n demo delete rolebinding remit-nonroot');
    const { items } = JSON.parse(await cluster.kubectl('-n demo get pods -l app=tools -o json'));
    const { spec } = items[0];
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'again', namespace: 'demo' }, spec };
    const create = ['create', '--dry-run=server', '-f', '-'];
    await until(
      async () => {
        const { stderr } = await cluster.tried(['kubectl', ...create], {
          input: [{ ...pod, spec: { ...spec, nodeName: undefined } }],
        });
        return stderr.includes('unable to validate against any security context constraint');
      },
      { what: 'a pod that is refused' },
    );
  });
});
