import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../parts.ts';
import { until } from '../until.ts';
import { register } from './addons.ts';
import { configMap } from './addons/manifest.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { linesOf, startAgent, TOOLS } from './demo.ts';
import { installByPage, permit, prepare } from './installed.ts';
import { endLoad, startLoad } from './load.ts';
import { IMAGE } from './release.ts';

const PAGE = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/install/kubernetes.md'), 'utf8');
const CALLS = ['GET /', 'GET /items/7', 'POST /items {"amount":50}', 'POST /items {"amount":500}', 'DELETE /items/7'];
const ANSWERS = ['200', '200', '200', '403', '403'];
/** When sidecars have found an authority again that is ready. Before, a DNS client that asked each 30 s made that 27 s. */
const FOUND_MS = 12_000;
/** Mounts over the configuration of Remit. */
const UNCLEAN = ['/var/run/secrets/../../../etc/remit', '/etc//remit', '/etc/remit/', '/etc/./remit'];
/** Reasons of denials that only the want of an authority has. */
const NO_AUTHORITY = /task\.state-unavailable|token\.keys-unavailable/;

// In this order: one installation, used and changed.
describeWith(both(longClusterPart(), imagePart()), 'an installed Remit in a cluster', ([parts]) => {
  const folder = mkdtempSync(join(tmpdir(), 'rc-'));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster(parts);
    await prepare(cluster, folder);
    await installByPage(cluster, folder);
    await permit(cluster, folder);
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const rolledOut = async (): Promise<void> => {
    await cluster.kubectl('-n remit rollout status statefulset/remit-authority');
    await cluster.kubectl('-n demo rollout restart deployment/tools');
    await cluster.kubectl('-n demo rollout status deployment/tools');
  };

  it('goes on when the pod of its authority is deleted and has another address (issue 37, point 5)', async () => {
    const podOf = async () => {
      const path = '{.metadata.uid} {.status.podIP} {.status.conditions[?(@.type=="Ready")].status}';
      const words = ['-n', 'remit', 'get', 'pod', 'remit-authority-0', '-o', `jsonpath=${path}`];
      const [uid, address, ready] = (await cluster.run(['kubectl', ...words])).split(' ');
      return { uid, address, isReady: ready === 'True' };
    };
    const former = await podOf();
    const load = await startLoad(cluster, { rate: 20 });
    const deletedMs = Date.now();
    await cluster.kubectl('-n remit delete pod remit-authority-0 --wait=false');
    await until(
      async () => {
        const pod = await podOf().catch(() => former);
        return pod.uid !== former.uid && pod.isReady;
      },
      { what: 'a new pod of the authority', withinMs: 180_000 },
    );
    const readyMs = Date.now();
    expect((await podOf()).address).not.toBe(former.address);
    // Longer than the old cache of addresses.
    await new Promise((resolve) => setTimeout(resolve, 35_000));
    const { answers, failures, made } = await endLoad(cluster, load);
    const said = JSON.stringify({ awayMs: readyMs - deletedMs, made, answers });
    process.stdout.write(`authority deleted: ${said}\n`);
    // Other failures are those of a machine that is too slow for the load.
    const denied = failures.filter(({ answer }) => NO_AUTHORITY.test(answer));
    expect([said, denied.filter(({ atMs }) => atMs > readyMs + FOUND_MS)]).toEqual([said, []]);
    // Sidecars decide for the lease of 15 s without it.
    const [firstMs = Infinity] = denied.map(({ atMs }) => atMs);
    expect(firstMs - deletedMs).toBeGreaterThan(12_000);
  });

  it('passes `helm test` (issue 38, point 6)', async () => {
    expect(await cluster.run(['helm', 'test', 'remit', '-n', 'remit'])).toMatch(/Phase:\s+Succeeded/);
  });

  it('refuses values that no sidecar would start with, before anything has changed, and says which (issue 38, point 6)', async () => {
    const deployed = async (): Promise<readonly string[]> =>
      Promise.all([
        cluster.kubectl('-n remit get pod remit-authority-0 -o jsonpath={.metadata.uid}'),
        cluster.kubectl('-n demo get configmap remit-sidecar -o jsonpath={.data}'),
      ]);
    const before = await deployed();
    const chart = 'oci://ghcr.io/remit-dev/charts/remit';
    const words = ['helm', 'upgrade', 'remit', chart, '-n', 'remit', '--reset-then-reuse-values'];
    const { status } = await cluster.tried([...words, '--set-json', 'sidecar.config={"ledgers":{}}']);
    expect(status).not.toBe(0);
    expect(await cluster.kubectl('-n remit logs job/remit-check --all-containers')).toContain('`ledgers`');
    expect(await deployed()).toEqual(before);
  });

  it('has an SVID that no other container of its pod can fetch, as the page says (issue 37, point 8)', async () => {
    const own = `${TOOLS.id}/remit`;
    const selectors = ['k8s:ns:demo', 'k8s:sa:default', 'k8s:container-name:remit'];
    await register(cluster, [{ id: own, selectors, hint: 'remit' }]);
    const [, values = ''] = /```yaml\n(authority:\n {2}sidecars:[^]*?)```/.exec(PAGE) ?? [];
    writeFileSync(join(folder, 'own-svid.yaml'), values);
    const chart = /helm upgrade remit (\S+)/.exec(PAGE)?.[1] ?? '';
    await cluster.run(
      ['helm', 'upgrade', 'remit', chart, '-n', 'remit', '--reset-then-reuse-values', '-f', 'own-svid.yaml'],
      {
        cwd: folder,
      },
    );
    await rolledOut();
    expect(await cluster.kubectl('-n remit exec remit-authority-0 -- remit fleet')).toContain(`${own} `);
    // A tool server that was taken over asks for it.
    const words = `--workload-api unix:/spiffe-workload-api/spire-agent.sock --svid-id ${own} --intent /tools/intent.yaml`;
    const run = `/usr/bin/remit run --issuer https://remit-authority.remit.svc:9472 ${words} -- /usr/bin/node -v`;
    const inTools = '-n demo exec deployment/tools -c tools --'.split(' ');
    const asked = await cluster.tried(['kubectl', ...inTools, ...run.split(' ')]);
    expect([asked.status === 0, asked.stderr]).toEqual([false, expect.stringContaining(own)]);
    await startAgent(cluster, { name: 'second', program: 'agent.mjs', environment: { CALLS: CALLS.join('\n') } });
    expect((await linesOf(cluster, 'second')).map((line) => line.slice(0, 3))).toEqual(ANSWERS);
  });

  it('is kept from mounts over its configuration that a kubelet makes, by paths that are not clean (issue 37, point 9)', async () => {
    const volume = { name: 'evil', configMap: { name: 'evil' } };
    const hostile = UNCLEAN.map((mountPath, at) => ({ name: `hostile-${at}`, mount: { name: 'evil', mountPath } }));
    // In a namespace without Remit: the kubelet cleans the path, and mounts there.
    await cluster.apply(
      configMap('default', 'evil', { 'remit.yaml': 'evil' }),
      ...hostile.map(({ mount, name }) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: {
          restartPolicy: 'Never',
          containers: [
            {
              name: 'remit',
              image: IMAGE,
              command: ['/usr/bin/node', '-p', 'fs.readFileSync("/etc/remit/remit.yaml", "utf8")'],
              volumeMounts: [mount],
            },
          ],
          volumes: [volume],
        },
      })),
    );
    for (const { name } of hostile) {
      const isOver = ['--for=jsonpath={.status.phase}=Succeeded', '--timeout=600s'];
      await cluster.run(['kubectl', 'wait', `pod/${name}`, ...isOver]);
      expect(await cluster.kubectl(`logs ${name}`)).toBe('evil\n');
    }
    // An injected pod with such a mount, as somebody would send it if the policy did not work, which replaces the container.
    const { items } = JSON.parse(await cluster.kubectl('-n demo get pods -l app=tools -o json'));
    const { metadata, spec } = items[0];
    const podWith = (name: string, mounts: readonly object[]) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'demo', labels: metadata.labels },
      spec: {
        ...spec,
        nodeName: undefined,
        initContainers: spec.initContainers.map((one: { readonly name: string; readonly volumeMounts: object[] }) =>
          one.name === 'remit' ? { ...one, volumeMounts: [...one.volumeMounts, ...mounts] } : one,
        ),
        volumes: [...spec.volumes, volume],
      },
    });
    const tried = (pod: object) =>
      cluster.tried(['kubectl', 'create', '--dry-run=server', '-f', '-'], { input: [pod] });
    await cluster.kubectl('delete mutatingadmissionpolicybindings --all');
    await until(
      async () =>
        (await tried({ ...podWith('plain', []), spec: { containers: spec.containers, volumes: spec.volumes } }))
          .status !== 0,
      {
        what: 'an API server that injects no more',
      },
    );
    expect(await tried(podWith('honest', []))).toMatchObject({ status: 0 });
    for (const { mount, name } of hostile)
      expect([mount, await tried(podWith(name, [mount]))]).toEqual([
        mount,
        expect.objectContaining({
          status: 1,
          stderr: expect.stringContaining('the native sidecar `remit` must be the one of the policy remit-inject'),
        }),
      ]);
  });
});
