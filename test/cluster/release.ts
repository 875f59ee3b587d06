import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { writeArchive } from '../../.ci/release/archive.ts';
import { writeImage } from '../../.ci/release/image.ts';
import { manifestIn } from '../../.ci/release/manifest.ts';
import { REGISTRY } from '../../.ci/release/signing.ts';
import { writeChart } from '../../.ci/release/tree.ts';
import { CACHE_MARKER, intoCache } from '../../src/dev/envoy-binary.ts';
import { BASES, importBases, storageIn } from '../image/bases.ts';
import { cacheFolder, imageBasesFolder } from '../parts/cache.ts';
import { clusterProgramsFolder } from '../parts/cluster.ts';
import type { Cluster } from './cluster.ts';

const root = resolve(import.meta.dirname, '../..');
const { name, version } = manifestIn(root);
/** The version of this tree. */
export const VERSION = version;
/** The time of everything in it, in seconds since 1970. */
export const SECONDS = 1_700_000_000;
/** What the image says of its commit. */
export const REVISION = 'f'.repeat(40);
/** What the image and the chart are made from. */
const SOURCES = [
  '.ci',
  'src',
  'proto',
  'cedar-policies',
  'deploy',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  '.npmrc',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];

const PREFIX = 'cluster-built-';
/** How many are kept beside the next one. */
const KEPT = 5;

/** Files of a release. */
export interface Release {
  /** The archive of the image, of all platforms. */
  readonly image: string;
  readonly chart: string;
}

/** The image of this release, as the chart names it. */
export const IMAGE = `${REGISTRY}/${name}:${version}`;

/** Makes the image and the chart of this release as a release does, on the tests' own bases. Kept in the cache for the next run with the same sources. */
export async function currentRelease(): Promise<Release> {
  const folder = join(cacheFolder, `${PREFIX}${digestOfSources()}`);
  if (!existsSync(join(folder, CACHE_MARKER))) {
    forgetOld();
    await intoCache(folder, (scratch) => {
      writeRelease(root, scratch);
      return Promise.resolve(folder);
    });
  }
  return releaseIn(folder);
}

/** Removes all but the newest: other checkouts may use theirs at the moment. */
function forgetOld(): void {
  const folders = readdirSync(cacheFolder)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(cacheFolder, name));
  const byAge = folders.toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of byAge.slice(KEPT)) rmSync(old, { recursive: true });
}

/** The same of a commit, with the version that it had. Kept in the cache for good. */
export async function releaseOf(commit: string): Promise<Release> {
  const folder = join(cacheFolder, `cluster-former-${commit}`);
  if (!existsSync(join(folder, CACHE_MARKER)))
    await intoCache(folder, (scratch) => {
      const tree = join(scratch, 'tree');
      execFileSync('sh', ['-ec', 'mkdir "$1"; git archive "$2" | tar --extract --directory "$1"', 'sh', tree, commit], {
        cwd: root,
      });
      writeRelease(tree, scratch);
      rmSync(tree, { recursive: true });
      return Promise.resolve(folder);
    });
  return releaseIn(folder);
}

const releaseIn = (folder: string): Release => ({
  image: join(folder, `${name}-${version}-image.tar`),
  chart: join(folder, `${name}-${version}.tgz`),
});

function writeRelease(tree: string, folder: string): void {
  const { chart, image } = releaseIn(folder);
  const work = join(folder, 'work');
  const storage = storageIn(join(work, 'storage'));
  writeChart(tree, join(work, 'chart', name));
  writeArchive(join(work, 'chart'), chart, { seconds: SECONDS });
  importBases(imageBasesFolder, join(work, 'bases'), storage);
  writeImage(tree, image, {
    version,
    revision: REVISION,
    seconds: SECONDS,
    args: BASES,
    environment: { ...process.env, ...storage },
  });
  // buildah leaves it mounted, with the file systems of its builds in it.
  const mounted = join(work, 'storage/graph/overlay');
  if (readFileSync('/proc/mounts', 'utf8').includes(` ${mounted} `)) execFileSync('umount', ['--recursive', mounted]);
  rmSync(work, { recursive: true });
}

/** Publishes it in the registry of the cluster, under the names that a release has. */
export async function publish(cluster: Cluster, { chart, image }: Release): Promise<void> {
  const layout = join(cluster.layout.state, 'layout');
  await cluster.run(['sh', '-ec', 'mkdir -p "$1"; tar --extract --file "$2" --directory "$1"', 'sh', layout, image]);
  await cluster.run([join(clusterProgramsFolder, 'registry'), 'push', layout, IMAGE]);
  await cluster.run(['helm', 'push', chart, `oci://${REGISTRY}/charts`]);
}

function digestOfSources(): string {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(root, source);
    const names = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((one) => join(source, one))
      : [source];
    for (const one of names.toSorted())
      if (statSync(join(root, one)).isFile()) hash.update(one).update(readFileSync(join(root, one)));
  }
  return hash.digest('hex').slice(0, 12);
}
