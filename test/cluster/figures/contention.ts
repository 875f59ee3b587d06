import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { TOOLS } from '../demo.ts';
import { IMAGE } from '../release.ts';
import { idlePod } from './idle.ts';
import { metricsOf } from './metrics.ts';
import { startSidecar } from './starts.ts';
import { podCpuSeconds } from './usage.ts';

/** A sidecar with a request of processor time, beside pods that take all they get and have requested the rest of the node. */
export interface ContentionFigure {
  readonly request: string;
  /** Until it was ready; null if it was not in 3 minutes. */
  readonly startSeconds: number | null;
  /** What all pods together got of the node meanwhile, in cores: fewer than it has, if other programs run on the machine. */
  readonly podCores: number;
  /** The least of its lease that was seen, of the authority's 15 s; 0 while it denies. */
  readonly leastLeaseSeconds: number;
  /** How many looks found it without a lease. */
  readonly withoutLease: number;
  readonly looks: number;
}

const HOGS = 'hogs';
const HOG_COUNT = 4;
const LOOK_MS = 1_000;

/** Pods that compute without end. @param milliCores what each has requested */
const hogs = (milliCores: number): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: HOGS, namespace: 'default' },
  spec: {
    replicas: HOG_COUNT,
    selector: { matchLabels: { app: HOGS } },
    template: {
      metadata: { labels: { app: HOGS } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'hog',
            image: IMAGE,
            command: ['/usr/bin/node', '-e', 'for (;;);'],
            resources: { requests: { cpu: `${milliCores}m` } },
          },
        ],
      },
    },
  },
});

/** Processor time that no pod has requested yet, in thousandths of a core. */
async function freeMilliCores(cluster: Cluster): Promise<number> {
  const node = JSON.parse(await cluster.kubectl('get nodes -o json')).items[0];
  const pods: readonly { readonly spec: Record<string, readonly Container[] | undefined> }[] = JSON.parse(
    await cluster.kubectl('get pods -A --field-selector=status.phase!=Succeeded -o json'),
  ).items;
  const requested = pods
    .flatMap(({ spec }) => (spec['initContainers'] ?? []).concat(spec['containers'] ?? []))
    .map(({ resources }) => milliCoresOf(resources?.requests?.cpu ?? '0'));
  return milliCoresOf(node.status.allocatable.cpu) - requested.reduce((sum, one) => sum + one, 0);
}

interface Container {
  readonly resources?: { readonly requests?: { readonly cpu?: string } };
}

const milliCoresOf = (cpu: string): number => (cpu.endsWith('m') ? parseInt(cpu, 10) : Number(cpu) * 1_000);

/** Measures a sidecar of each request beside hogs. */
export async function measureContention(
  cluster: Cluster,
  { requests, seconds }: { readonly requests: readonly string[]; readonly seconds: number },
): Promise<readonly ContentionFigure[]> {
  const most = Math.max(...requests.map(milliCoresOf));
  // Two sidecars of the largest request have room: that which is watched, and that which starts.
  const free = Math.floor((await freeMilliCores(cluster)) - 2 * most);
  await cluster.apply(hogs(Math.floor(free / HOG_COUNT)));
  await cluster.kubectl(`rollout status deployment/${HOGS}`);
  const figures: ContentionFigure[] = [];
  try {
    for (const request of requests) figures.push(await measureRequest(cluster, request, seconds));
    return figures;
  } finally {
    await cluster.kubectl(`delete deployment ${HOGS}`);
    await cluster.kubectl(`wait pod -l app=${HOGS} --for=delete --timeout=600s`);
  }
}

async function measureRequest(cluster: Cluster, request: string, seconds: number): Promise<ContentionFigure> {
  const startedMs = performance.now();
  const before = podCpuSeconds(cluster);
  const start = await startSidecar(cluster, `beside-${request}`, request).catch(() => null);
  const lease =
    start === null ? { leastLeaseSeconds: 0, withoutLease: 0, looks: 0 } : await watchLease(cluster, request, seconds);
  const podCores = (podCpuSeconds(cluster) - before) / ((performance.now() - startedMs) / 1_000);
  return { request, startSeconds: start?.readySeconds ?? null, podCores, ...lease };
}

async function watchLease(cluster: Cluster, request: string, seconds: number) {
  const pod = `lease-${request}`;
  const { namespace } = TOOLS;
  await cluster.apply(idlePod(pod, request));
  await cluster.run(['kubectl', '-n', namespace, 'wait', `pod/${pod}`, '--for=condition=Ready', '--timeout=600s']);
  const leases: number[] = [];
  const startedMs = performance.now();
  while (performance.now() - startedMs < seconds * 1_000) {
    leases.push((await metricsOf(cluster, { namespace, pod })).valueOf('remit_sidecar_lease_seconds'));
    await delay(LOOK_MS);
  }
  await cluster.kubectl(`-n ${namespace} delete pod ${pod} --wait=true`);
  return {
    leastLeaseSeconds: Math.min(...leases),
    withoutLease: leases.filter((lease) => lease <= 0).length,
    looks: leases.length,
  };
}
