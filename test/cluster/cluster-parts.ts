import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_MARKER } from '../../src/dev/envoy-binary.ts';
import { etcdFolder, helmFolder, kubernetesFolder } from '../parts/cache.ts';
import {
  CLUSTER_IMAGES,
  clusterImagesFolder,
  clusterProgramsFolder,
  containerdFolder,
  kubernetesNodeFolder,
} from '../parts/cluster.ts';
import type { ClusterBinaries } from './machine/programs.ts';

/** What a cluster is started with. */
export interface ClusterParts {
  /** The programs of its node. */
  readonly node: ClusterBinaries;
  /** Clients that commands in it have on their path. */
  readonly clients: { readonly kubectl: string; readonly helm: string; readonly ctr: string };
  /** The archive with the images of its own pods. */
  readonly images: string;
}

/** What Debian has of a cluster: command and package. */
const DEBIAN: Readonly<Record<string, string>> = {
  '/usr/sbin/runc': 'runc',
  '/usr/lib/cni/ptp': 'containernetworking-plugins',
  '/usr/sbin/nft': 'nftables',
  '/usr/bin/nsenter': 'util-linux',
  '/usr/sbin/ip': 'iproute2',
};

/** All that a cluster takes, or the commands that install what is missing. */
export function findClusterParts(): ClusterParts | { readonly missing: string } {
  const packages = Object.entries(DEBIAN)
    .filter(([path]) => !existsSync(path))
    .map(([, name]) => name);
  const folders = [
    kubernetesFolder,
    kubernetesNodeFolder,
    etcdFolder,
    helmFolder,
    containerdFolder,
    clusterProgramsFolder,
    clusterImagesFolder,
  ];
  const isBuilt = folders.every((folder) => existsSync(join(folder, CACHE_MARKER)));
  if (packages.length > 0 || !isBuilt) {
    const install = packages.length > 0 ? [`apt-get install -y ${packages.join(' ')}`] : [];
    return { missing: [...install, ...(isBuilt ? [] : ['npm run parts -- cluster'])].join(' && ') };
  }
  return {
    node: {
      apiServer: join(kubernetesFolder, 'kube-apiserver'),
      containerd: join(containerdFolder, 'containerd'),
      controllerManager: join(kubernetesNodeFolder, 'kube-controller-manager'),
      etcd: join(etcdFolder, 'server'),
      kubelet: join(kubernetesNodeFolder, 'kubelet'),
      proxy: join(kubernetesNodeFolder, 'kube-proxy'),
      registry: join(clusterProgramsFolder, 'registry'),
      scheduler: join(kubernetesNodeFolder, 'kube-scheduler'),
    },
    clients: {
      kubectl: join(kubernetesFolder, 'kubectl'),
      helm: join(helmFolder, 'helm'),
      ctr: join(containerdFolder, 'ctr'),
    },
    images: join(clusterImagesFolder, CLUSTER_IMAGES),
  };
}
