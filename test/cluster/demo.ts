import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { envoyConfigWithSpire, shippedSpireConfig } from '../../src/dev/envoy-config.ts';
import { IMAGES } from '../parts/cluster.ts';
import { configMap } from './addons/manifest.ts';
import type { Cluster } from './cluster.ts';
import { IMAGE } from './release.ts';

const PORT = 8080;
const LISTENER = 8443;
/** What Pod Security `restricted` asks for. */
const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  runAsGroup: 65_532,
  readOnlyRootFilesystem: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};
const SPIFFE = { name: 'spiffe', csi: { driver: 'csi.spiffe.io', readOnly: true } };
const SPIFFE_MOUNT = { name: SPIFFE.name, mountPath: '/spiffe-workload-api', readOnly: true };
const root = join(import.meta.dirname, '../..');
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

/** The namespace and Deployment of the tool servers, as the page has them. */
export const TOOLS = { namespace: 'demo', name: 'tools', id: 'spiffe://acme.test/ns/demo/sa/default' };

const INTENT = `purpose: look at the tool server
access:
  - resource: https://tools.acme.test
    actions: [tools.home, tools.read, tools.create]
expires_in: 15m
`;

/** The Remit of a node, over the network. */
const NODE_REMIT = { id: 'spiffe://acme.test/ns/remit/sa/remit-node', host: 'remit-node.remit.svc', port: 9470 };

/** The shipped configuration of Envoy, for a tool server in the same pod. */
async function envoyConfig(isAskedOverNetwork: boolean): Promise<string> {
  const tools = { host: '127.0.0.1', port: PORT };
  const text = envoyConfigWithSpire(
    await shippedSpireConfig(),
    {
      listener: { host: '0.0.0.0', port: LISTENER },
      adminSocket: '/run/remit-envoy/admin.sock',
      remitSocket: '/run/remit/check.sock',
      payments: tools,
      files: tools,
      collector: null,
    },
    { socket: '/spiffe-workload-api/spire-agent.sock', id: TOOLS.id, trustDomain: 'acme.test' },
  );
  const config = text.replace('payments.acme.test', 'tools.acme.test');
  return isAskedOverNetwork ? askingOverNetwork(config) : config;
}

const remitOf = (clusters: readonly { readonly name: string }[]): number =>
  clusters.findIndex(({ name }) => name === 'remit');

/** The same with the cluster `remit` of the shipped configuration for a Remit on the node. */
function askingOverNetwork(text: string): string {
  const config = parse(text);
  const shipped = parse(textOf('deploy/envoy/envoy-network.yaml')).static_resources.clusters;
  const remit = shipped[remitOf(shipped)];
  const { common_tls_context: tls } = remit.transport_socket.typed_config;
  tls.tls_certificate_sds_secret_configs[0].name = TOOLS.id;
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

/** How tool servers run. */
export interface ToolsOptions {
  readonly replicas?: number;
  /** Whether containers wait before they end, as the page of injection says. Default yes. */
  readonly hasPreStop?: boolean;
  /** Whether Envoy asks the Service of a Remit on the node, and not a socket. Default no. */
  readonly isAskedOverNetwork?: boolean;
  /** The volume with the admin socket of Envoy. Default that of the page, which injection replaces; releases before refused it. */
  readonly adminVolume?: string;
  /** The volume with Remit's socket. Default one that injection replaces. */
  readonly socket?: object;
}

/** Makes the namespaces, and tool servers behind an Envoy as the page of injection has it: what is there before Remit is installed. */
export async function startTools(
  cluster: Cluster,
  {
    adminVolume = 'remit-envoy',
    hasPreStop = true,
    isAskedOverNetwork = false,
    replicas = 1,
    socket = { emptyDir: {} },
  }: ToolsOptions = {},
): Promise<void> {
  const endsAfter = (seconds: number): object | null => (hasPreStop ? { preStop: { sleep: { seconds } } } : null);
  const { name, namespace } = TOOLS;
  const labels = { app: name };
  await cluster.apply(
    ...[namespace, 'agents'].map((one) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: one } })),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'planner', namespace: 'agents' } },
    configMap(namespace, 'tools', { 'tools.mjs': textOf('deploy/compose/demo/tools.mjs'), 'intent.yaml': INTENT }),
    configMap(namespace, 'envoy', { 'envoy.yaml': await envoyConfig(isAskedOverNetwork) }),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 15,
            containers: [
              {
                name: 'tools',
                image: IMAGE,
                command: ['/usr/bin/node', '/tools/tools.mjs'],
                env: [{ name: 'PORT', value: String(PORT) }],
                lifecycle: endsAfter(6),
                securityContext: RESTRICTED,
                // It may ask the Workload API too, as one that was taken over would.
                volumeMounts: [{ name: 'tools', mountPath: '/tools', readOnly: true }, SPIFFE_MOUNT],
              },
              {
                name: 'envoy',
                image: IMAGES.envoy,
                args: ['-c', '/etc/envoy/envoy.yaml', '--concurrency', '1'],
                ports: [{ name: 'https', containerPort: LISTENER }],
                // A machine that is busy is no reason to take a pod out of its Service.
                readinessProbe: { tcpSocket: { port: 'https' }, periodSeconds: 1, timeoutSeconds: 5 },
                lifecycle: endsAfter(5),
                securityContext: RESTRICTED,
                volumeMounts: [
                  { name: 'envoy', mountPath: '/etc/envoy', readOnly: true },
                  SPIFFE_MOUNT,
                  { name: 'remit-run', mountPath: '/run/remit', readOnly: true },
                  { name: adminVolume, mountPath: '/run/remit-envoy' },
                ],
              },
            ],
            volumes: [
              { name: 'tools', configMap: { name: 'tools' } },
              { name: 'envoy', configMap: { name: 'envoy' } },
              SPIFFE,
              { name: 'remit-run', ...socket },
              { name: adminVolume, emptyDir: {} },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: labels, ports: [{ port: LISTENER, targetPort: 'https' }] },
    },
  );
}

/** A pod of the agent `planner` under `remit run`. */
export interface AgentPod {
  readonly name: string;
  /** A program of `demo/`. */
  readonly program: 'agent.mjs' | 'load.mjs';
  readonly environment: Readonly<Record<string, string>>;
}

/** Starts one. It ends when its program does. */
export async function startAgent(cluster: Cluster, { environment, name, program }: AgentPod): Promise<void> {
  const forward = `tools=https://tools.acme.test,connect=tools.demo.svc:${LISTENER},id=${TOOLS.id}`;
  await cluster.apply(
    configMap('agents', name, { [program]: textOf(`test/cluster/demo/${program}`), 'intent.yaml': INTENT }),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'agents' },
      spec: {
        serviceAccountName: 'planner',
        automountServiceAccountToken: false,
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: 'agent',
            image: IMAGE,
            args: [
              'run',
              '--intent=/agent/intent.yaml',
              '--issuer=https://remit-authority.remit.svc:9472',
              '--workload-api=unix:/spiffe-workload-api/spire-agent.sock',
              `--forward=${forward}`,
              '--',
              '/usr/bin/node',
              `/agent/${program}`,
            ],
            env: Object.entries(environment).map(([name, value]) => ({ name, value })),
            securityContext: RESTRICTED,
            volumeMounts: [
              { name: 'agent', mountPath: '/agent', readOnly: true },
              SPIFFE_MOUNT,
              { name: 'tmp', mountPath: '/tmp' },
            ],
          },
        ],
        volumes: [{ name: 'agent', configMap: { name } }, SPIFFE, { name: 'tmp', emptyDir: {} }],
      },
    },
  );
}

/** Waits until an agent has ended, and returns the lines of its program: one for each call, which begins with the status. */
export async function linesOf(cluster: Cluster, name: string): Promise<readonly string[]> {
  const words = ['wait', `pod/${name}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=170s'];
  await cluster.run(['kubectl', '-n', 'agents', ...words]);
  const log = await cluster.kubectl(`-n agents logs ${name}`);
  return log.split('\n').filter((line) => /^\d{3} /.test(line));
}
