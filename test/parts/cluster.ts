import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CACHE_MARKER, cachedEnvoy, ENVOY_VERSION, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { PAUSE_IMAGE } from '../cluster/machine/layout.ts';
import { cacheFolder, imageBasesFolder, KUBERNETES_VERSION, SPIRE_VERSION, spireFolder } from './cache.ts';
import { writeProgramImages } from './cluster-images.ts';
import { goBuildCache, installGoPart } from './go-part.ts';
import type { GoPart } from './go-part.ts';
import { kubernetes } from './kubernetes.ts';

const CONTAINERD_VERSION = '2.4.2';

/** What a node of Kubernetes runs beside the API server. Without cgo and symbols: it is half as large. */
const kubernetesNode: GoPart = {
  ...kubernetes,
  name: `the node of Kubernetes ${KUBERNETES_VERSION}`,
  folder: join(cacheFolder, `kubernetes-node-${KUBERNETES_VERSION}`),
  modules: ['kubelet', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy'].map(
    (name) => `k8s.io/kubernetes/cmd/${name}`,
  ),
  ldflags: `-s -w ${kubernetes.ldflags}`,
  isCgo: false,
  takes: 'about 12 minutes on 2 cores, once',
};

/** Debian's is too old for this kubelet. */
const containerd: GoPart = {
  name: `containerd ${CONTAINERD_VERSION}`,
  folder: join(cacheFolder, `containerd-${CONTAINERD_VERSION}`),
  modules: ['containerd', 'containerd-shim-runc-v2', 'ctr'].map(
    (name) => `github.com/containerd/containerd/v2/cmd/${name}`,
  ),
  version: `v${CONTAINERD_VERSION}`,
  tags: 'no_btrfs,no_devmapper,no_zfs,no_tracing',
  ldflags: '-s -w',
  isCgo: false,
  takes: 'about 3 minutes on 2 cores, once',
};

/** The folders of these two, whether they are there or not. */
export const kubernetesNodeFolder = kubernetesNode.folder;
export const containerdFolder = containerd.folder;

const SOURCES = resolve(import.meta.dirname, '../cluster/programs');

/** Where the programs of the tests' own are built, whether they are there or not. Other sources are in another folder. */
export const clusterProgramsFolder = join(cacheFolder, `cluster-programs-${digestOf(SOURCES)}`);

/** Where the archive with images of the cluster's own pods is, whether it is there or not. */
export const clusterImagesFolder = join(cacheFolder, `cluster-images-${digestOfImages()}`);

/** Its name. */
export const CLUSTER_IMAGES = 'images.tar';

/** Images of the cluster, as its manifests name them. */
export const IMAGES = {
  coredns: 'localhost/coredns:test',
  csi: 'localhost/csi:test',
  envoy: `localhost/envoy:${ENVOY_VERSION}`,
  spireAgent: `localhost/spire-agent:${SPIRE_VERSION}`,
  spireServer: `localhost/spire-server:${SPIRE_VERSION}`,
} as const;

/** Installs what only a cluster takes. It is run with Envoy, etcd, Helm, SPIRE, the API server and the bases of the image beside it. Takes Go. */
export async function installCluster(say: (line: string) => void): Promise<(string | BinaryProblem)[]> {
  return [
    await installGoPart(containerd, say),
    await installGoPart(kubernetesNode, say),
    await installPrograms(say),
    await writeImages(say),
  ];
}

async function installPrograms(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(clusterProgramsFolder, CACHE_MARKER))) return clusterProgramsFolder;
  say(`building the programs of the cluster into ${clusterProgramsFolder} (about 3 minutes on 2 cores, once)`);
  try {
    return await intoCache(clusterProgramsFolder, (scratch) => {
      execFileSync('go', ['install', '-ldflags', '-s -w', './...'], {
        cwd: SOURCES,
        env: {
          GOCACHE: goBuildCache,
          ...process.env,
          GOBIN: scratch,
          CGO_ENABLED: '0',
          GOFLAGS: `${process.env['GOFLAGS'] ?? ''} -mod=readonly -buildvcs=false`.trim(),
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      return Promise.resolve(clusterProgramsFolder);
    });
  } catch (error) {
    return {
      problem: `could not build the programs of the cluster, which takes Go 1.26 or later: ${lastLines(error)}`,
    };
  }
}

const built = (name: string): string => join(clusterProgramsFolder, name);

async function writeImages(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(clusterImagesFolder, CACHE_MARKER))) return clusterImagesFolder;
  say(`writing the images of the cluster into ${clusterImagesFolder} (some seconds, once)`);
  const base = join(imageBasesFolder, 'base-amd64.tar');
  const images = [
    { image: PAUSE_IMAGE, program: built('pause') },
    { image: IMAGES.coredns, program: built('coredns') },
    { image: IMAGES.csi, program: built('csi') },
    { image: IMAGES.envoy, program: cachedEnvoy(cacheFolder, ENVOY_VERSION), base },
    { image: IMAGES.spireAgent, program: join(spireFolder, 'spire-agent'), base },
    { image: IMAGES.spireServer, program: join(spireFolder, 'spire-server'), base },
  ];
  try {
    return await intoCache(clusterImagesFolder, (scratch) => {
      writeProgramImages(images, join(scratch, CLUSTER_IMAGES), scratch);
      return Promise.resolve(clusterImagesFolder);
    });
  } catch (error) {
    return {
      problem: `could not write the images of the cluster, which takes the parts that they hold: ${lastLines(error)}`,
    };
  }
}

const lastLines = (error: unknown): string =>
  error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);

/** Of the sources of the programs, by name and content. */
function digestOf(folder: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort())
    hash.update(path.slice(folder.length)).update(readFileSync(path));
  return hash.digest('hex').slice(0, 12);
}

/** Of what they hold, and how they are written. */
function digestOfImages(): string {
  const writers = ['cluster.ts', 'cluster-images.ts'].map((file) => readFileSync(join(import.meta.dirname, file)));
  const hash = createHash('sha256').update([clusterProgramsFolder, ENVOY_VERSION, SPIRE_VERSION].join());
  for (const writer of writers) hash.update(writer);
  return hash.digest('hex').slice(0, 12);
}
