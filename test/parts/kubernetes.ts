import { KUBERNETES_VERSION, kubernetesFolder } from './cache.ts';
import type { GoPart } from './go-part.ts';

/** The modules that its go.mod names by a version that is none: each has a release of its own, v0.x.y for v1.x.y. */
const STAGING = [
  'api',
  'apiextensions-apiserver',
  'apimachinery',
  'apiserver',
  'cli-runtime',
  'client-go',
  'cloud-provider',
  'cluster-bootstrap',
  'code-generator',
  'component-base',
  'component-helpers',
  'controller-manager',
  'cri-api',
  'cri-client',
  'cri-streaming',
  'csi-translation-lib',
  'dynamic-resource-allocation',
  'endpointslice',
  'externaljwt',
  'kms',
  'kube-aggregator',
  'kube-controller-manager',
  'kube-proxy',
  'kube-scheduler',
  'kubectl',
  'kubelet',
  'metrics',
  'mount-utils',
  'pod-security-admission',
  'sample-apiserver',
  'sample-cli-plugin',
  'sample-controller',
  'streaming',
];

const [major, minor] = KUBERNETES_VERSION.split('.');

/** What the programs say of themselves. Without it Helm refuses charts that name a version of Kubernetes. */
const VERSION = {
  gitVersion: `v${KUBERNETES_VERSION}`,
  gitMajor: major,
  gitMinor: minor,
  gitTreeState: 'clean',
};

/** The API server of Kubernetes, and its client. */
export const kubernetes: GoPart = {
  name: `Kubernetes ${KUBERNETES_VERSION}`,
  folder: kubernetesFolder,
  modules: ['kube-apiserver', 'kubectl'].map((name) => `k8s.io/kubernetes/cmd/${name}`),
  version: `v${KUBERNETES_VERSION}`,
  replaces: STAGING.map((name) => `k8s.io/${name}=k8s.io/${name}@${KUBERNETES_VERSION.replace('1.', 'v0.')}`),
  ldflags: Object.entries(VERSION)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' '),
  tags: '',
  takes: 'about 8 minutes on 2 cores, once',
};
