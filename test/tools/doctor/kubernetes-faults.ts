import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { injectedInto } from '../../../src/tools/inject/inject.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';
import type { Yaml } from './fault-parts.ts';

const deploy = resolve(import.meta.dirname, '../../../deploy');

/** Objects of a cluster, and those that faults change. */
export interface BrokenCluster {
  readonly objects: Yaml[];
  /** The specification of the pods of the tool, with Remit in it where Envoy is. */
  readonly pod: Yaml;
  readonly service: Yaml;
  readonly policy: Yaml;
}

/** Where the Envoy is that asks Remit about calls of the tool. */
export type Guard = 'pod' | 'gateway' | 'waypoint';

/** A fault in the objects of a cluster. */
export interface KubernetesFault {
  readonly guard: Guard;
  readonly name: string;
  readonly break: (parts: BrokenCluster) => void;
  /** The codes of the errors and warnings. */
  readonly found: readonly string[];
}

const documents = (text: string): Yaml[] => {
  const read = parseAllDocuments(text);
  return 'empty' in read ? [] : read.map((one) => one.toJS());
};
const shipped = (...names: readonly string[]): Yaml[] =>
  names.flatMap((name) => documents(readFileSync(resolve(deploy, name), 'utf8')));

const NAMESPACES: Readonly<Record<Guard, string>> = { pod: 'demo', gateway: 'default', waypoint: 'demo' };

const TOOL = { name: 'payments', image: 'acme/payments:1', ports: [{ name: 'http', containerPort: 8081 }] };
const ENVOY = {
  name: 'envoy',
  image: 'envoyproxy/envoy:v1.40.0',
  ports: [{ name: 'agents', containerPort: 8443 }],
  volumeMounts: [{ name: 'remit-run', mountPath: '/run/remit', readOnly: true }],
};

/** The pods of the tool as Remit is injected into them, or without it. */
function workload(guard: Guard): Yaml {
  const isInPod = guard === 'pod';
  const text = stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'tools', namespace: NAMESPACES[guard] },
    spec: {
      template: { metadata: { labels: { app: 'tools' } }, spec: { containers: isInPod ? [ENVOY, TOOL] : [TOOL] } },
    },
  });
  if (!isInPod) return documents(text)[0];
  const injected = injectedInto(text, shippedFragments('acme/remit:1'));
  if ('problems' in injected) throw new Error(JSON.stringify(injected.problems));
  return documents(injected.text)[0];
}

const INGRESS: Readonly<Record<Guard, object>> = {
  pod: { ports: [{ port: 8443 }, { port: 'remit-metrics' }] },
  gateway: {
    from: [{ podSelector: { matchLabels: { 'gateway.envoyproxy.io/owning-gateway-name': 'agents' } } }],
  },
  waypoint: { from: [{ podSelector: { matchLabels: { 'gateway.networking.k8s.io/gateway-name': 'tools' } } }] },
};

/** Objects of a cluster in which all calls are checked: those that are shipped, and a tool. */
export function cluster(guard: Guard): BrokenCluster {
  const namespace = NAMESPACES[guard];
  const deployment = workload(guard);
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'payments', namespace },
    spec: { selector: { app: 'tools' }, ports: [{ port: 8081, targetPort: guard === 'pod' ? 'agents' : 'http' }] },
  };
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'tools', namespace },
    spec: { podSelector: { matchLabels: { app: 'tools' } }, ingress: [structuredClone(INGRESS[guard])] },
  };
  const hosts: Readonly<Record<Guard, () => Yaml[]>> = {
    pod: () => [],
    gateway: () => {
      const files = ['gateway', 'patch', 'proxy', 'remit', 'security'].map(
        (name) => `hosts/envoy-gateway/${name}.yaml`,
      );
      const objects = shipped(...files).filter(
        ({ kind, metadata }) => kind !== 'Backend' || metadata.name !== 'payments',
      );
      for (const one of objects)
        for (const rule of one.kind === 'HTTPRoute' ? one.spec.rules : [])
          rule.backendRefs = [{ name: 'payments', port: 8081 }];
      return objects;
    },
    waypoint: () => [
      ...shipped('hosts/istio/mesh.yaml', 'hosts/istio/remit.yaml', 'hosts/istio-waypoint/waypoint.yaml'),
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'demo', labels: { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'tools' } },
      },
    ],
  };
  return {
    objects: [...hosts[guard](), deployment, service, policy],
    pod: deployment.spec.template.spec,
    service,
    policy,
  };
}

const fault = (
  guard: Guard,
  name: string,
  change: KubernetesFault['break'],
  ...found: readonly string[]
): KubernetesFault => ({ guard, name, break: change, found });

const AROUND = 'kubernetes.around';
const SHARED = 'kubernetes.socket-shared';

const others = ({ objects, service }: BrokenCluster, spec: object, name = 'other'): void =>
  void objects.push({ ...service, metadata: { ...service.metadata, name }, spec });

const container = ({ pod }: BrokenCluster, name: string): Yaml => pod.containers.find((one: Yaml) => one.name === name);

/** A pod with a container that mounts a folder of the node. */
const onNode = (name: string, image: string, path: string, isReadOnly = false): object => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name, namespace: name },
  spec: {
    template: {
      metadata: { labels: { app: name } },
      spec: {
        containers: [{ name, image, volumeMounts: [{ name: 'run', mountPath: '/run/it', readOnly: isReadOnly }] }],
        volumes: [{ name: 'run', hostPath: { path } }],
      },
    },
  },
});

const PAST = 'istio.past-sidecar';

/** The gateway asks Remit at a Service of this spec. */
const askedAt = (objects: Yaml[], spec: object): void => {
  const metadata = { name: 'remit', namespace: 'remit' };
  const security = objects.find(({ kind }) => kind === 'SecurityPolicy');
  security.spec.extAuth.grpc.backendRefs = [{ ...metadata, port: 9470 }];
  objects.push({ apiVersion: 'v1', kind: 'Service', metadata, spec });
};
const labelled = (objects: readonly Yaml[], kind: string, labels: object): void =>
  void (objects.find((one) => one.kind === kind).metadata.labels = labels);

const ingress = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'ingress', namespace: 'demo' },
  spec: { gatewayClassName: 'istio', listeners: [{ name: 'https', port: 443, protocol: 'HTTPS' }] },
};

/** Faults in what is beside Envoy and Remit in a cluster (issue 37, point 17). */
export const KUBERNETES_FAULTS: readonly KubernetesFault[] = [
  fault('pod', 'nothing', () => undefined),
  fault('gateway', 'nothing', () => undefined),
  fault('pod', 'a port of the node', (parts) => void (container(parts, 'payments').ports[0].hostPort = 8081), AROUND),
  fault('pod', 'a port of the node for Envoy', (parts) => void (container(parts, 'envoy').ports[0].hostPort = 8443)),
  fault(
    'gateway',
    'a port of the node',
    (parts) => void (container(parts, 'payments').ports[0].hostPort = 8081),
    AROUND,
  ),
  fault('pod', 'the network of the node', ({ pod }) => void (pod.hostNetwork = true), AROUND),
  fault(
    'pod',
    'a Service of the port of the tool',
    ({ service }) => void (service.spec.ports[0].targetPort = 8081),
    AROUND,
  ),
  fault(
    'pod',
    'a second Service of the port of the tool',
    (parts) => others(parts, { selector: { app: 'tools' }, clusterIP: 'None', ports: [{ port: 8081 }] }),
    AROUND,
  ),
  fault(
    'gateway',
    'a second Service',
    (parts) => others(parts, { selector: { app: 'tools' }, ports: [{ port: 8081 }] }),
    AROUND,
  ),
  fault('gateway', 'a Service without a selector', (parts) => others(parts, { ports: [{ port: 8081 }] }), AROUND),
  fault('pod', 'a Service without a selector', (parts) => others(parts, { ports: [{ port: 8081 }] }), AROUND),
  fault('gateway', 'another name', (parts) => others(parts, { type: 'ExternalName', externalName: 'acme.test' })),
  fault(
    'gateway',
    'an Ingress',
    ({ objects }) =>
      void objects.push({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'Ingress',
        metadata: { name: 'payments', namespace: 'default' },
        spec: { defaultBackend: { service: { name: 'payments', port: { number: 8081 } } } },
      }),
    'envoy-gateway.around',
  ),
  fault('pod', 'no NetworkPolicy', ({ objects, policy }) => void objects.splice(objects.indexOf(policy), 1), AROUND),
  fault(
    'gateway',
    'no NetworkPolicy',
    ({ objects, policy }) => void objects.splice(objects.indexOf(policy), 1),
    AROUND,
  ),
  fault(
    'gateway',
    'a NetworkPolicy of other pods',
    ({ policy }) => void (policy.spec.podSelector.matchLabels.app = 'other'),
    AROUND,
  ),
  fault(
    'gateway',
    'a NetworkPolicy in another namespace',
    ({ policy }) => void (policy.metadata.namespace = 'x'),
    AROUND,
  ),
  fault(
    'gateway',
    'a NetworkPolicy of what leaves',
    ({ policy }) => void (policy.spec.policyTypes = ['Egress']),
    AROUND,
  ),
  fault('gateway', 'a NetworkPolicy for all', ({ policy }) => void (policy.spec.ingress = [{}]), AROUND),
  fault(
    'gateway',
    'a NetworkPolicy for a namespace',
    ({ policy }) => void (policy.spec.ingress[0].from = [{ namespaceSelector: { matchLabels: { team: 'agents' } } }]),
    AROUND,
  ),
  fault(
    'gateway',
    'a NetworkPolicy for addresses',
    ({ policy }) => void policy.spec.ingress[0].from.push({ ipBlock: { cidr: '10.0.0.0/8' } }),
    AROUND,
  ),
  fault(
    'gateway',
    'a NetworkPolicy for gateways of any namespace',
    ({ policy }) => void (policy.spec.ingress[0].from[0].namespaceSelector = {}),
    AROUND,
  ),
  fault(
    'gateway',
    'a NetworkPolicy for gateways of a named namespace',
    ({ policy }) =>
      void (policy.spec.ingress[0].from[0].namespaceSelector = {
        matchLabels: { 'kubernetes.io/metadata.name': 'envoy-gateway-system' },
      }),
  ),
  fault(
    'pod',
    'a Service of the port on which Envoy asks',
    ({ pod, service }) => {
      pod.initContainers[0].ports.push({ name: 'check', containerPort: 9470 });
      service.spec.ports.push({ port: 9470, targetPort: 'check' });
    },
    AROUND,
  ),
  fault('gateway', 'a NetworkPolicy for nobody', ({ policy }) => void (policy.spec.ingress = [])),
  fault(
    'pod',
    'a NetworkPolicy with the port of the tool',
    ({ policy }) => void policy.spec.ingress[0].ports.push({ port: 8081 }),
    AROUND,
  ),
  fault(
    'pod',
    'a NetworkPolicy with many ports',
    ({ policy }) => void (policy.spec.ingress[0].ports[0].endPort = 9000),
    AROUND,
  ),
  fault('pod', 'a NetworkPolicy without ports', ({ policy }) => void delete policy.spec.ingress[0].ports, AROUND),
  fault(
    'pod',
    'the socket in the container of the tool',
    (parts) =>
      void (container(parts, 'payments').volumeMounts = [{ name: 'remit-run', mountPath: '/r', readOnly: true }]),
    SHARED,
  ),
  fault(
    'pod',
    'a socket that Envoy can replace',
    (parts) => void delete container(parts, 'envoy').volumeMounts[0].readOnly,
    SHARED,
  ),
  fault(
    'pod',
    'the ledger in another container',
    (parts) => void (container(parts, 'payments').volumeMounts = [{ name: 'remit-state', mountPath: '/l' }]),
    SHARED,
  ),
  fault(
    'pod',
    'a pod with Remit that is past the sidecar of Istio, without the policy',
    ({ objects }) => {
      const { metadata } = objects.find(({ kind }) => kind === 'Deployment').spec.template;
      metadata.annotations = { ...metadata.annotations, 'traffic.sidecar.istio.io/excludeInboundPorts': '8081' };
    },
    PAST,
  ),
  fault('pod', 'one list of processes', ({ pod }) => void (pod.shareProcessNamespace = true), SHARED),
  fault(
    'gateway',
    'a socket on the node that Envoy mounts',
    ({ objects }) =>
      void objects.push(
        onNode('remit', 'acme/remit:1', '/run/remit'),
        onNode('gateway', 'envoyproxy/envoy:v1.40.0', '/run/remit', true),
      ),
  ),
  fault(
    'gateway',
    'a socket on the node that others mount',
    ({ objects }) =>
      void objects.push(onNode('remit', 'acme/remit:1', '/run/remit'), onNode('logs', 'acme/logs:1', '/run/')),
    SHARED,
  ),
  fault(
    'gateway',
    'a Service for Remit without a selector',
    ({ objects }) => askedAt(objects, { ports: [{ port: 9470 }] }),
    'kubernetes.impostor',
  ),
  fault(
    'gateway',
    'a Service for Remit that is another name',
    ({ objects }) =>
      askedAt(objects, { type: 'ExternalName', externalName: 'remit.acme.test', selector: { app: 'remit' } }),
    'kubernetes.impostor',
  ),
  fault(
    'pod',
    'an injection that may fail',
    ({ objects }) => {
      const policy = shipped('inject/admission-policy.yaml').find(({ kind }) => kind === 'MutatingAdmissionPolicy');
      policy.spec.failurePolicy = 'Ignore';
      objects.push(policy);
    },
    AROUND,
  ),
  fault(
    'pod',
    'the injection as shipped',
    ({ objects }) => void objects.push(...shipped('inject/admission-policy.yaml', 'inject/guard.yaml')),
  ),
  fault(
    'waypoint',
    'an injector that may fail',
    ({ objects }) =>
      void objects.push({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: 'istio-sidecar-injector' },
        webhooks: [{ name: 'rev.namespace.sidecar-injector.istio.io', failurePolicy: 'Ignore' }],
      }),
    AROUND,
  ),
  fault('waypoint', 'nothing', () => undefined),
  fault(
    'waypoint',
    'a waypoint of other calls',
    ({ objects }) => labelled(objects, 'Gateway', { 'istio.io/waypoint-for': 'workload' }),
    PAST,
  ),
  fault('waypoint', 'a waypoint for all', ({ objects }) =>
    labelled(objects, 'Gateway', { 'istio.io/waypoint-for': 'all' }),
  ),
  fault(
    'waypoint',
    'a Service with another waypoint',
    ({ service }) =>
      void (service.metadata.labels = { 'istio.io/use-waypoint': 'other', 'istio.io/ingress-use-waypoint': 'true' }),
    PAST,
  ),
  fault('waypoint', 'a gateway past the waypoint', ({ objects }) => void objects.push(ingress), PAST),
  fault('waypoint', 'a gateway that uses the waypoint', ({ objects }) => {
    objects.push(ingress);
    labelled(objects, 'Namespace', { 'istio.io/use-waypoint': 'tools', 'istio.io/ingress-use-waypoint': 'true' });
  }),
  fault(
    'waypoint',
    'no NetworkPolicy',
    ({ objects, policy }) => void objects.splice(objects.indexOf(policy), 1),
    AROUND,
  ),
];
