import { until } from '../../until.ts';
import { configMap } from '../addons/manifest.ts';
import type { Cluster } from '../cluster.ts';
import { IMAGE } from '../release.ts';
import { RESTRICTED, SPIFFE, SPIFFE_MOUNT, textOf } from '../tool-pods.ts';
import type { Authority } from './mesh.ts';

/** Where agents of the mesh call the tool servers: in clear, since their own Envoy makes mutual TLS of it. */
export const TOOLS_HOST = 'tools.demo.svc.cluster.local';
const PORT = 8080;
const PROGRAMS = 'test/cluster/istio/programs';
/** What an agent says that it wants. */
export const INTENT = `purpose: look at the tool server
access:
  - resource: https://${TOOLS_HOST}
    actions: [tools.home, tools.read, tools.create]
expires_in: 30m
`;

/** Templates of Istio's injector for a pod. */
export const templates = (authority: Authority, ...others: readonly string[]): string =>
  ['sidecar', ...(authority === 'spire' ? ['spire'] : []), ...others].join();

/** How tool servers of the mesh run. */
export interface MeshTools {
  readonly authority: Authority;
  readonly name?: string;
  readonly namespace?: string;
  readonly replicas?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Further templates of Istio's injector. Default none. */
  readonly templates?: readonly string[];
  /** More of the pod. Default none. */
  readonly pod?: Readonly<Record<string, unknown>>;
}

/** A Deployment of tool servers with its Service, as the page has it. */
export function meshTools(options: MeshTools): readonly object[] {
  const { authority, name = 'tools', namespace = 'demo', replicas = 1 } = options;
  const labels = { app: name };
  const metadata = {
    labels: { ...labels, ...options.labels },
    annotations: {
      'inject.istio.io/templates': templates(authority, ...(options.templates ?? [])),
      ...options.annotations,
    },
  };
  const container = {
    name: 'tools',
    image: IMAGE,
    command: ['/usr/bin/node', '/tools/tools.mjs'],
    env: [{ name: 'PORT', value: String(PORT) }],
    ports: [{ name: 'http', containerPort: PORT }],
    lifecycle: { preStop: { sleep: { seconds: 5 } } },
    readinessProbe: { tcpSocket: { port: 'http' }, periodSeconds: 1, timeoutSeconds: 5 },
    securityContext: RESTRICTED,
    volumeMounts: [{ name: 'tools', mountPath: '/tools', readOnly: true }],
  };
  return [
    configMap(namespace, 'tools', { 'tools.mjs': textOf(`${PROGRAMS}/tools.mjs`) }),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata,
          spec: {
            terminationGracePeriodSeconds: 20,
            containers: [container],
            volumes: [{ name: 'tools', configMap: { name: 'tools' } }],
            ...options.pod,
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    },
  ];
}

/** A call that an agent makes. */
export interface Call {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default yes. */
  readonly hasToken?: boolean;
}

/** What came of one. */
export interface Came {
  readonly what: string;
  readonly status: number;
  readonly reason?: string;
  readonly text?: string;
}

/** A pod of an agent in the mesh. */
export interface MeshAgent {
  readonly name: string;
  readonly authority: Authority;
  readonly program: 'agent.mjs' | 'load.mjs';
  readonly environment: Readonly<Record<string, string>>;
  /** Its service account. Default `planner`. */
  readonly account?: string;
  /** Whether it is started by `remit run`, and so has a task. Default yes. */
  readonly isRun?: boolean;
  /** Whether it has Istio's sidecar. Default yes. */
  readonly isInMesh?: boolean;
  /** What `remit run` forwards for it. Default nothing: it calls with its token. */
  readonly forward?: string;
  /** Further options of `remit run`. Default none. */
  readonly options?: readonly string[];
  /** Further annotations. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Whether it is a Job and no pod. Default no. */
  readonly isJob?: boolean;
}

/** Starts one. It ends when its program does. */
export async function startMeshAgent(cluster: Cluster, agent: MeshAgent): Promise<void> {
  const { account = 'planner', authority, environment, forward, isInMesh = true, isRun = true, name, program } = agent;
  const run = [
    'run',
    '--intent=/agent/intent.yaml',
    '--issuer=https://remit-authority.remit.svc:9472',
    '--workload-api=unix:/spiffe-workload-api/spire-agent.sock',
    ...(forward === undefined ? [] : [`--forward=${forward}`]),
    ...(agent.options ?? []),
    '--',
  ];
  const words = ['/usr/bin/node', `/agent/${program}`];
  const metadata = {
    labels: { 'sidecar.istio.io/inject': String(isInMesh) },
    annotations: {
      'inject.istio.io/templates': templates(authority),
      'sidecar.istio.io/nativeSidecar': 'true',
      ...agent.annotations,
    },
  };
  const variables = Object.entries({ TOOLS: `http://${TOOLS_HOST}`, ...environment });
  const spec = {
    serviceAccountName: account,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 10,
    containers: [
      {
        name: 'agent',
        image: IMAGE,
        ...(isRun ? { args: [...run, ...words] } : { command: words }),
        env: variables.map(([key, value]) => ({ name: key, value })),
        securityContext: RESTRICTED,
        volumeMounts: [
          { name: 'agent', mountPath: '/agent', readOnly: true },
          SPIFFE_MOUNT,
          { name: 'tmp', mountPath: '/tmp' },
        ],
      },
    ],
    volumes: [{ name: 'agent', configMap: { name } }, SPIFFE, { name: 'tmp', emptyDir: {} }],
  };
  await cluster.apply(
    configMap('agents', name, { [program]: textOf(`${PROGRAMS}/${program}`), 'intent.yaml': INTENT }),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace: 'agents' } },
    agent.isJob === true
      ? {
          apiVersion: 'batch/v1',
          kind: 'Job',
          metadata: { name, namespace: 'agents' },
          spec: { backoffLimit: 0, template: { metadata, spec } },
        }
      : { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'agents', ...metadata }, spec },
  );
}

const logOf = async (cluster: Cluster, name: string): Promise<string> =>
  (await cluster.tried(['kubectl', '-n', 'agents', 'logs', name, '-c', 'agent'])).stdout;

const isOver = async (cluster: Cluster, name: string): Promise<boolean> => {
  const path = '{.status.containerStatuses[?(@.name=="agent")].state.terminated.reason}';
  return (await cluster.run(['kubectl', '-n', 'agents', 'get', 'pod', name, '-o', `jsonpath=${path}`])) !== '';
};

/** Waits until an agent has made its calls, and returns what came of each. Rejects with its log if it ends without them. */
export async function cameOf(cluster: Cluster, name: string, count: number): Promise<readonly Came[]> {
  return until(
    async () => {
      const over = await isOver(cluster, name);
      const log = await logOf(cluster, name);
      const came = [...log.matchAll(/^CALL (.*)$/gm)].map(([, json = '']): Came => JSON.parse(json));
      if (came.length >= count) return came;
      if (over) throw new Error(`the agent ${name} ended: ${log}`);
      return undefined;
    },
    { what: `calls of ${name}`, withinMs: 180_000 },
  );
}

/** The token of an agent that holds it, as base64. */
export const tokenOf = (cluster: Cluster, name: string): Promise<string> =>
  until(async () => /^TOKEN (\S+)$/m.exec(await logOf(cluster, name))?.[1], { what: `the token of ${name}` });

/** Ends an agent that holds its token, and with it its task. */
export async function endAgent(cluster: Cluster, name: string): Promise<void> {
  await cluster.kubectl(`-n agents exec ${name} -c agent -- /usr/bin/node -e process.kill(1)`);
  await until(() => isOver(cluster, name), { what: `the end of ${name}` });
}

/** What came of the calls of a load. */
export interface MeshLoad {
  readonly made: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly p50: number;
  readonly p99: number;
  readonly failures: readonly { readonly atMs: number; readonly answer: string }[];
}

/** Starts a load, and waits until it calls. */
export async function startMeshLoad(
  cluster: Cluster,
  load: Pick<MeshAgent, 'authority' | 'name'> & {
    readonly rate: number;
    readonly seconds: number;
    readonly host?: string;
  },
): Promise<void> {
  const { authority, host = TOOLS_HOST, name, rate, seconds } = load;
  const environment = { RATE: String(rate), SECONDS: String(seconds), TOOLS: `http://${host}` };
  await startMeshAgent(cluster, { name, authority, program: 'load.mjs', environment });
  await until(
    async () => {
      const log = await logOf(cluster, name);
      if (await isOver(cluster, name)) throw new Error(`the load ${name} ended: ${log}`);
      return log.includes('calling');
    },
    { what: `a load ${name} that calls`, withinMs: 180_000 },
  );
}

/** Waits until it has made its calls, and returns what came of them. */
export async function meshLoadOf(cluster: Cluster, name: string, withinMs: number): Promise<MeshLoad> {
  const text = await until(async () => /^\{"made".*$/m.exec(await logOf(cluster, name))?.[0], {
    what: `the result of ${name}`,
    withinMs,
  });
  return JSON.parse(text);
}
