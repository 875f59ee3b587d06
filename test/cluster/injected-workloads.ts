import { TOOLS } from './demo.ts';
import type { Manifest } from './addons/manifest.ts';
import { IMAGE } from './release.ts';
import { batchPod, toolPod, toolService } from './tool-pods.ts';

const RUN_ONCE = ['/usr/bin/node', '-p', 'process.version'];
const RUN_ON = ['/usr/bin/node', '-e', 'setInterval(() => {}, 1000)'];

/** Workloads of each kind, by name, each with something of its own that injection has to get on with. */
export const WORKLOADS = {
  /** A Deployment: Pod Security `restricted`, a group for volumes, no token, an init container and a further container. */
  deployment: 'web',
  /** A StatefulSet: its pod has the same name when it is made again. It has a native sidecar of its own. */
  statefulSet: 'store',
  /** A DaemonSet in the network of the node. */
  daemonSet: 'gate',
  /** A Job that does not try again. */
  job: 'batch',
  /** A CronJob of each minute whose Jobs try again. */
  cronJob: 'nightly',
} as const;

/** A workload with its pod. */
const workload = (
  kind: string,
  {
    name,
    namespace = TOOLS.namespace,
    pod,
    spec = {},
  }: { readonly name: string; readonly namespace?: string; readonly pod: object; readonly spec?: object },
) => {
  const labels = { app: name };
  const isBatch = kind === 'Job';
  return {
    apiVersion: isBatch ? 'batch/v1' : 'apps/v1',
    kind,
    metadata: { name, namespace, labels },
    spec: {
      ...(isBatch ? {} : { selector: { matchLabels: labels } }),
      ...spec,
      template: { metadata: { labels }, spec: pod },
    },
  };
};

const small = (name: string, more: object) => ({
  name,
  image: IMAGE,
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  ...more,
});

/** A Deployment with its Service whose pod is what a careful author writes. */
export const carefulDeployment = (name: string, namespace: string): readonly Manifest[] => [
  toolService({ name, namespace }),
  workload('Deployment', { name, namespace, pod: carefulPod() }),
];

const carefulPod = () => {
  const pod = toolPod();
  return {
    ...pod,
    automountServiceAccountToken: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1_000,
      runAsGroup: 1_000,
      fsGroup: 2_000,
      supplementalGroups: [3_000],
      seccompProfile: { type: 'RuntimeDefault' },
    },
    initContainers: [small('first', { command: RUN_ONCE })],
    containers: [...pod.containers, small('beside', { command: RUN_ON })],
  };
};

/** All of {@link WORKLOADS}, each with its Service. */
export const workloads = (): readonly Manifest[] => {
  const { namespace } = TOOLS;
  const { cronJob, daemonSet, deployment, job, statefulSet } = WORKLOADS;
  const once = workload('Job', { name: cronJob, pod: batchPod('OnFailure') });
  return [
    ...carefulDeployment(deployment, namespace),
    ...[statefulSet, daemonSet, job, cronJob].map((name) => toolService({ name, namespace })),
    workload('StatefulSet', {
      name: statefulSet,
      pod: { ...toolPod(), initContainers: [small('own', { command: RUN_ON, restartPolicy: 'Always' })] },
      spec: { serviceName: statefulSet },
    }),
    workload('DaemonSet', {
      name: daemonSet,
      pod: { ...toolPod(), hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
    }),
    workload('Job', { name: job, pod: batchPod('Never'), spec: { backoffLimit: 0 } }),
    {
      ...once,
      kind: 'CronJob',
      spec: {
        schedule: '* * * * *',
        concurrencyPolicy: 'Forbid',
        jobTemplate: { metadata: { labels: { app: cronJob } }, spec: { template: once.spec.template } },
      },
    },
  ];
};
