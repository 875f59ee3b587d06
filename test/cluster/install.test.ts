import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../parts.ts';
import { clusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { linesOf, startAgent } from './demo.ts';
import { installByPage, pageInstall, permit, prepare } from './installed.ts';
import { currentRelease, IMAGE } from './release.ts';

const CALLS = ['GET /', 'GET /items/7', 'POST /items {"amount":50}', 'POST /items {"amount":500}', 'DELETE /items/7'];
const ANSWERS = ['200', '200', '200', '403', '403'];

describeWith(both(clusterPart(), imagePart()), 'Remit in a cluster', ([parts]) => {
  const folder = mkdtempSync(join(tmpdir(), 'rc-'));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster(parts);
    await prepare(cluster, folder);
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is installed by the four commands of the page, word for word (issue 38, point 2)', async () => {
    const ran = await installByPage(cluster, folder);
    const said = ran.map(({ status, stderr, stdout }, at) => ({ command: pageInstall()[at], status, stdout, stderr }));
    expect(said).toEqual(pageInstall().map((command) => expect.objectContaining({ command, status: 0 })));
    expect(ran.at(-1)?.stdout).toMatch(/^0 errors/m);
  });

  it('permits and denies by the policies of a ConfigMap', async () => {
    await permit(cluster, folder);
    await startAgent(cluster, { name: 'first', program: 'agent.mjs', environment: { CALLS: CALLS.join('\n') } });
    expect((await linesOf(cluster, 'first')).map((line) => line.slice(0, 3))).toEqual(ANSWERS);
  });

  it('runs from the image archive, without a registry, under the name that the chart has for it (issue 38, point 2)', async () => {
    await cluster.run(['ctr', 'images', 'rm', '--sync', IMAGE]);
    await cluster.load((await currentRelease()).image);
    const container = { name: 'remit', image: IMAGE, imagePullPolicy: 'Never', args: ['--version'] };
    const metadata = { name: 'from-archive', namespace: 'default' };
    const spec = { restartPolicy: 'Never', containers: [container] };
    await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata, spec });
    const isOver = ['--for=jsonpath={.status.phase}=Succeeded', '--timeout=600s'];
    await cluster.run(['kubectl', 'wait', 'pod/from-archive', ...isOver]);
    expect(await cluster.kubectl('logs from-archive')).toContain(IMAGE.split(':').at(-1));
  });
});
