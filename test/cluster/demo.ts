import { configMap, REQUESTS } from './addons/manifest.ts';
import type { Cluster } from './cluster.ts';
import { IMAGE } from './release.ts';
import {
  idIn,
  INTENT,
  LISTENER,
  RESTRICTED,
  SPIFFE,
  SPIFFE_MOUNT,
  textOf,
  toolFiles,
  toolPod,
  toolService,
} from './tool-pods.ts';
import type { EnvoyOptions, ToolPodOptions } from './tool-pods.ts';

/** The namespace and Deployment of the tool servers, as the page has them. */
export const TOOLS = { namespace: 'demo', name: 'tools', id: idIn('demo') };

/** How tool servers run. */
export interface ToolsOptions extends ToolPodOptions, EnvoyOptions {
  readonly replicas?: number;
}

/** Makes the namespaces, and tool servers behind an Envoy as the page of injection has it: what is there before Remit is installed. */
export async function startTools(
  cluster: Cluster,
  { collector = null, isAskedOverNetwork = false, replicas = 1, ...pod }: ToolsOptions = {},
): Promise<void> {
  const { name, namespace } = TOOLS;
  const labels = { app: name };
  await cluster.apply(
    ...[namespace, 'agents'].map((one) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: one } })),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'planner', namespace: 'agents' } },
    ...(await toolFiles(namespace, { collector, isAskedOverNetwork })),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: toolPod(pod) },
      },
    },
    toolService(TOOLS),
  );
}

/** A pod of the agent `planner` under `remit run`. */
export interface AgentPod {
  readonly name: string;
  /** A program of `demo/`. */
  readonly program: 'agent.mjs' | 'load.mjs';
  readonly environment: Readonly<Record<string, string>>;
  /** The Service of the tool servers that it calls. Default that of the Deployment. */
  readonly server?: { readonly namespace: string; readonly name: string; readonly id?: string };
  /** Default that of this tree. */
  readonly image?: string;
}

/** Starts one. It ends when its program does, and starts again if that fails. */
export async function startAgent(
  cluster: Cluster,
  { environment, image = IMAGE, name, program, server = TOOLS }: AgentPod,
): Promise<void> {
  const { id = idIn(server.namespace), name: service, namespace } = server;
  const connect = `connect=${service}.${namespace}.svc:${LISTENER},id=${id}`;
  const forward = `tools=https://tools.acme.test,${connect}`;
  await cluster.apply(
    configMap('agents', name, { [program]: textOf(`test/cluster/demo/${program}`), 'intent.yaml': INTENT }),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'agents' },
      spec: {
        serviceAccountName: 'planner',
        automountServiceAccountToken: false,
        // `remit run` ends if it gets no SVID in time, as on a slow machine.
        restartPolicy: 'OnFailure',
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: 'agent',
            image,
            resources: REQUESTS,
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
  const words = ['wait', `pod/${name}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=600s'];
  await cluster.run(['kubectl', '-n', 'agents', ...words]);
  const log = await cluster.kubectl(`-n agents logs ${name}`);
  return log.split('\n').filter((line) => /^\d{3} /.test(line));
}
