import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { writeArchive } from '../../.ci/release/archive.ts';
import { CACHE_MARKER, cachedEnvoy, ENVOY_VERSION, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder, imageBasesFolder, ISTIO_VERSION, istioFolder } from './cache.ts';
import { writeProgramImages } from './cluster-images.ts';
import { installGoPart, type GoPart } from './go-part.ts';
import { folderOfModule } from './meshes.ts';

const common = { version: ISTIO_VERSION, tags: '', ldflags: '-s -w', isCgo: false } as const;

/** The agent of Istio's sidecars. */
const sidecar: GoPart = {
  ...common,
  name: `the sidecar of Istio ${ISTIO_VERSION}`,
  folder: join(cacheFolder, `istio-sidecar-${ISTIO_VERSION}`),
  modules: ['istio.io/istio/pilot/cmd/pilot-agent'],
  takes: 'about 2 minutes on 2 cores, once',
};

/** Istio's CNI plugin, with what installs it. */
const cni: GoPart = {
  ...common,
  name: `the CNI plugin of Istio ${ISTIO_VERSION}`,
  folder: join(cacheFolder, `istio-cni-${ISTIO_VERSION}`),
  modules: ['istio-cni', 'install-cni'].map((name) => `istio.io/istio/cni/cmd/${name}`),
  takes: 'about 3 minutes on 2 cores, once',
};

/** Images, as the charts of Istio name them with the hub and the tag of {@link ISTIO_IMAGES}. */
export const ISTIO_IMAGES = { hub: 'localhost/istio', tag: 'test' } as const;

/** Where Istio's images for a cluster and its charts are, whether they are there or not. */
export const istioClusterFolder = join(cacheFolder, `istio-cluster-${digestOfWriters()}`);

/** What a cluster takes to have Istio. */
export interface IstioClusterParts {
  /** An archive of images. */
  readonly images: string;
  /** The folder of the charts `base`, `istio-discovery` and `istio-cni`. */
  readonly charts: string;
}

/** Its files, or null if it is not in the cache. */
export const findIstioCluster = (): IstioClusterParts | null =>
  existsSync(join(istioClusterFolder, CACHE_MARKER))
    ? { images: join(istioClusterFolder, IMAGES), charts: join(istioClusterFolder, CHARTS) }
    : null;

const IMAGES = 'images.tar';
const CHARTS = 'charts';
const CHART_FOLDERS: Readonly<Record<string, string>> = {
  base: 'base',
  'istio-cni': 'istio-cni',
  'istio-discovery': 'istio-control/istio-discovery',
};
/** The rules of redirection are set by Debian's. */
const DEBIAN = ['libc6', 'libgcc-s1', 'libstdc++6', 'iptables', 'iproute2'];
/** What Debian's scripts of installation would link. */
const IPTABLES = ['iptables', 'iptables-save', 'iptables-restore', 'ip6tables', 'ip6tables-save', 'ip6tables-restore'];
const SECONDS = 315_532_800;

/** Installs what a cluster takes to have Istio, beside istiod itself. It is run with Envoy, istiod and the bases of the image there. Takes Go and mmdebstrap. */
export async function installIstioCluster(say: (line: string) => void): Promise<(string | BinaryProblem)[]> {
  return [await installGoPart(sidecar, say), await installGoPart(cni, say), await writeImages(say)];
}

async function writeImages(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(istioClusterFolder, CACHE_MARKER))) return istioClusterFolder;
  say(`writing the images of Istio into ${istioClusterFolder} (about a minute, once)`);
  try {
    return await intoCache(istioClusterFolder, (scratch) => {
      const module = folderOfModule('istio.io/istio', ISTIO_VERSION);
      for (const [name, path] of Object.entries(CHART_FOLDERS))
        cpSync(join(module, 'manifests/charts', path), join(scratch, CHARTS, name), { recursive: true });
      // Files of the module cache are read-only, and folders too.
      execFileSync('chmod', ['--recursive', 'u+w', join(scratch, CHARTS)]);
      const proxy = writeBase(scratch, 'pilot-agent', (root) => {
        execFileSync('strip', ['-o', join(root, 'usr/local/bin/envoy'), cachedEnvoy(cacheFolder, ENVOY_VERSION)]);
        const bootstrap = join(module, 'tools/packaging/common/envoy_bootstrap.json');
        cpSync(bootstrap, join(root, 'var/lib/istio/envoy/envoy_bootstrap_tmpl.json'));
      });
      const installer = writeBase(scratch, 'install-cni', (root) => {
        mkdirSync(join(root, 'opt/cni/bin'), { recursive: true });
        cpSync(join(cni.folder, 'istio-cni'), join(root, 'opt/cni/bin/istio-cni'));
      });
      const { hub, tag } = ISTIO_IMAGES;
      const images = [
        { image: `${hub}/proxyv2:${tag}`, program: join(sidecar.folder, 'pilot-agent'), base: proxy },
        { image: `${hub}/install-cni:${tag}`, program: join(cni.folder, 'install-cni'), base: installer },
        {
          image: `${hub}/pilot:${tag}`,
          program: join(istioFolder, 'pilot-discovery'),
          base: join(imageBasesFolder, 'base-amd64.tar'),
        },
      ];
      writeProgramImages(images, join(scratch, IMAGES), scratch);
      for (const base of [proxy, installer]) rmSync(base);
      return Promise.resolve(istioClusterFolder);
    });
  } catch (error) {
    return { problem: `could not write the images of Istio, which takes istiod and mmdebstrap: ${String(error)}` };
  }
}

/** An archive of a Debian that can set rules of redirection, for an image of a program that is found by its name, with what `add` puts there. */
function writeBase(scratch: string, program: string, add: (root: string) => void): string {
  const [root, file] = [join(scratch, program), join(scratch, `${program}.tar`)];
  execFileSync('mmdebstrap', ['--quiet', '--variant=extract', `--include=${DEBIAN.join(',')}`, 'bookworm', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  mkdirSync(root);
  execFileSync('tar', ['--extract', '--file', file, '--directory', root, '--exclude=./dev/*', '--exclude=./usr/share']);
  for (const folder of ['usr/local/bin', 'var/lib/istio/envoy', 'etc/istio/proxy'])
    mkdirSync(join(root, folder), { recursive: true });
  symlinkSync(`/${program}`, join(root, 'usr/local/bin', program));
  for (const command of IPTABLES) {
    rmSync(join(root, 'usr/sbin', command), { force: true });
    symlinkSync('xtables-nft-multi', join(root, 'usr/sbin', command));
  }
  add(root);
  writeArchive(root, file, { seconds: SECONDS });
  rmSync(root, { recursive: true });
  return file;
}

/** Of what the images hold, and how they are written. */
function digestOfWriters(): string {
  const writers = ['istio-cluster.ts', 'cluster-images.ts'].map((file) =>
    readFileSync(join(import.meta.dirname, file)),
  );
  const hash = createHash('sha256').update([ENVOY_VERSION, ISTIO_VERSION].join());
  for (const writer of writers) hash.update(writer);
  return hash.digest('hex').slice(0, 12);
}
