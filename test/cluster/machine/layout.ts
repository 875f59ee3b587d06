import { join } from 'node:path';

/** Addresses of the cluster: all are inside its own network namespace. */
export const NODE_ADDRESS = '10.77.0.1';
export const API_PORT = 6443;
export const POD_RANGE = '10.244.0.0/24';
export const SERVICE_RANGE = '10.96.0.0/16';
export const DNS_ADDRESS = '10.96.0.10';
export const NODE_NAME = 'node-1';

/** Names that the registry of the cluster has, so that published commands work word for word. */
export const REGISTRY_HOSTS = ['ghcr.io'];

/** The sandbox image that containerd starts for each pod. */
export const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10';

/** Where containerd keeps images and what it made of them. */
export const CONTAINERD_ROOT = '/var/lib/containerd';

/** PersistentVolumes on the node that the default storage class has. */
export const VOLUMES = ['local-0', 'local-1', 'local-2'] as const;

/** Paths below the folder of a cluster. What is below `state` is in memory, and only programs in the mount namespace of the cluster see it. */
export interface Layout {
  readonly folder: string;
  readonly state: string;
  /** Parent of all control groups of its pods, as a path in each hierarchy. */
  readonly controlGroup: string;
  readonly kubeconfig: string;
  /** Certificates that the programs make themselves. */
  readonly certificates: string;
  /** What the registry's clients must trust. */
  readonly registryCertificate: string;
  readonly logs: string;
  readonly containerdSocket: string;
  readonly volumes: string;
  /** Configuration of the network of pods, and programs that pods add to it. */
  readonly networks: string;
  readonly networkPrograms: string;
}

/** @param folder its last name tells it from other clusters of the machine */
export function layoutOf(folder: string): Layout {
  const state = join(folder, 'state');
  return {
    folder,
    state,
    controlGroup: `/${folder.split('/').at(-1)}`,
    kubeconfig: join(state, 'kubeconfig'),
    certificates: join(state, 'certificates'),
    registryCertificate: join(state, 'certificates/registry.crt'),
    logs: join(state, 'logs'),
    containerdSocket: '/run/containerd/containerd.sock',
    volumes: join(state, 'volumes'),
    networks: join(state, 'networks'),
    networkPrograms: join(state, 'network-programs'),
  };
}
