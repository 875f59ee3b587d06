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

const namespaced = (labels: object): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'demo', labels },
});
const inMeshConfig = (name: string, setting: string, codes: string): HostFault => [
  ISTIO,
  name,
  ['mesh.yaml', 'extensionProviders:', `${setting}\nextensionProviders:`],
  codes,
];

/** Labels and annotations of pods by which calls go past the sidecar or waypoint. */
const OF_PODS = (
  [
    ['traffic.sidecar.istio.io/excludeInterfaces', 'eth1'],
    ['traffic.sidecar.istio.io/includeInboundIPRanges', '10.0.0.1/32'],
    ['inject.istio.io/templates', 'custom'],
    ['sidecar.istio.io/bootstrapOverride', 'other'],
    ['sidecar.istio.io/proxyImage', 'acme/proxy:1'],
    ['istio.io/dataplane-mode', 'none'],
    ['istio.io/use-waypoint-canary', 'other'],
    ['ambient.istio.io/bypass-inbound-capture', 'true'],
  ] as const
).map(([name, value]) => istio(`pods with ${name}`, 'istio.past-sidecar', annotated({ [name]: value })));

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
    'ports that are excluded beside that of Remit',
    'istio.past-sidecar',
    annotated({ 'traffic.sidecar.istio.io/excludeInboundPorts': '9471,8080' }),
  ),
  istio(
    'the port of the tool as that of the sidecar',
    'istio.past-sidecar',
    annotated({ 'status.sidecar.istio.io/port': '8080' }),
  ),
  istio(
    'a further template of injection',
    'istio.past-sidecar',
    annotated({ 'inject.istio.io/templates': 'sidecar,spire' }),
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
  ...OF_PODS,
  istio('a namespace without injection', 'istio.past-sidecar', namespaced({ 'istio-injection': 'disabled' })),
  istio('a namespace outside the mesh', 'istio.past-sidecar', namespaced({ 'istio.io/dataplane-mode': 'none' })),
  istio('a Service past the mesh', 'istio.past-sidecar', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'tools', namespace: 'demo', labels: { 'istio.io/use-waypoint': 'none' } },
    spec: { selector: { app: 'tools' } },
  }),
  inMeshConfig('no interception in the mesh', 'defaultConfig: { interceptionMode: NONE }', 'istio.past-sidecar'),
  inMeshConfig(
    'another bootstrap in the mesh',
    'defaultConfig: { customConfigFile: /etc/x.yaml }',
    'istio.past-sidecar',
  ),
  inMeshConfig('variables that are not known', 'defaultConfig: { proxyMetadata: { A_LATER_ONE: a } }', 'istio.unseen'),
  inMeshConfig(
    'runtime keys of all sidecars',
    'defaultConfig: { runtimeValues: { http_connection_manager.normalize_path: "false" } }',
    'istio.unseen',
  ),
  inMeshConfig(
    'identities that gateways keep',
    'defaultConfig: { gatewayTopology: { forwardClientCertDetails: ALWAYS_FORWARD_ONLY } }',
    'istio.weak-identity',
  ),
  inMeshConfig(
    'namespaces that istiod does not see',
    'discoverySelectors: [{ matchLabels: { a: b } }]',
    'istio.past-sidecar',
  ),
  inMeshConfig('connections that are read as bytes', 'protocolDetectionTimeout: 5s', 'istio.past-sidecar'),
  inMeshConfig('tokens in logs', "accessLogFormat: '%REQ(AUTHORIZATION)%'", 'istio.leak'),
  inMeshConfig('a field of another Istio', 'aLaterField: true', 'istio.unseen'),
  istio(
    'no interception by a ProxyConfig of a pod',
    'istio.past-sidecar',
    annotated({ 'proxy.istio.io/config': 'interceptionMode: NONE' }),
  ),
  istio('variables of a ProxyConfig', 'istio.unseen', {
    apiVersion: 'networking.istio.io/v1beta1',
    kind: 'ProxyConfig',
    metadata: { name: 'p', namespace: 'demo' },
    spec: { environmentVariables: { A_LATER_ONE: 'a' } },
  }),
  istio('ports that are excluded in the mesh', 'istio.past-sidecar', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-sidecar-injector', namespace: 'istio-system' },
    data: { values: JSON.stringify({ global: { proxy: { excludeInboundPorts: '8081' } } }) },
  }),
  istio('pods that are never injected', 'istio.past-sidecar', {
    apiVersion: 'install.istio.io/v1alpha1',
    kind: 'IstioOperator',
    metadata: { name: 'i', namespace: 'istio-system' },
    spec: { values: { sidecarInjectorWebhook: { neverInjectSelector: [{ matchLabels: { a: 'b' } }] } } },
  }),
  istio(
    'ports in clear at a sidecar',
    'istio.weak-identity',
    inMesh('Sidecar', { ingress: [{ port: { number: 8081, protocol: 'HTTPS' }, tls: { mode: 'SIMPLE' } }] }),
  ),
];
