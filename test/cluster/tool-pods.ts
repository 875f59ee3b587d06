import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { envoyConfigWithSpire, shippedSpireConfig } from '../../src/tools/init/envoy-config.ts';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';
import { IMAGES } from '../parts/cluster.ts';
import { configMap, REQUESTS } from './addons/manifest.ts';
import type { Manifest } from './addons/manifest.ts';
import { IMAGE } from './release.ts';

const PORT = 8080;
/** The port of the Envoy beside a tool server. */
export const LISTENER = 8443;
/** What Pod Security `restricted` asks for. */
export const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  runAsGroup: 65_532,
  readOnlyRootFilesystem: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};
/** The volume with the Workload API of SPIFFE. */
export const SPIFFE = { name: 'spiffe', csi: { driver: 'csi.spiffe.io', readOnly: true } };
/** Where containers have it. */
export const SPIFFE_MOUNT = { name: SPIFFE.name, mountPath: '/spiffe-workload-api', readOnly: true };
const root = join(import.meta.dirname, '../..');
/** A file of the project. */
export const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

/** The SPIFFE ID of tool servers of a namespace. */
export const idIn = (namespace: string): string => `spiffe://acme.test/ns/${namespace}/sa/default`;

/** What the agent says that it wants. */
export const INTENT = `purpose: look at the tool server
access:
  - resource: https://tools.acme.test
    actions: [tools.home, tools.read, tools.create]
expires_in: 15m
`;

/** The Remit of a node, over the network. */
const NODE_REMIT = { id: 'spiffe://acme.test/ns/remit/sa/remit-node', host: 'remit-node.remit.svc', port: 9470 };

/** What an Envoy of a tool server has besides the shipped configuration. */
export interface EnvoyOptions {
  /** Whether it asks the Service of a Remit on the node, and not a socket. Default no. */
  readonly isAskedOverNetwork?: boolean;
  /** Where it sends spans to. Default nowhere that answers. */
  readonly collector?: HostPort | null;
}

/** The shipped configuration of Envoy, for a tool server in the same pod, with its SPIFFE ID. */
async function envoyConfig(
  id: string,
  { collector = null, isAskedOverNetwork = false }: EnvoyOptions,
): Promise<string> {
  const tools = { host: '127.0.0.1', port: PORT };
  const text = envoyConfigWithSpire(
    await shippedSpireConfig(),
    {
      listener: { host: '0.0.0.0', port: LISTENER },
      adminSocket: '/run/remit-envoy/admin.sock',
      remitSocket: '/run/remit/check.sock',
      payments: tools,
      files: tools,
      collector,
    },
    { socket: '/spiffe-workload-api/spire-agent.sock', id, trustDomain: 'acme.test' },
  );
  const config = text.replace('payments.acme.test', 'tools.acme.test');
  return isAskedOverNetwork ? askingOverNetwork(config, id) : config;
}

const remitOf = (clusters: readonly { readonly name: string }[]): number =>
  clusters.findIndex(({ name }) => name === 'remit');

/** The same with the cluster `remit` of the shipped configuration for a Remit on the node. */
function askingOverNetwork(text: string, id: string): string {
  const config = parse(text);
  const shipped = parse(textOf('deploy/envoy/envoy-network.yaml')).static_resources.clusters;
  const remit = shipped[remitOf(shipped)];
  const { common_tls_context: tls } = remit.transport_socket.typed_config;
  tls.tls_certificate_sds_secret_configs[0].name = id;
  tls.combined_validation_context.default_validation_context.match_typed_subject_alt_names[0].matcher.exact =
    NODE_REMIT.id;
  const { host, port } = NODE_REMIT;
  remit.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address = {
    address: host,
    port_value: port,
  };
  const { clusters } = config.static_resources;
  clusters[remitOf(clusters)] = remit;
  return stringify(config, { aliasDuplicateObjects: false });
}

/** How a pod of a tool server is made. */
export interface ToolPodOptions {
  /** Whether containers wait before they end, as the page of injection says. Default yes. */
  readonly hasPreStop?: boolean;
  /** The volume with the admin socket of Envoy. Default that of the page, which injection replaces; releases before refused it. */
  readonly adminVolume?: string;
  /** The volume with Remit's socket. Default one that injection replaces. */
  readonly socket?: object;
}

/** The ConfigMaps that {@link toolPod} mounts. */
export const toolFiles = async (namespace: string, envoy: EnvoyOptions = {}): Promise<readonly Manifest[]> => [
  configMap(namespace, 'tools', {
    'tools.mjs': textOf('deploy/compose/demo/tools.mjs'),
    'batch.mjs': textOf('test/cluster/demo/batch.mjs'),
    'intent.yaml': INTENT,
  }),
  configMap(namespace, 'envoy', { 'envoy.yaml': await envoyConfig(idIn(namespace), envoy) }),
];

/** The Service of pods whose label `app` is its name. */
export const toolService = ({ name, namespace }: { readonly name: string; readonly namespace: string }): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports: [{ port: LISTENER, targetPort: 'https' }] },
});

const toolContainer = {
  name: 'tools',
  image: IMAGE,
  resources: REQUESTS,
  env: [{ name: 'PORT', value: String(PORT) }],
  securityContext: RESTRICTED,
  // It may ask the Workload API too, as one that was taken over would.
  volumeMounts: [{ name: 'tools', mountPath: '/tools', readOnly: true }, SPIFFE_MOUNT],
};

const ADMIN_VOLUME = 'remit-envoy';

const envoyContainer = (adminVolume: string) => ({
  name: 'envoy',
  image: IMAGES.envoy,
  resources: REQUESTS,
  args: ['-c', '/etc/envoy/envoy.yaml', '--concurrency', '1'],
  ports: [{ name: 'https', containerPort: LISTENER }],
  // A machine that is busy is no reason to take a pod out of its Service.
  readinessProbe: { tcpSocket: { port: 'https' }, periodSeconds: 1, timeoutSeconds: 5 },
  securityContext: RESTRICTED,
  volumeMounts: [
    { name: 'envoy', mountPath: '/etc/envoy', readOnly: true },
    SPIFFE_MOUNT,
    { name: 'remit-run', mountPath: '/run/remit', readOnly: true },
    { name: adminVolume, mountPath: '/run/remit-envoy' },
  ],
});

const toolVolumes = (socket: object, adminVolume: string) => [
  { name: 'tools', configMap: { name: 'tools' } },
  { name: 'envoy', configMap: { name: 'envoy' } },
  SPIFFE,
  { name: 'remit-run', ...socket },
  { name: adminVolume, emptyDir: {} },
];

/** A pod with a tool server and its Envoy. */
export const toolPod = ({
  adminVolume = ADMIN_VOLUME,
  hasPreStop = true,
  socket = { emptyDir: {} },
}: ToolPodOptions = {}) => {
  const endsAfter = (seconds: number) => (hasPreStop ? { preStop: { sleep: { seconds } } } : null);
  return {
    terminationGracePeriodSeconds: 15,
    containers: [
      { ...toolContainer, command: ['/usr/bin/node', '/tools/tools.mjs'], lifecycle: endsAfter(6) },
      { ...envoyContainer(adminVolume), lifecycle: endsAfter(5) },
    ],
    volumes: toolVolumes(socket, adminVolume),
  };
};

/** A pod that ends when its tool server has answered one call. So Envoy is a native sidecar, as Remit is. */
export const batchPod = (restartPolicy: 'Never' | 'OnFailure') => ({
  restartPolicy,
  terminationGracePeriodSeconds: 15,
  initContainers: [{ ...envoyContainer(ADMIN_VOLUME), restartPolicy: 'Always' }],
  containers: [{ ...toolContainer, command: ['/usr/bin/node', '/tools/batch.mjs'] }],
  volumes: toolVolumes({ emptyDir: {} }, ADMIN_VOLUME),
});
