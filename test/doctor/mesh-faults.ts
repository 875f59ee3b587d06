import { stringify } from 'yaml';

/** A fault in the shipped files of a host: the folder, what is wrong, the change (file, text, other text), and the codes it is found by. */
export type HostFault = readonly [
  host: string,
  name: string,
  change: readonly [file: string, from: string, to: string],
  codes: string,
];

const ISTIO = 'hosts/istio';
const SECURITY = 'apiVersion: security.istio.io/v1\nkind: PeerAuthentication';

/** An object beside those of a file, whose first lines are `before`. */
const beside = (file: string, before: string, ...objects: readonly object[]): HostFault[2] => [
  file,
  before,
  `${objects.map((one) => `${stringify(one)}---\n`).join('')}${before}`,
];

const istio = (name: string, codes: string, ...objects: readonly object[]): HostFault => [
  ISTIO,
  name,
  beside('policy.yaml', SECURITY, ...objects),
  codes,
];

/** The pods of the tools, with changes of their template. */
const tools = (pod: object = {}, { labels = {}, namespace = 'demo' } = {}): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'tools', namespace },
  spec: { template: { metadata: { labels: { app: 'tools', ...labels }, ...pod }, spec: { containers: [] } } },
});

const inMesh = (kind: string, spec: object, name = 'other'): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name, namespace: 'demo' },
  spec,
});

const annotated = (annotations: object): object => tools({ annotations });
const http = (route: object): object =>
  inMesh('VirtualService', {
    hosts: ['payments.acme.test'],
    http: [{ route: [{ destination: { host: 'a' } }], ...route }],
  });
const patch = (configPatch: object): object => inMesh('EnvoyFilter', { configPatches: [configPatch] });
const lua = {
  name: 'envoy.filters.http.lua',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua' },
};

/** Faults that the doctor was green over in files of Istio (issue 37, point 17). */
export const ISTIO_FAULTS: readonly HostFault[] = [
  [ISTIO, 'the action AUDIT', ['policy.yaml', 'action: CUSTOM', 'action: AUDIT'], 'istio.not-asked'],
  [
    ISTIO,
    'a dry run',
    [
      'policy.yaml',
      'metadata: { name: remit, namespace: demo }\nspec:\n  selector: { matchLabels: { app: tools } }\n  action',
      "metadata: { name: remit, namespace: demo, annotations: { istio.io/dry-run: 'true' } }\nspec:\n  selector: { matchLabels: { app: tools } }\n  action",
    ],
    'istio.not-asked',
  ],
  istio('a selector that matches nothing', 'istio.no-workload', {
    ...tools(),
    spec: { template: { metadata: { labels: { app: 'tool' } }, spec: {} } },
  }),
  istio('a policy in another namespace', 'istio.no-workload', tools({}, { namespace: 'prod' })),
  istio(
    'ports that are excluded',
    'istio.past-sidecar',
    annotated({ 'traffic.sidecar.istio.io/excludeInboundPorts': '8080' }),
  ),
  istio(
    'ports that are not included',
    'istio.past-sidecar',
    annotated({ 'traffic.sidecar.istio.io/includeInboundPorts': '8081' }),
  ),
  istio('no interception', 'istio.past-sidecar', annotated({ 'sidecar.istio.io/interceptionMode': 'NONE' })),
  istio('a pod without a sidecar', 'istio.past-sidecar', tools({}, { labels: { 'sidecar.istio.io/inject': 'false' } })),
  istio('a pod on the network of the host', 'istio.past-sidecar', {
    ...tools(),
    spec: { template: { metadata: { labels: { app: 'tools' } }, spec: { hostNetwork: true } } },
  }),
  istio('a namespace past the waypoint', 'istio.past-sidecar', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'demo', labels: { 'istio.io/use-waypoint': 'none' } },
  }),
  istio(
    'ports that are not captured',
    'istio.past-sidecar',
    inMesh('Sidecar', { ingress: [{ port: { number: 9 }, captureMode: 'NONE', defaultEndpoint: '0.0.0.0:9' }] }),
  ),
  istio(
    'a gateway that passes TLS through',
    'istio.past-sidecar',
    inMesh('Gateway', { servers: [{ port: { number: 443, protocol: 'TLS' }, tls: { mode: 'PASSTHROUGH' } }] }),
  ),
  istio('a path that is rewritten', 'istio.changed-call', http({ rewrite: { uri: '/internal' } })),
  istio('a mirror', 'istio.changed-call', http({ mirrors: [{ destination: { host: 'b' } }] })),
  istio('retries', 'istio.repeated', http({ retries: { attempts: 2, retryOn: '5xx' } })),
  [
    ISTIO,
    'retries by default',
    ['mesh.yaml', 'extensionProviders:', 'defaultHttpRetryPolicy: { attempts: 2 }\nextensionProviders:'],
    'istio.repeated',
  ],
  istio('a token that is taken out', 'istio.fails-calls', {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'jwt', namespace: 'demo' },
    spec: { jwtRules: [{ issuer: 'https://iam.acme.test' }] },
  }),
  [ISTIO, 'a timeout of 2 ms', ['mesh.yaml', 'timeout: 0.5s', 'timeout: 2ms'], 'istio.fails-calls'],
  [
    ISTIO,
    'Remit over the network in clear',
    [
      'remit.yaml',
      'endpoints: [{ address: 127.0.0.1, ports: { grpc: 9470 } }]\n',
      'endpoints: [{ address: 192.0.2.1, ports: { grpc: 9470 } }]\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: remit, namespace: istio-system }\nspec: { host: ext-authz.remit.local, trafficPolicy: { tls: { mode: DISABLE } } }\n',
    ],
    'istio.impostor',
  ],
  [
    ISTIO,
    'another trust domain',
    ['mesh.yaml', 'extensionProviders:', 'trustDomainAliases: [other.test]\nextensionProviders:'],
    'istio.weak-identity',
  ],
  [ISTIO, 'no PeerAuthentication', ['policy.yaml', 'kind: PeerAuthentication', 'kind: X'], 'istio.mtls-optional'],
  istio(
    'a filter after the check',
    'istio.changed-call',
    patch({ applyTo: 'HTTP_FILTER', patch: { operation: 'INSERT_BEFORE', value: lua } }),
  ),
  istio(
    'a route that is patched',
    'istio.changed-call',
    patch({ applyTo: 'HTTP_ROUTE', patch: { operation: 'MERGE', value: { route: { prefix_rewrite: '/x' } } } }),
  ),
  istio(
    'a patch that is not known',
    'istio.unseen',
    patch({ applyTo: 'BOOTSTRAP', patch: { operation: 'MERGE', value: { admin: {} } } }),
  ),
  istio('a plugin after the check', 'istio.changed-call', {
    apiVersion: 'extensions.istio.io/v1alpha1',
    kind: 'WasmPlugin',
    metadata: { name: 'w', namespace: 'demo' },
    spec: { url: 'oci://x', phase: 'STATS' },
  }),
];
