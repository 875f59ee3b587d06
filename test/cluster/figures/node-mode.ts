import { register } from '../addons.ts';
import type { Cluster } from '../cluster.ts';
import { startTools } from '../demo.ts';
import { endLoad, startLoad } from '../load.ts';
import { restartTools } from './tools.ts';
import { rounds } from './starts.ts';
import type { Start, StartFigure, StartOptions } from './starts.ts';
import { meterOf, watch } from './usage.ts';
import type { Taken } from './usage.ts';

/** The Remit of a node in node mode. */
export interface NodeFigure {
  readonly start: StartFigure;
  readonly asked: number;
  readonly idle: NodeUse;
  readonly loaded: NodeUse;
}

/** What it took. */
export interface NodeUse {
  readonly workingSetMiB: number;
  /** Processor time of a second, in thousandths of a core. */
  readonly milliCores: number;
}

const NAMESPACE = 'remit';
const SELECTOR = 'app.kubernetes.io/component=node';
const AUDIENCES = 'https://tools.acme.test';

/** Changes the installation to node mode, where tool servers ask over a socket of the node, and measures it. */
export async function measureNode(
  cluster: Cluster,
  { rate, rounds: count, seconds }: StartOptions & { readonly rate: number; readonly seconds: number },
): Promise<NodeFigure> {
  await cluster.kubectl('label namespace demo remit.dev/injection-');
  await register(cluster, [
    { id: `spiffe://acme.test/ns/${NAMESPACE}/sa/remit-node`, selectors: ['k8s:ns:remit', 'k8s:sa:remit-node'] },
  ]);
  const values = [
    '--set',
    'mode=node',
    '--set-json',
    'sidecar.namespaces=[]',
    '--set',
    `node.audiences={${AUDIENCES}}`,
  ];
  const chart = 'oci://ghcr.io/remit-dev/charts/remit';
  await cluster.run(['helm', 'upgrade', 'remit', chart, '-n', NAMESPACE, '--reuse-values', ...values]);
  await cluster.kubectl(`-n ${NAMESPACE} rollout status statefulset/remit-authority`);
  await cluster.kubectl(`-n ${NAMESPACE} rollout status daemonset/remit-node`);
  const start = await rounds('node', count, () => startNode(cluster));
  await startTools(cluster, { socket: { hostPath: { path: '/run/remit' } } });
  await restartTools(cluster);
  const meters = {
    node: await meterOf(cluster, { namespace: NAMESPACE, pod: await podOf(cluster), container: 'remit' }),
  };
  const idle = (await watch(meters, seconds)).node;
  const load = await startLoad(cluster, { rate });
  const loaded = (await watch(meters, seconds)).node;
  await endLoad(cluster, load);
  return { start, asked: rate, idle: useOf(idle), loaded: useOf(loaded) };
}

const useOf = ({ cpuSeconds, seconds, workingSetMiB }: Taken): NodeUse => ({
  workingSetMiB,
  milliCores: (cpuSeconds / seconds) * 1_000,
});

const podOf = async (cluster: Cluster): Promise<string> =>
  (await cluster.kubectl(`-n ${NAMESPACE} get pods -l ${SELECTOR} -o jsonpath={.items[0].metadata.name}`)).trim();

/** Ends the pod of the node, and starts the next one. */
async function startNode(cluster: Cluster): Promise<Start> {
  const former = await podOf(cluster);
  await cluster.kubectl(`-n ${NAMESPACE} delete pod ${former} --wait=false`);
  await cluster.kubectl(`-n ${NAMESPACE} wait pod/${former} --for=delete --timeout=600s`);
  await cluster.kubectl(`-n ${NAMESPACE} rollout status daemonset/remit-node`);
  const pod = await podOf(cluster);
  const usage = await meterOf(cluster, { namespace: NAMESPACE, pod, container: 'remit' });
  // The next one was made before the former one had ended. Its own times have whole seconds.
  const path = '{.metadata.creationTimestamp} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}';
  const words = ['-n', NAMESPACE, 'get', 'pod', pod, '-o', `jsonpath=${path}`];
  const [made = '', ready = ''] = (await cluster.run(['kubectl', ...words])).split(' ');
  return { readySeconds: (Date.parse(ready) - Date.parse(made)) / 1_000, cpuSeconds: usage().cpuSeconds };
}
