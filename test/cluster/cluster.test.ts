import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { IMAGES } from '../parts/cluster.ts';
import { describeWith } from '../parts.ts';
import { until } from '../until.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';

/** Folders and settings of the machine that programs of a cluster make or change elsewhere. */
const MADE = ['/var/lib/kubelet', '/var/lib/containerd', '/var/log/pods', '/var/log/containers', '/run/containerd'];
const SETTINGS = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'];

/** What of a cluster can be seen from outside. */
const tracesOf = (folder: string) => ({
  folder: existsSync(folder),
  mounts: readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder)),
  groups: execFileSync('find', ['/sys/fs/cgroup', '-maxdepth', '2', '-name', folder.split('/').at(-1) ?? '']).length,
  processes: readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(folder)),
  link: existsSync('/sys/class/net/node0'),
  made: MADE.filter((path) => existsSync(path)),
  settings: SETTINGS.map((name) => readFileSync(join('/proc/sys', name), 'utf8')),
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It has ended meanwhile.
    return '';
  }
}

const NOWHERE = tracesOf('/no-cluster');

describeWith(longClusterPart(), 'a cluster', (parts) => {
  let cluster: Cluster;
  beforeAll(async () => {
    const started = performance.now();
    const seconds = (): string => ((performance.now() - started) / 1_000).toFixed(1);
    const say = (line: string): void => void process.stdout.write(`after ${seconds()} s: ${line}\n`);
    say(`a start at a load of ${loadavg()[0]?.toFixed(1)}`);
    cluster = await startCluster(parts, { say });
  });
  afterAll(async () => {
    await cluster?.close();
  });

  it('runs pods that have names of Services, a volume, and an SVID of SPIRE', async () => {
    expect(await cluster.kubectl('get nodes --no-headers')).toMatch(/^node-1 +Ready/);
    const phases = await cluster.kubectl('get pods -A -o jsonpath={.items[*].status.phase}');
    expect(new Set(phases.split(' '))).toEqual(new Set(['Running']));
    const dns = await cluster.run(['getent', 'hosts', 'spire-server.spire.svc.cluster.local']);
    expect(dns).toContain('10.96.0.11');
    const agents = await cluster.run(
      ['kubectl', '-n', 'spire', 'exec', 'deployment/spire-server', '--', '/spire-server', 'entry', 'show'].concat([
        '-socketPath',
        '/run/spire/server.sock',
      ]),
    );
    expect(agents).toContain('spiffe://acme.test/node');
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'mounts', namespace: 'default' },
      spec: {
        restartPolicy: 'Never',
        containers: [
          {
            name: 'agent',
            image: IMAGES.spireAgent,
            args: ['api', 'watch', '-socketPath', '/spiffe/spire-agent.sock'],
            volumeMounts: [{ name: 'spiffe', mountPath: '/spiffe', readOnly: true }],
          },
        ],
        volumes: [{ name: 'spiffe', csi: { driver: 'csi.spiffe.io', readOnly: true } }],
      },
    });
    await cluster.kubectl('wait pod/mounts --for=condition=Ready --timeout=600s');
  });

  it('changes nothing of the machine while it runs, but for its control groups and its folder', () => {
    const { folder } = cluster.layout;
    const seen = tracesOf(folder);
    expect({ ...seen, processes: [], groups: 0 }).toEqual({ ...NOWHERE, folder: true });
    expect(seen.processes).not.toEqual([]);
  });

  it('is gone without a trace when it is closed', async () => {
    const { folder } = cluster.layout;
    await cluster.close();
    expect(tracesOf(folder)).toEqual(NOWHERE);
  });

  it('is gone without a trace when what started it is killed', async () => {
    const starter = spawn(process.execPath, [
      '--no-warnings',
      resolve(import.meta.dirname, 'run.ts'),
      'run',
      'sleep',
      '600',
    ]);
    let said = '';
    for (const stream of [starter.stdout, starter.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
    await until(() => said.includes('SPIRE: ready') || starter.exitCode !== null, {
      withinMs: 240_000,
      what: 'a cluster',
    });
    const [, folder = ''] = /folder: (\S+)/.exec(said) ?? [];
    expect([said, existsSync(folder)]).toEqual([expect.stringContaining('SPIRE: ready'), true]);
    starter.kill('SIGKILL');
    await until(() => !existsSync(folder), { what: `the end of ${folder}` });
    expect(tracesOf(folder)).toEqual(NOWHERE);
  });
});
