import { join } from 'node:path';
import { API_PORT, NODE_ADDRESS, NODE_NAME, POD_RANGE, REGISTRY_HOSTS, SERVICE_RANGE } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Configuration } from './configuration.ts';

/** Paths of the programs of a node. */
export interface ClusterBinaries {
  readonly apiServer: string;
  readonly containerd: string;
  readonly controllerManager: string;
  readonly etcd: string;
  readonly kubelet: string;
  readonly proxy: string;
  readonly registry: string;
  readonly scheduler: string;
}

/** A program of the node. */
export interface Program {
  readonly name: keyof ClusterBinaries;
  readonly args: readonly string[];
}

const flags = (values: Readonly<Record<string, string | number | boolean>>): readonly string[] =>
  Object.entries(values).map(([name, value]) => `--${name}=${value}`);

/** Its writes are not synced: what is kept ends with the cluster. */
const etcd = ({ state }: Layout): Program => {
  const [client, peer] = ['http://127.0.0.1:2379', 'http://127.0.0.1:2380'];
  return {
    name: 'etcd',
    args: flags({
      'unsafe-no-fsync': true,
      'data-dir': join(state, 'etcd'),
      'log-level': 'warn',
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `default=${peer}`,
    }),
  };
};

const apiServer = ({ certificates }: Layout, { serviceAccountKey, users }: Configuration): Program => ({
  name: 'apiServer',
  args: flags({
    'etcd-servers': 'http://127.0.0.1:2379',
    'bind-address': '0.0.0.0',
    'advertise-address': NODE_ADDRESS,
    'secure-port': API_PORT,
    'cert-dir': join(certificates, 'api'),
    'service-cluster-ip-range': SERVICE_RANGE,
    'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
    'service-account-key-file': serviceAccountKey,
    'service-account-signing-key-file': serviceAccountKey,
    'authorization-mode': 'Node,RBAC',
    'token-auth-file': users,
    'allow-privileged': true,
    // Not by name, which nothing resolves.
    'kubelet-preferred-address-types': 'InternalIP',
  }),
});

/** What runs from the start, waiting for the others by itself. */
export const firstPrograms = (layout: Layout, configuration: Configuration): readonly Program[] => [
  etcd(layout),
  apiServer(layout, configuration),
  { name: 'registry', args: ['serve', `${NODE_ADDRESS}:443`, layout.registryCertificate, ...REGISTRY_HOSTS] },
];

/** What runs as soon as its folder is there. */
export const containerRuntime = ({ containerd }: Configuration): Program => ({
  name: 'containerd',
  args: flags({ config: containerd }),
});

/** What runs as soon as the container runtime answers. */
export const kubelet = ({ certificates, kubeconfig }: Layout, configuration: Configuration): Program => ({
  name: 'kubelet',
  args: flags({
    config: configuration.kubelet,
    kubeconfig,
    'hostname-override': NODE_NAME,
    'node-ip': NODE_ADDRESS,
    'cert-dir': join(certificates, 'kubelet'),
  }),
});

/** What ends if the API server does not answer. */
export const clientPrograms = (
  { certificates, kubeconfig }: Layout,
  { apiCertificate, serviceAccountKey }: Configuration,
): readonly Program[] => [
  {
    name: 'controllerManager',
    args: flags({
      kubeconfig,
      'service-account-private-key-file': serviceAccountKey,
      'root-ca-file': apiCertificate,
      'leader-elect': false,
      'cluster-cidr': POD_RANGE,
      'service-cluster-ip-range': SERVICE_RANGE,
      'cert-dir': join(certificates, 'controller-manager'),
      // There is no other node: one that has no processor time for a minute is not lost.
      'node-monitor-grace-period': '10m',
    }),
  },
  {
    name: 'scheduler',
    args: flags({ kubeconfig, 'leader-elect': false, 'cert-dir': join(certificates, 'scheduler') }),
  },
  {
    name: 'proxy',
    args: flags({
      kubeconfig,
      'proxy-mode': 'nftables',
      'cluster-cidr': POD_RANGE,
      'hostname-override': NODE_NAME,
      // Limits of connection tracking belong to the whole machine.
      'conntrack-max-per-core': 0,
      'conntrack-min': 0,
      'conntrack-tcp-timeout-established': '0s',
      'conntrack-tcp-timeout-close-wait': '0s',
    }),
  },
];
