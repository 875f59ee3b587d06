import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeArchive } from './archive.ts';
import { REGISTRY } from './signing.ts';

/** The platforms of the image, as the OCI names their processors. */
export const PLATFORMS = ['amd64', 'arm64'] as const;

/** What an image is made from and says of itself. */
export interface ImageOptions {
  readonly version: string;
  /** The commit; empty where it is unknown. */
  readonly revision: string;
  /** Time of each file and layer, in seconds since 1970. */
  readonly seconds: number;
  /** Arguments of the Dockerfile, such as `BASE_IMAGE`; `{arch}` in a value stands for the platform. Default none. */
  readonly args?: Readonly<Record<string, string>>;
  /** Variables of buildah, such as BUILDAH_ISOLATION. Default those of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Builds the image of each platform by `buildah`, and writes them with their index as one OCI archive that `skopeo`, `crane`, `podman` and
 * containerd read: by the name that the chart has for it.
 * No step runs a program of the other platform. Takes buildah 1.28; its variables choose where it keeps images and how it isolates.
 */
export function writeImage(
  root: string,
  file: string,
  { args = {}, environment = process.env, revision, seconds, version }: ImageOptions,
): void {
  const buildah = (...words: readonly string[]): void =>
    void execFileSync('buildah', words, { env: environment, stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 2 ** 26 });
  const index = `localhost/remit-release:${version}`;
  const layout = `${file}.layout`;
  const tree = `${file}.tree`;
  const build = (arch: string, ...words: readonly string[]): void =>
    buildah(
      'bud',
      `--timestamp=${seconds}`,
      ...words,
      ...Object.entries(args).map(([key, value]) => `--build-arg=${key}=${value.replaceAll('{arch}', arch)}`),
      `--file=${join(root, 'deploy/image/Dockerfile')}`,
      root,
    );
  for (const folder of [layout, tree]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(layout, { recursive: true });
  // What is the same for all platforms is built once, by programs of this machine.
  build(process.arch === 'x64' ? 'amd64' : process.arch, '--target=tree', `--output=type=local,dest=${tree}`);
  const images = PLATFORMS.map((arch) => {
    const image = `${index}-${arch}`;
    build(
      arch,
      '--layers',
      `--tag=${image}`,
      `--platform=linux/${arch}`,
      `--build-context=tree=${tree}`,
      // The OCI format has no health check: engines that read it take the one of a compose file or of Kubernetes.
      '--format=oci',
      `--build-arg=VERSION=${version}`,
      `--build-arg=REVISION=${revision}`,
    );
    return image;
  });
  buildah('manifest', 'create', '--amend', index);
  for (const image of images) buildah('manifest', 'add', index, image);
  buildah('manifest', 'push', '--all', index, `oci:${layout}:${version}`);
  nameIndex(join(layout, 'index.json'), `${REGISTRY}/remit:${version}`);
  writeArchive(layout, file, { seconds });
  for (const folder of [layout, tree]) rmSync(folder, { recursive: true });
}

/**
 * Adds the whole name of the image, which `ctr images import` and `docker load` take, to the only entry of an OCI layout: `skopeo` and `podman` go by
 * the tag that is there, by which containerd makes up a name that no pod asks for.
 */
function nameIndex(file: string, image: string): void {
  const index = JSON.parse(readFileSync(file, 'utf8'));
  for (const entry of index.manifests) entry.annotations = { ...entry.annotations, 'io.containerd.image.name': image };
  writeFileSync(file, JSON.stringify(index));
}
