import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import { SERVER_SOCKET, SPIRE_NAMESPACE } from '../addons/spire.ts';
import { longClusterPart } from '../cluster-part.ts';
import { startTools, TOOLS } from '../demo.ts';
import { installByPage, permit } from '../installed.ts';
import { NODE_NAME } from '../machine/layout.ts';
import { IMAGE } from '../release.ts';
import { startLife } from './life.ts';
import type { Life } from './life.ts';

// The image is built once, images are pulled, and pods are made again many times.
jest.setTimeout(1_800_000);

const MISSING = /actions\.yaml/;
const UNKNOWN = 'unregistered';
/** Fills the volumes of the node from a pod: as far as it may, and beyond that once the kubelet knows whose they are. */
const FILL = `
const fs = require('node:fs');
const file = fs.openSync('/full/file', 'w');
const write = (pieces) => { for (let n = 0; n < pieces; n++) fs.writeSync(file, Buffer.alloc(1 << 20)); };
write(500);
setTimeout(write, 45000, 420);
setInterval(() => {}, 1000);
`;

// In this order: one installation, and what happens to pods with a sidecar and to their node, each under load.
describeWith(both(longClusterPart(), imagePart()), 'the life of pods with a sidecar (issue 38, point 4)', ([parts]) => {
  let life: Life;
  beforeAll(async () => {
    life = await startLife(parts);
    await installByPage(life.cluster, life.folder);
    await permit(life.cluster, life.folder);
  });
  afterAll(async () => {
    await life?.close();
  });

  it('loses calls in rollouts without the preStop sleep of Envoy, and none with it (point 3)', async () => {
    const rollouts = async (): Promise<void> => {
      for (let n = 0; n < 3; n += 1) await life.restartTools();
    };
    await startTools(life.cluster, { replicas: 2, hasPreStop: false });
    await life.toolsReady();
    const without = await life.event('three rollouts of tool servers without `preStop`', rollouts, {
      answers: /^50[23] /,
      why: 'Envoy ends while its Service still leads to it',
    });
    expect(without).toEqual({});
    expect(life.lost).toBeGreaterThan(0);
    await startTools(life.cluster, { replicas: 2 });
    await life.toolsReady();
    expect(await life.event('three rollouts of tool servers', rollouts)).toEqual({});
  });

  it('loses no call when the node is drained and uncordoned', async () => {
    const { cluster } = life;
    await cluster.apply({
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'tools', namespace: TOOLS.namespace },
      spec: { minAvailable: 1, selector: { matchLabels: { app: TOOLS.name } } },
    });
    const drain = `drain ${NODE_NAME} --pod-selector=app=tools --ignore-daemonsets --delete-emptydir-data`;
    const lost = await life.event('node drained and uncordoned', async () => {
      const former = await life.toolPods();
      const drained = life.waitFor(drain);
      await until(async () => (await cluster.kubectl('-n demo get pods -l app=tools')).includes('Pending'), {
        what: 'a pod that was evicted',
      });
      // There is no other node: the budget keeps the second pod until the first has a successor.
      await cluster.kubectl(`uncordon ${NODE_NAME}`);
      await drained;
      await life.toolsReady();
      expect((await life.toolPods()).filter((pod) => former.includes(pod))).toEqual([]);
    });
    expect(lost).toEqual({});
  });

  it('loses no call when the policies in a ConfigMap change', async () => {
    const { cluster, folder } = life;
    appendFileSync(
      join(folder, 'policies/tools.cedar'),
      '\n@id("life")\nforbid (principal, action == Remit::Action::"tools.create", resource);\n',
    );
    const lost = await life.event('ConfigMap of policies changed', async () => {
      for (const namespace of ['remit', 'demo']) {
        const create = `kubectl -n ${namespace} create configmap remit-acme --from-file=policies/ --dry-run=client -o yaml`;
        await cluster.run(['sh', '-c', `${create} | kubectl replace -f -`], { cwd: folder });
      }
      // The kubelet looks at a pod that changes at once, and at others each minute.
      await cluster.kubectl('-n demo annotate pods -l app=tools --overwrite acme.test/changed=1');
      const sets = async (): Promise<readonly number[]> =>
        Promise.all(
          (await life.toolPods()).map(
            async (pod) => (await cluster.kubectl(`-n demo logs ${pod} -c remit`)).split('"policies-loaded"').length,
          ),
        );
      await until(async () => (await sets()).every((count) => count > 2), {
        what: 'sidecars with the changed policies',
        withinMs: 180_000,
      });
    });
    expect(lost).toEqual({});
  });

  it('loses calls of a pod alone, for seconds, when its sidecar is out of memory', async () => {
    const { cluster } = life;
    const [pod = ''] = await life.toolPods();
    // Many small processes in its container: the kernel ends the largest one, which is Remit.
    const child = 'globalThis.kept = Buffer.alloc(12 << 20, 1); setInterval(() => {}, 1000)';
    const fill = `for (let n = 0; n < 40; n++) require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}]); setInterval(() => {}, 1000)`;
    const lost = await life.event(
      'sidecar out of memory',
      async () => {
        await cluster.tried(['kubectl', '-n', 'demo', 'exec', pod, '-c', 'remit', '--', '/usr/bin/node', '-e', fill]);
        await until(async () => (await sidecarOf(pod))[1] === '1', { what: 'a sidecar that was ended' });
        await life.waitFor(`-n demo wait ${pod} --for=condition=Ready`);
      },
      { answers: /^503 /, why: 'the Envoy of that pod has nobody to ask until Remit has started again' },
    );
    expect((await sidecarOf(pod)).slice(1)).toEqual(['1', 'OOMKilled']);
    expect(lost).toEqual({});
  });

  /** Whether it is ready, its restarts, and how it ended last. */
  const sidecarOf = async (pod: string): Promise<readonly string[]> => {
    const sidecar = '.status.initContainerStatuses[?(@.name=="remit")]';
    const path = ['ready', 'restartCount', 'lastState.terminated.reason'].map((one) => `{${sidecar}.${one}}`);
    return (await life.cluster.run(['kubectl', '-n', 'demo', 'get', pod, '-o', `jsonpath=${path.join(' ')}`])).split(
      ' ',
    );
  };

  it.each([
    {
      event: 'rollout whose policies are missing, and back',
      template: { metadata: { annotations: { 'remit.dev/policy': 'remit-nowhere' } } },
      back: { metadata: { annotations: { 'remit.dev/policy': null } } },
      says: MISSING,
    },
    {
      event: 'rollout whose sidecar gets no SVID, and back',
      template: { spec: { serviceAccountName: UNKNOWN } },
      back: { spec: { serviceAccountName: 'default', serviceAccount: 'default' } },
      says: /SVID/,
    },
  ])('loses no call in a $event: it waits, and kubectl describe says why', async ({ back, event, says, template }) => {
    const { cluster } = life;
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: UNKNOWN, namespace: TOOLS.namespace },
    });
    let described = '';
    const lost = await life.event(event, async () => {
      const former = await life.toolPods();
      await life.patchTools(template);
      await until(
        async () => {
          const fresh = (await life.toolPods()).find((pod) => !former.includes(pod));
          if (fresh !== undefined) described = await cluster.kubectl(`-n demo describe ${fresh}`);
          return says.test(described);
        },
        { what: 'a sidecar that says why', withinMs: 240_000 },
      ).catch(() => null);
      await life.patchTools(back);
      await life.toolsReady();
    });
    expect(described).toMatch(says);
    expect(lost).toEqual({});
  });

  it.each(['agent', 'server'])('loses no call when the %s of SPIRE is made again', async (which) => {
    const kind = which === 'agent' ? 'daemonset' : 'deployment';
    const lost = await life.event(`pod of the SPIRE ${which} deleted`, async () => {
      await life.cluster.kubectl(`-n ${SPIRE_NAMESPACE} delete pod -l app=spire-${which}`);
      await life.waitFor(`-n ${SPIRE_NAMESPACE} rollout status ${kind}/spire-${which}`);
    });
    expect(lost).toEqual({});
  });

  /** What a command of the server's CA says. */
  const authorities = async (words: string): Promise<Readonly<Record<string, { readonly authority_id: string }>>> => {
    const command = `/spire-server localauthority x509 ${words} -socketPath ${SERVER_SOCKET} -output json`;
    return JSON.parse(await life.cluster.kubectl(`-n ${SPIRE_NAMESPACE} exec deployment/spire-server -- ${command}`));
  };
  const bundle = (): Promise<string> =>
    life.cluster.kubectl(`-n ${SPIRE_NAMESPACE} get configmap spire-bundle -o jsonpath={.data}`);
  /** How often a sidecar has taken SVID and bundles. */
  const updates = async (): Promise<readonly number[]> =>
    Promise.all(
      (await life.toolPods()).map(
        async (pod) => (await life.cluster.kubectl(`-n demo logs ${pod} -c remit`)).split('svid-renewed').length,
      ),
    );

  it('loses no call when the CA of SPIRE is rotated: prepared, activated, tainted and revoked', async () => {
    const former = await bundle();
    const lost = await life.event('CA of SPIRE rotated', async () => {
      const { prepared_authority } = await authorities('prepare');
      await authorities(`activate -authorityID ${prepared_authority?.authority_id}`);
      // Everybody has the new CA before anybody has a certificate of it: agents look each 5 s.
      await new Promise((done) => setTimeout(done, 12_000));
      const { old } = await authorities('show');
      const before = await updates();
      // Agents fetch new certificates for all.
      await authorities(`taint -authorityID ${old?.authority_id}`);
      await until(async () => (await updates()).every((count, at) => count > (before[at] ?? 0)), {
        what: 'sidecars with certificates of the new CA',
      });
      await new Promise((done) => setTimeout(done, 10_000));
      await authorities(`revoke -authorityID ${old?.authority_id}`);
      await until(async () => (await bundle()) !== former, { what: 'a bundle without the former CA' });
      await new Promise((done) => setTimeout(done, 10_000));
    });
    expect(lost).toEqual({});
  });

  it('loses no call under disk pressure of the node, which ends the pod that filled the disk', async () => {
    const { cluster } = life;
    const before = (await life.toolPods()).toSorted();
    const isPressed = async (): Promise<boolean> =>
      (await cluster.run([
        'kubectl',
        'get',
        'node',
        NODE_NAME,
        '-o',
        'jsonpath={.status.conditions[?(@.type=="DiskPressure")].status}',
      ])) === 'True';
    const lost = await life.event('disk pressure of the node', async () => {
      await cluster.apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'hog', namespace: 'default' },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 0,
          containers: [
            {
              name: 'hog',
              image: IMAGE,
              command: ['/usr/bin/node', '-e', FILL],
              volumeMounts: [{ name: 'full', mountPath: '/full' }],
              securityContext: { runAsUser: 0 },
            },
          ],
          volumes: [{ name: 'full', emptyDir: {} }],
        },
      });
      await until(isPressed, { what: 'a node under disk pressure', withinMs: 180_000 });
      await until(async () => !(await isPressed()), { what: 'a node with room again', withinMs: 180_000 });
    });
    expect(await cluster.kubectl('get pod hog -o jsonpath={.status.reason}')).toBe('Evicted');
    expect((await life.toolPods()).toSorted()).toEqual(before);
    expect(lost).toEqual({});
  });
});
