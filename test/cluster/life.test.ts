import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { clusterProgramsFolder } from '../parts/cluster.ts';
import { both, describeWith, imagePart } from '../parts.ts';
import { until } from '../until.ts';
import { register } from './addons.ts';
import { longClusterPart } from './cluster-part.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { startTools, TOOLS } from './demo.ts';
import { installByPage, permit, prepare } from './installed.ts';
import { endLoad, startLoad } from './load.ts';
import { NODE_NAME } from './machine/layout.ts';
import { IMAGE } from './release.ts';

// The image is built once, images are pulled, and pods are made again many times.
jest.setTimeout(900_000);

const CHART = resolve(import.meta.dirname, '../../deploy/chart');
/** The same image under another name, as the next release has one. */
const NEXT = 'next';
/** Agents, each with connections of its own. */
const AGENTS = 3;
const RATE_OF_EACH = 7;
/** How long the load goes on once an event is over. */
const AFTER_MS = 3_000;
/** An answer of Envoy whose server had no processor time for 15 s; no event has it. */
const SLOW = /^504 forward\.upstream-slow/;
/** Why calls may be lost while the one authority is away: a lease that ends, or a token that a sidecar has not seen. */
const NO_AUTHORITY = /task\.state-unavailable|token\.keys-unavailable/;
/** The Remit of a pod is gone, and its Envoy has nobody to ask. */
const NO_REMIT = /^503 /;
const TIMEOUT = '--timeout=170s';
const MISSING = /actions\.yaml/;

/** A row of a table of Markdown. */
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |\n`;

// In this order: one installation, and what happens to it in its life, each under load.
describeWith(both(longClusterPart(), imagePart()), 'the life of a cluster (issue 38, point 4)', ([parts]) => {
  const folder = mkdtempSync(join(tmpdir(), 'rl-'));
  let former = 0;
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster(parts);
    await prepare(cluster, folder, { replicas: 2 });
    await installByPage(cluster, folder);
    await permit(cluster, folder);
    const next = IMAGE.replace(/:[^:]*$/, `:${NEXT}`);
    process.stdout.write(
      row(['event', 'seconds', 'calls', 'lost', 'by which answer', 'a second or more']) +
        row(Array.from({ length: 6 }, () => '---')),
    );
    await cluster.run([join(clusterProgramsFolder, 'registry'), 'push', join(cluster.layout.state, 'layout'), next]);
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const waitFor = (words: string): Promise<string> => cluster.kubectl(`${words} ${TIMEOUT}`);
  const authorityReady = () => waitFor('-n remit rollout status statefulset/remit-authority');
  const toolsReady = () => waitFor('-n demo rollout status deployment/tools');
  const restartTools = async (): Promise<void> => {
    await cluster.kubectl('-n demo rollout restart deployment/tools');
    await toolsReady();
  };
  const helm = (words: string) => cluster.tried(['helm', ...words.split(' ')]);
  const upgraded = async (values: string): Promise<void> => {
    const { status, stderr } = await helm(`upgrade remit ${CHART} -n remit --reuse-values ${values}`);
    expect([status, stderr]).toEqual([0, stderr]);
  };
  /** The revision that is in force. */
  const deployed = async (): Promise<number> => {
    const history: readonly { readonly revision: number; readonly status: string }[] = JSON.parse(
      (await helm('history remit -n remit -o json')).stdout,
    );
    return history.findLast(({ status }) => status === 'deployed')?.revision ?? 0;
  };
  const toolPods = async (): Promise<readonly string[]> =>
    (await cluster.kubectl('-n demo get pods -l app=tools -o name')).trim().split('\n');

  const nameTheirPolicies = async (policy: string | null): Promise<void> => {
    const change = { spec: { template: { metadata: { annotations: { 'remit.dev/policy': policy } } } } };
    await cluster.run(['kubectl', '-n', 'demo', 'patch', 'deployment', 'tools', '-p', JSON.stringify(change)]);
  };

  /**
   * Makes calls while something happens. Returns what calls had in place of 200, as an agent under `remit run` sees it: calls that could not be
   * decided were repeated by then, and are among those of a second or more. Answers of a machine that is too slow do not count.
   */
  async function underLoad(event: string, happens: () => Promise<unknown>): Promise<Record<string, number>> {
    const loads = await Promise.all(Array.from({ length: AGENTS }, () => startLoad(cluster, { rate: RATE_OF_EACH })));
    const startedMs = Date.now();
    let results;
    try {
      await happens();
      await new Promise((done) => setTimeout(done, AFTER_MS));
    } finally {
      results = await Promise.all(loads.map((load) => endLoad(cluster, load)));
      await cluster.kubectl('-n agents delete pods --all --wait=false');
    }
    const seconds = Math.round((Date.now() - startedMs) / 1_000);
    const lost: Record<string, number> = {};
    for (const [answer, count] of results.flatMap(({ answers }) => Object.entries(answers)))
      if (answer !== '200' && !SLOW.test(answer)) lost[answer] = (lost[answer] ?? 0) + count;
    const calls = results.reduce((sum, { made }) => sum + made, 0);
    const count = Object.values(lost).reduce((sum, each) => sum + each, 0);
    const answers = Object.entries(lost).map(([answer, each]) => `${each} × ${answer}`);
    const late = results.reduce((sum, each) => sum + each.late, 0);
    process.stdout.write(row([event, seconds, calls, count, answers.join(', '), late]));
    return lost;
  }

  it('loses no call in a rollout of tool servers', async () => {
    expect(await underLoad('rollout of tool servers', restartTools)).toEqual({});
  });

  it('loses no call when the node is drained and uncordoned', async () => {
    await cluster.apply({
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'tools', namespace: TOOLS.namespace },
      spec: { minAvailable: 1, selector: { matchLabels: { app: TOOLS.name } } },
    });
    const drain = `drain ${NODE_NAME} --pod-selector=app=tools --ignore-daemonsets --delete-emptydir-data`;
    const lost = await underLoad('node drained and uncordoned', async () => {
      const former = await toolPods();
      const drained = waitFor(drain);
      await until(async () => (await cluster.kubectl('-n demo get pods -l app=tools')).includes('Pending'), {
        what: 'a pod that was evicted',
      });
      // There is no other node: the budget keeps the second pod until the first has a successor.
      await cluster.kubectl(`uncordon ${NODE_NAME}`);
      await drained;
      await toolsReady();
      expect((await toolPods()).filter((pod) => former.includes(pod))).toEqual([]);
    });
    expect(lost).toEqual({});
  });

  it.each(['agent', 'server'])('loses no call when the %s of SPIRE is made again', async (which) => {
    const kind = which === 'agent' ? 'daemonset' : 'deployment';
    const lost = await underLoad(`SPIRE ${which} deleted`, async () => {
      await cluster.kubectl(`-n spire delete pod -l app=spire-${which}`);
      await waitFor(`-n spire rollout status ${kind}/spire-${which}`);
    });
    expect(lost).toEqual({});
  });

  it('loses no call when the policies in a ConfigMap change', async () => {
    appendFileSync(
      join(folder, 'policies/tools.cedar'),
      '\n@id("life")\nforbid (principal, action == Remit::Action::"tools.create", resource);\n',
    );
    const lost = await underLoad('ConfigMap of policies changed', async () => {
      for (const namespace of ['remit', 'demo']) {
        const create = `kubectl -n ${namespace} create configmap remit-acme --from-file=policies/ --dry-run=client -o yaml`;
        await cluster.run(['sh', '-c', `${create} | kubectl replace -f -`], { cwd: folder });
      }
      // The kubelet looks at a pod that changes at once, and at others each minute.
      await cluster.kubectl('-n demo annotate pods -l app=tools --overwrite acme.test/changed=1');
      const sets = async (): Promise<readonly number[]> =>
        Promise.all(
          (await toolPods()).map(
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
    const [pod = ''] = await toolPods();
    // Many small processes in its container: the kernel ends the largest one, which is Remit.
    const child = 'globalThis.kept = Buffer.alloc(12 << 20, 1); setInterval(() => {}, 1000)';
    const fill = `for (let n = 0; n < 40; n++) require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}]); setInterval(() => {}, 1000)`;
    const lost = await underLoad('sidecar out of memory', async () => {
      await cluster.tried(['kubectl', '-n', 'demo', 'exec', pod, '-c', 'remit', '--', '/usr/bin/node', '-e', fill]);
      await waitFor(`-n demo wait ${pod} --for=condition=Ready`);
    });
    const [, restarts, reason] = await sidecarOf(pod);
    expect([restarts, reason]).toEqual(['1', 'OOMKilled']);
    expect(Object.keys(lost).filter((answer) => !NO_REMIT.test(answer))).toEqual([]);
  });

  /** Whether it is ready, its restarts, and how it ended last. */
  const sidecarOf = async (pod: string): Promise<readonly string[]> => {
    const sidecar = '.status.initContainerStatuses[?(@.name=="remit")]';
    const path = ['ready', 'restartCount', 'lastState.terminated.reason'].map((one) => `{${sidecar}.${one}}`);
    return (await cluster.run(['kubectl', '-n', 'demo', 'get', pod, '-o', `jsonpath=${path.join(' ')}`])).split(' ');
  };

  it('loses no call when a sidecar does not get ready: the rollout waits, and kubectl describe says why', async () => {
    let described = '';
    const lost = await underLoad('sidecar that does not get ready', async () => {
      const former = await toolPods();
      await nameTheirPolicies('remit-nowhere');
      await until(
        async () => {
          const fresh = (await toolPods()).find((pod) => !former.includes(pod));
          if (fresh !== undefined) described = await cluster.kubectl(`-n demo describe ${fresh}`);
          return MISSING.test(described);
        },
        { what: 'a sidecar that says why', withinMs: 60_000 },
      ).catch(() => null);
      await nameTheirPolicies(null);
      await toolsReady();
    });
    expect(lost).toEqual({});
    expect(described).toMatch(MISSING);
  });

  it('loses no call when the image of an upgrade cannot be pulled: the check before it fails', async () => {
    let ran;
    const lost = await underLoad('image that cannot be pulled', async () => {
      ran = await helm(`upgrade remit ${CHART} -n remit --reuse-values --set image.tag=nowhere --timeout 15s`);
    });
    expect(lost).toEqual({});
    expect(ran).toMatchObject({ status: 1, stderr: expect.stringContaining('remit-check not ready') });
  });

  it('loses no call in an upgrade of authority and sidecars', async () => {
    former = await deployed();
    const lost = await underLoad('helm upgrade to another image, tools restarted', async () => {
      await upgraded(`--set image.tag=${NEXT}`);
      await authorityReady();
      await restartTools();
    });
    expect(lost).toEqual({});
    const path = 'jsonpath={..initContainers[?(@.name=="remit")].image}';
    expect(await cluster.run(['kubectl', '-n', 'demo', 'get', 'pods', '-l', 'app=tools', '-o', path])).toContain(
      `:${NEXT}`,
    );
  });

  it('loses no call when a rollback leads to an upgrade that had failed: the check before it fails', async () => {
    let ran;
    const lost = await underLoad('helm rollback to a failed upgrade', async () => {
      ran = await helm('rollback remit -n remit --timeout 15s');
    });
    expect(lost).toEqual({});
    expect(ran).toMatchObject({ status: 1, stderr: expect.stringContaining('remit-check not ready') });
  });

  it('loses no call in a rollback of authority and sidecars', async () => {
    const lost = await underLoad('helm rollback, tools restarted', async () => {
      const { status, stderr } = await helm(`rollback remit ${former} -n remit`);
      expect([status, stderr]).toEqual([0, stderr]);
      await authorityReady();
      await restartTools();
    });
    expect(lost).toEqual({});
  });

  it('loses no call that needs no authority while its pod is deleted', async () => {
    const lost = await underLoad('authority pod deleted', async () => {
      await cluster.kubectl('-n remit delete pod remit-authority-0');
      await authorityReady();
    });
    expect(Object.keys(lost).filter((answer) => !NO_AUTHORITY.test(answer))).toEqual([]);
  });

  it('runs the authority as any user of group 0, as OpenShift chooses one (issue 38, point 6)', async () => {
    const namespace = 'any-user';
    const name = `spiffe://acme.test/ns/${namespace}/sa/remit-authority`;
    const selectors = [`k8s:ns:${namespace}`, 'k8s:sa:remit-authority'];
    await register(cluster, [{ id: name, selectors, dns: [`remit-authority.${namespace}.svc`] }]);
    const user = 1_000_660_000;
    // What the security context constraints of a namespace there put into its pods.
    const chosen = `podSecurityContext.runAsUser=${user},podSecurityContext.fsGroup=${user},securityContext.runAsUser=${user}`;
    const groups = 'podSecurityContext.runAsGroup=0,securityContext.runAsGroup=0';
    const values = `--set mode=authority --set identity.trustDomain=acme.test --set ${chosen},${groups}`;
    const { status, stderr } = await helm(`install remit ${CHART} -n ${namespace} --create-namespace ${values}`);
    expect([status, stderr]).toEqual([0, stderr]);
    await waitFor(`-n ${namespace} rollout status statefulset/remit-authority`);
    const words = ['-n', namespace, 'exec', 'remit-authority-0', '--', '/usr/bin/node', '-p'];
    const ids = 'process.getuid() + " " + process.getgid()';
    expect(await cluster.run(['kubectl', ...words, ids])).toBe(`${user} 0\n`);
  });

  it('loses no call in an update of the DaemonSet, in node mode', async () => {
    await cluster.kubectl('label namespace demo remit.dev/injection-');
    await register(cluster, [
      { id: 'spiffe://acme.test/ns/remit/sa/remit-node', selectors: ['k8s:ns:remit', 'k8s:sa:remit-node'] },
    ]);
    await upgraded('--set mode=node --set-json sidecar.namespaces=[] --set node.audiences={https://tools.acme.test}');
    await authorityReady();
    await waitFor('-n remit rollout status daemonset/remit-node');
    const node = 'app.kubernetes.io/component=node';
    await startTools(cluster, { replicas: 2, socket: { hostPath: { path: '/run/remit' } } });
    await restartTools();
    const lost = await underLoad('node mode: DaemonSet restarted', async () => {
      const former = (await cluster.kubectl(`-n remit get pods -l ${node} -o name`)).trim();
      await cluster.kubectl('-n remit rollout restart daemonset/remit-node');
      await waitFor('-n remit rollout status daemonset/remit-node');
      // The new pod is ready before the one of before drains.
      await waitFor(`-n remit wait ${former} --for=delete`);
    });
    expect(lost).toEqual({});
  });
});
