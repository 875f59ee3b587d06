import type { Cluster } from '../cluster.ts';
import { TOOLS } from '../demo.ts';
import { median } from '../../bench/statistics.ts';
import { idlePod } from './idle.ts';
import { AUTHORITY } from './loads.ts';
import { meterOf } from './usage.ts';

/** From the creation of a pod, as a client of the API server sees it. Medians over the rounds. */
export interface StartFigure {
  readonly what: string;
  readonly rounds: number;
  readonly readySeconds: number;
  /** Processor time of the container until then. */
  readonly cpuSeconds: number;
}

/** How often each is started. */
export interface StartOptions {
  readonly rounds: number;
}

/** One start. */
export interface Start {
  readonly readySeconds: number;
  readonly cpuSeconds: number;
}

/** Starts something again and again. */
export async function rounds(
  what: string,
  count: number,
  start: (round: number) => Promise<Start>,
): Promise<StartFigure> {
  const starts: Start[] = [];
  for (let round = 0; round < count; round += 1) starts.push(await start(round));
  return {
    what,
    rounds: count,
    readySeconds: median(starts.map(({ readySeconds }) => readySeconds)),
    cpuSeconds: median(starts.map(({ cpuSeconds }) => cpuSeconds)),
  };
}

const SIDECAR_STARTED = '--for=jsonpath={.status.initContainerStatuses[0].started}=true';

/** An injected pod whose image is on the node: until its sidecar is ready, when its other containers start. */
export async function startSidecar(cluster: Cluster, name: string, cpuRequest: string): Promise<Start> {
  await cluster.apply(idlePod(name, cpuRequest));
  const startedMs = performance.now();
  const wait = ['wait', `pod/${name}`, SIDECAR_STARTED, '--timeout=180s'];
  try {
    await cluster.run(['kubectl', '-n', TOOLS.namespace, ...wait]);
    const readySeconds = (performance.now() - startedMs) / 1_000;
    const usage = await meterOf(cluster, { namespace: TOOLS.namespace, pod: name, container: 'remit' });
    return { readySeconds, cpuSeconds: usage().cpuSeconds };
  } finally {
    await cluster.kubectl(`-n ${TOOLS.namespace} delete pod ${name} --wait=true`);
  }
}

export const measureSidecarStart = (cluster: Cluster, { rounds: count }: StartOptions): Promise<StartFigure> =>
  rounds('sidecar', count, (round) => startSidecar(cluster, `start-${round}`, '10m'));

/** The authority, on the volume that it has. */
export const measureAuthorityStart = (cluster: Cluster, { rounds: count }: StartOptions): Promise<StartFigure> =>
  rounds('authority', count, async () => {
    const { namespace, pod } = AUTHORITY;
    const scale = (replicas: number) =>
      cluster.kubectl(`-n ${namespace} scale statefulset/remit-authority --replicas=${replicas}`);
    await scale(0);
    await cluster.kubectl(`-n ${namespace} wait pod/${pod} --for=delete --timeout=600s`);
    await scale(1);
    const startedMs = performance.now();
    await cluster.kubectl(`-n ${namespace} wait pod/${pod} --for=create --timeout=600s`);
    await cluster.kubectl(`-n ${namespace} wait pod/${pod} --for=condition=Ready --timeout=600s`);
    return {
      readySeconds: (performance.now() - startedMs) / 1_000,
      cpuSeconds: (await meterOf(cluster, AUTHORITY))().cpuSeconds,
    };
  });
