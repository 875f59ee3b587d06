import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { configFrom, configProblemText } from '../../src/core/config/config.ts';
import { scratchFolder } from '../e2e/domain.ts';
import { pageCommands } from '../pages/page-commands.ts';
import { both, describeWith, helmPart, kubernetesPart } from '../parts.ts';
import { until } from '../until.ts';
import { endJob } from './ended-job.ts';
import { startKube } from './kube.ts';
import type { Kube } from './kube.ts';

const root = resolve(import.meta.dirname, '../..');
const container = { name: 'tools', image: 'tools', securityContext: {} };

describeWith(both(kubernetesPart(), helmPart()), 'the quick start on Kubernetes', ([binaries, [helm]]) => {
  let kube: Kube;
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  beforeAll(async () => {
    scratch = await scratchFolder('rk-');
    kube = await startKube(binaries);
  });
  afterAll(async () => {
    await kube?.close();
    await scratch?.remove();
  });

  it('puts an authority into the cluster, and Remit into each new pod of the namespace', async () => {
    const { folder } = scratch;
    const bin = join(folder, 'bin');
    await mkdir(bin);
    const remit = `#!/bin/sh\nexec '${process.execPath}' --no-warnings '${join(root, 'dist/main.js')}' "$@"\n`;
    await writeFile(join(bin, 'remit'), remit, { mode: 0o755 });
    await symlink(helm, join(bin, 'helm'));
    await symlink(join(root, 'deploy'), join(folder, 'deploy'));
    const path = [bin, dirname(binaries.kubectl), process.env['PATH'] ?? ''].join(delimiter);
    // What the page begins with: SPIRE's driver, and tool servers.
    await kube.apply({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSIDriver',
      metadata: { name: 'csi.spiffe.io' },
      spec: {},
    });
    await kube.namespace('demo');
    const labels = { app: 'tools' };
    const template = { metadata: { labels }, spec: { containers: [container] } };
    await kube.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'tools', namespace: 'demo' },
      spec: { selector: { matchLabels: labels }, template },
    });

    const commands = pageCommands('deploy/guide/start/quick-starts.md', 'Kubernetes');
    expect(commands).toHaveLength(4);
    // The chart asks by a Job whether its values are sound, which nothing runs here.
    const checked = until(
      () =>
        endJob(kube, { namespace: 'remit', name: 'remit-check' }, 'Complete').then(
          () => true,
          () => false,
        ),
      { what: 'the Job that checks the values' },
    );
    for (const command of commands)
      await promisify(execFile)('sh', ['-c', command], { cwd: folder, env: { ...kube.environment, PATH: path } });

    await checked;

    const environment = { SPIFFE_ENDPOINT_SOCKET: 'unix:///spiffe-workload-api/spire-agent.sock' };
    const place = { file: 'remit.yaml', folder: '/etc/remit', environment };
    for (const [namespace, kind] of [
      ['remit', 'statefulset,service,serviceaccount,networkpolicy'],
      ['demo', 'deployment'],
    ] as const)
      expect(await kube.kubectl(['get', kind, '-n', namespace, '-o', 'name'])).not.toBe('');
    const config = await kube.kubectl([
      'get',
      'cm',
      'remit-sidecar',
      '-n',
      'demo',
      '-o',
      String.raw`jsonpath={.data.remit\.yaml}`,
    ]);
    const read = configFrom(config, place);
    expect('problems' in read ? read.problems.map(configProblemText) : []).toEqual([]);
    expect(config).toContain('127.0.0.1:9470');
    const policies: unknown = JSON.parse(
      await kube.kubectl(['get', 'cm', 'remit-policies', '-n', 'demo', '-o', 'json']),
    );
    expect(Object.keys((policies as { readonly data: object }).data)).toEqual(
      expect.arrayContaining(['actions.yaml', 'base.cedarschema', 'entities.cedarentities.json', 'tools.cedar']),
    );
    // What the controller makes of the Deployment. The API server takes a new policy up within seconds.
    const annotations = '{.spec.template.metadata.annotations}';
    const restarted = await kube.kubectl(['get', 'deployment', 'tools', '-n', 'demo', '-o', `jsonpath=${annotations}`]);
    expect(restarted).toContain('kubectl.kubernetes.io/restartedAt');
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'tools', namespace: 'demo', labels },
      spec: template.spec,
    };
    await until(async () => {
      const made = await kube.tried(['create', '--dry-run=server', '-f', '-', '-o', 'json'], { input: [pod] });
      return made.stdout.includes('"name": "remit"') ? true : undefined;
    });
  });
});
