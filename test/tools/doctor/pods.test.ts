import { describe, expect, it } from '@jest/globals';
import { waysAround } from '../../../src/tools/doctor/hosts/around-tools.ts';
import { objectsFrom } from '../../../src/tools/doctor/hosts/host-object.ts';
import type { HostObject } from '../../../src/tools/doctor/hosts/host-object.ts';
import { isSelectedBy } from '../../../src/tools/doctor/hosts/label-selector.ts';
import { networkFindings } from '../../../src/tools/doctor/hosts/network-policy.ts';
import { containersOf, isOneOf, sharedVolumesOf } from '../../../src/tools/doctor/hosts/pod-parts.ts';
import { socketFindings } from '../../../src/tools/doctor/hosts/socket-mounts.ts';
import { selects, toolPodsIn } from '../../../src/tools/doctor/hosts/tool-pods.ts';
import { workloadsIn } from '../../../src/tools/doctor/hosts/workloads.ts';

const objectsOf = (...values: readonly object[]): readonly HostObject[] =>
  values.flatMap((value) => objectsFrom('all.yaml', value, () => undefined));

const REMIT = { name: 'remit', image: 'ghcr.io/remit-dev/remit:0.1.0' };
const ENVOY = { name: 'envoy', image: 'envoyproxy/envoy:v1.40.0', ports: [{ containerPort: 8443, name: 'https' }] };
const TOOL = { name: 'payments', image: 'acme/payments:1', ports: [{ containerPort: 8081, name: 'http' }] };

const workload = (spec: object, { kind = 'Deployment', name = 'tools', namespace = 'demo' } = {}): object => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name, namespace },
  spec: { template: { metadata: { labels: { app: name } }, spec } },
});
const mounts = (path: string, isReadOnly = false): object => ({
  volumeMounts: [{ name: 'run', mountPath: path, readOnly: isReadOnly }],
});

describe('containersOf', () => {
  it.each<[string, object, string]>([
    ['Remit by its image', { name: 'guard', image: 'registry.acme.test/remit@sha256:aa' }, 'remit'],
    ['Remit by its name', { name: 'remit', image: 'acme/x' }, 'remit'],
    ['the helper of a service', { name: 'remit-agent', image: 'ghcr.io/remit-dev/remit:1' }, 'other'],
    ['another program of Remit', { name: 'a', image: 'acme/remit-tools:1' }, 'other'],
    ['a name with Remit in it', { name: 'not-remit', image: 'acme/x:1' }, 'other'],
    ['Envoy by its image', { name: 'proxy', image: 'envoyproxy/envoy:v1.40.0' }, 'proxy'],
    ['the sidecar of Istio', { name: 'istio-proxy', image: 'auto' }, 'proxy'],
    ['its first container', { name: 'istio-init', image: 'docker.io/istio/proxyv2:1.30.0' }, 'proxy'],
    ['agentgateway', { name: 'gw', image: 'ghcr.io/agentgateway/agentgateway:1' }, 'proxy'],
    ['a name with Envoy in it', { name: 'a', image: 'acme/envoyage:1' }, 'other'],
    ['no name', {}, 'other'],
  ])('knows %s', (_what, container, kind) => {
    expect(containersOf({ containers: [container] }).map((one) => one.kind)).toEqual([kind]);
  });

  it('has those of each list, and none in what is no pod', () => {
    const spec = { initContainers: [REMIT], containers: [ENVOY, TOOL], ephemeralContainers: [{ name: 'debug' }] };
    expect(containersOf(spec).map(({ name }) => name)).toEqual(['remit', 'envoy', 'payments', 'debug']);
    for (const other of [undefined, null, 1, [], { containers: {} }, { containers: 'x' }])
      expect(containersOf(other)).toEqual([]);
  });
});

describe('isOneOf', () => {
  const [{ ports } = { ports: [] }] = containersOf({ containers: [ENVOY] });
  it.each<[unknown, boolean]>([
    [8443, true],
    ['https', true],
    [8444, false],
    // In Kubernetes a text is a name, also if it looks like a number.
    ['8443', false],
    ['', false],
    [undefined, false],
    [null, false],
  ])('%j: %s', (port, expected) => {
    expect(isOneOf(port, ports)).toBe(expected);
  });

  it('takes no absent name for that of a port without a name', () => {
    expect(isOneOf('', [{ number: 1, name: '', hostPort: null }])).toBe(false);
  });
});

describe('sharedVolumesOf', () => {
  it.each<[string, object, string | null | undefined]>([
    ['a folder of the node', { hostPath: { path: '/run/remit' } }, 'hostPath /run/remit'],
    ['the same with slashes at its end', { hostPath: { path: '/run/remit//' } }, 'hostPath /run/remit'],
    ['the same with two slashes inside', { hostPath: { path: '/run//remit' } }, 'hostPath /run/remit'],
    ['the same by way of itself', { hostPath: { path: '/run/./remit' } }, 'hostPath /run/remit'],
    ['the same by its older name', { hostPath: { path: '/var/run/remit' } }, 'hostPath /run/remit'],
    ['another folder of a like name', { hostPath: { path: '/var/running' } }, 'hostPath /var/running'],
    ['all of the node', { hostPath: { path: '/' } }, 'hostPath '],
    ['a claim', { persistentVolumeClaim: { claimName: 'state' } }, 'claim state'],
    ['a folder of the pod', { emptyDir: {} }, null],
    ['a volume of its own', { ephemeral: {} }, null],
    ['a ConfigMap', { configMap: { name: 'x' } }, undefined],
    ['a Secret', { secret: { secretName: 'x' } }, undefined],
  ])('of %s', (_what, volume, shared) => {
    expect(sharedVolumesOf({ volumes: [{ name: 'run', ...volume }] }).get('run')).toBe(shared);
  });
});

/** What is found about a container of another pod, beside a Remit with a folder of the node. */
const besideRemit = (own: string, other: string): number =>
  socketFindings(
    workloadsIn(
      objectsOf(
        workload(
          {
            containers: [{ ...REMIT, ...mounts('/run/remit') }],
            volumes: [{ name: 'run', hostPath: { path: own } }],
          },
          { kind: 'DaemonSet', name: 'node' },
        ),
        workload(
          {
            containers: [{ ...TOOL, ...mounts('/host') }],
            volumes: [{ name: 'run', hostPath: { path: other } }],
          },
          { namespace: 'other' },
        ),
      ),
    ),
  ).length;

it.each([
  ['/run/remit', '/run/remit'],
  ['/run/remit', '/run'],
  ['/run/remit', '/'],
  ['/run/remit', '/run/remit/check'],
  ['/run/remit', '//run/remit'],
  ['/run/remit', '/run//remit/'],
  ['/run/remit', '/var/run/remit'],
  ['/var/run/remit', '/run'],
])('finds beside %s of Remit another pod with %s', (own, other) => {
  expect(besideRemit(own, other)).toBe(1);
});

describe('socketFindings', () => {
  it.each([
    ['/run/remit', '/run/remit-envoy'],
    ['/run/remit', '/var/lib/remit'],
    ['/run/remit', '/runs'],
  ])('finds nothing beside %s of Remit in another pod with %s', (own, other) => {
    expect(besideRemit(own, other)).toBe(0);
  });

  it('knows claims by their namespace', () => {
    const volumes = [{ name: 'run', persistentVolumeClaim: { claimName: 'state' } }];
    const remit = workload({ containers: [{ ...REMIT, ...mounts('/a') }], volumes }, { name: 'remit' });
    const other = (namespace: string): object =>
      workload({ containers: [{ ...TOOL, ...mounts('/b') }], volumes }, { namespace });
    const found = (namespace: string): number => socketFindings(workloadsIn(objectsOf(remit, other(namespace)))).length;
    expect([found('demo'), found('prod')]).toEqual([1, 0]);
  });

  it('lets a proxy of the pod read the folder, and nobody write it', () => {
    const volumes = [{ name: 'run', emptyDir: {} }];
    const levels = (container: object): readonly string[] =>
      socketFindings(
        workloadsIn(objectsOf(workload({ containers: [{ ...REMIT, ...mounts('/a') }, container], volumes }))),
      ).map(({ level }) => level ?? 'error');
    expect(levels({ ...ENVOY, ...mounts('/a', true) })).toEqual([]);
    expect(levels({ ...ENVOY, ...mounts('/a') })).toEqual(['error']);
    expect(levels({ ...TOOL, ...mounts('/a', true) })).toEqual(['warning']);
    expect(levels({ ...TOOL, ...mounts('/a') })).toEqual(['error']);
  });
});

describe('workloadsIn', () => {
  it.each([
    ['apps/v1', 'Deployment'],
    ['apps/v1', 'StatefulSet'],
    ['apps/v1', 'DaemonSet'],
    ['apps/v1', 'ReplicaSet'],
    ['v1', 'ReplicationController'],
    ['batch/v1', 'Job'],
    ['argoproj.io/v1alpha1', 'Rollout'],
    ['apps.openshift.io/v1', 'DeploymentConfig'],
  ])('has the pods of %s %s', (apiVersion, kind) => {
    const [found] = workloadsIn(objectsOf({ ...workload({ containers: [TOOL] }, { kind }), apiVersion }));
    expect(found?.labels.get('app')).toBe('tools');
    expect(containersOf(found?.spec)).toHaveLength(1);
  });

  it('has a pod itself, and the pods of a CronJob', () => {
    const pod = { metadata: { name: 'a', labels: { app: 'a' } }, spec: { containers: [TOOL] } };
    const cron = { kind: 'CronJob', metadata: { name: 'c' }, spec: { jobTemplate: { spec: { template: pod } } } };
    const found = workloadsIn(objectsOf({ apiVersion: 'v1', kind: 'Pod', ...pod }, cron));
    expect(
      found.map(({ labels, object, spec }) => [object.kind, labels.get('app'), containersOf(spec).length]),
    ).toEqual([
      ['Pod', 'a', 1],
      ['CronJob', 'a', 1],
    ]);
  });
});

describe('isSelectedBy', () => {
  const labels = new Map([['app', 'tools']]);
  it.each<[string, unknown, boolean]>([
    ['no selector', undefined, true],
    ['an empty selector', {}, true],
    ['its label', { matchLabels: { app: 'tools' } }, true],
    ['another value', { matchLabels: { app: 'tool' } }, false],
    ['only the first of two labels', { matchLabels: { app: 'tools', tier: 'a' } }, false],
    ['a label of every object', { matchLabels: { constructor: 'x' } }, false],
  ])('by %s', (_what, selector, expected) => {
    expect(isSelectedBy(labels, selector)).toBe(expected);
  });
});

const service = (spec: object, { name = 'tools', namespace = 'demo' } = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec,
});
const policy = (spec: object, namespace = 'demo'): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'tools', namespace },
  spec,
});
const pod = workload({ containers: [REMIT, ENVOY, TOOL] });

/** What is found about Services and policies beside the pods of a tool with Envoy and Remit. */
function besideTool(find: 'around' | 'network', ...others: readonly object[]): readonly string[] {
  const objects = objectsOf(pod, ...others);
  const [tool] = toolPodsIn(objects);
  if (tool === undefined) throw new Error('the pod is not known as a tool');
  return (find === 'around' ? waysAround : networkFindings)(tool, objects).map(({ level }) => level ?? 'error');
}

describe('toolPodsIn', () => {
  it.each<[string, object, number]>([
    ['a tool with Envoy and Remit', pod, 1],
    ['Remit and Envoy alone', workload({ containers: [REMIT, ENVOY] }), 0],
    ['a tool alone', workload({ containers: [TOOL] }), 0],
    ['a tool with the sidecar of Istio', workload({ containers: [REMIT, { name: 'istio-proxy' }, TOOL] }), 0],
  ])('has of %s', (_what, object, count) => {
    expect(toolPodsIn(objectsOf(object))).toHaveLength(count);
  });

  it('has a tool with Envoy whose Remit is in a pod of the node', () => {
    const node = workload({ containers: [REMIT] }, { kind: 'DaemonSet', name: 'node', namespace: 'remit' });
    expect(toolPodsIn(objectsOf(workload({ containers: [ENVOY, TOOL] }), node))).toHaveLength(1);
  });
});

describe('waysAround', () => {
  const app = { selector: { app: 'tools' } };
  it.each<[string, object, readonly string[]]>([
    ['the port of Envoy', { ...app, ports: [{ port: 443, targetPort: 8443 }] }, []],
    ['the port of Envoy by its name', { ...app, ports: [{ port: 443, targetPort: 'https' }] }, []],
    ['the port of the tool', { ...app, ports: [{ port: 80, targetPort: 8081 }] }, ['error']],
    ['the port of the tool by its name', { ...app, ports: [{ port: 80, targetPort: 'http' }] }, ['error']],
    ['a port that is its own target', { ...app, ports: [{ port: 8081 }] }, ['error']],
    ['both', { ...app, ports: [{ port: 443, targetPort: 8443 }, { port: 8081 }] }, ['error']],
    ['no selector', { ports: [{ port: 8081 }] }, ['warning']],
    ['another name', { type: 'ExternalName', externalName: 'a.test' }, []],
    ['other pods', { selector: { app: 'web' }, ports: [{ port: 8081 }] }, []],
  ])('finds for a Service with %s', (_what, spec, levels) => {
    expect(besideTool('around', service(spec))).toEqual(levels);
  });

  it('takes a Service of another namespace for another', () => {
    expect(besideTool('around', service({ ...app, ports: [{ port: 8081 }] }, { namespace: 'prod' }))).toEqual([]);
  });
});

describe('selects', () => {
  const [tools] = workloadsIn(objectsOf(pod));
  it.each<[string, object, boolean]>([
    ['its labels', { selector: { app: 'tools' } }, true],
    ['no selector', {}, false],
    ['an empty selector', { selector: {} }, false],
    ['a label more than the pods have', { selector: { app: 'tools', tier: 'a' } }, false],
  ])('by %s', (_what, spec, expected) => {
    const [found] = objectsOf(service(spec));
    expect(found !== undefined && tools !== undefined && selects(found, tools)).toBe(expected);
  });
});

describe('networkFindings', () => {
  const envoy = [{ port: 8443 }];
  it.each<[string, object, readonly string[]]>([
    ['that lets in the port of Envoy', { podSelector: {}, ingress: [{ ports: envoy }] }, []],
    ['that lets in nobody', { podSelector: {}, policyTypes: ['Ingress'] }, []],
    ['that lets in all ports', { podSelector: {}, ingress: [{}] }, ['error']],
    ['that lets in the port of the tool', { podSelector: {}, ingress: [{ ports: [{ port: 8081 }] }] }, ['error']],
    [
      'with a range from the port of Envoy',
      { podSelector: {}, ingress: [{ ports: [{ port: 8443, endPort: 9000 }] }] },
      ['error'],
    ],
    ['with a protocol and no port', { podSelector: {}, ingress: [{ ports: [{ protocol: 'TCP' }] }] }, ['error']],
    ['with two rules of which the second is open', { podSelector: {}, ingress: [{ ports: envoy }, {}] }, ['error']],
    ['for what leaves the pods', { podSelector: {}, policyTypes: ['Egress'], egress: [] }, ['error']],
    ['for other pods', { podSelector: { matchLabels: { app: 'web' } }, ingress: [] }, ['error']],
    [
      'whose selector may leave them out',
      { podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['tools'] }] }, ingress: [] },
      ['error'],
    ],
  ])('finds for a policy %s', (_what, spec, levels) => {
    expect(besideTool('network', policy(spec))).toEqual(levels);
  });

  it('takes a policy of another namespace for none', () => {
    expect(besideTool('network', policy({ podSelector: {}, ingress: [] }, 'prod'))).toEqual(['error']);
  });

  it('warns if a policy that it does not read may hold', () => {
    const cilium = { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'a' } };
    expect(besideTool('network', cilium)).toEqual(['warning']);
  });
});
