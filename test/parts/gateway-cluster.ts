import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeArchive } from '../../.ci/release/archive.ts';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder, ENVOY_GATEWAY_VERSION, envoyGatewayFolder, MESH_CRDS } from './cache.ts';
import { writeProgramImages } from './cluster-images.ts';
import { folderOfModule } from './meshes.ts';

/** The image of Envoy Gateway, as its chart and its proxies name it. */
const GATEWAY_IMAGE = 'localhost/envoy-gateway:test';
const PROGRAM = 'envoy-gateway';
const SECONDS = 315_532_800;
const IMAGES = 'images.tar';
const CHART = 'chart';

/** What a cluster takes to have Envoy Gateway. */
export interface GatewayClusterParts {
  /** An archive of its image. */
  readonly images: string;
  /** The folder of its chart. */
  readonly chart: string;
  /** The definitions of its objects and of those of the Gateway API. */
  readonly crds: string;
}

const folder = join(cacheFolder, `envoy-gateway-cluster-${digestOfWriters()}`);

/** Its files, or null if it is not in the cache. */
export const findGatewayCluster = (): GatewayClusterParts | null =>
  existsSync(join(folder, CACHE_MARKER))
    ? { images: join(folder, IMAGES), chart: join(folder, CHART), crds: join(envoyGatewayFolder, MESH_CRDS) }
    : null;

/** Writes them. It is run with Envoy Gateway there. */
export async function installGatewayCluster(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  say(`writing the image of Envoy Gateway into ${folder} (some seconds, once)`);
  try {
    return await intoCache(folder, (scratch) => {
      const module = folderOfModule('github.com/envoyproxy/gateway', `v${ENVOY_GATEWAY_VERSION}`);
      const chart = join(scratch, CHART);
      cpSync(join(module, 'charts/gateway-helm'), chart, { recursive: true });
      // Files of the module cache are read-only, and folders too.
      execFileSync('chmod', ['--recursive', 'u+w', chart]);
      const values = readFileSync(join(chart, 'values.tmpl.yaml'), 'utf8')
        .replace('${GatewayImagePullPolicy}', 'IfNotPresent')
        .replace('${GatewayImage}', GATEWAY_IMAGE);
      writeFileSync(join(chart, 'values.yaml'), values);
      const base = writeBase(scratch);
      writeProgramImages(
        [{ image: GATEWAY_IMAGE, program: join(envoyGatewayFolder, PROGRAM), base }],
        join(scratch, IMAGES),
        scratch,
      );
      rmSync(base);
      return Promise.resolve(folder);
    });
  } catch (error) {
    return { problem: `could not write the image of Envoy Gateway, which takes the program: ${String(error)}` };
  }
}

/** An archive with the program's name on the path, by which its pods call it. */
function writeBase(scratch: string): string {
  const [root, file] = [join(scratch, 'base'), join(scratch, 'base.tar')];
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
  symlinkSync(`/${PROGRAM}`, join(root, 'usr/local/bin', PROGRAM));
  writeArchive(root, file, { seconds: SECONDS });
  rmSync(root, { recursive: true });
  return file;
}

/** Of what the image holds, and how it is written. */
function digestOfWriters(): string {
  const hash = createHash('sha256').update(ENVOY_GATEWAY_VERSION);
  for (const name of ['gateway-cluster.ts', 'cluster-images.ts'])
    hash.update(readFileSync(join(import.meta.dirname, name)));
  return hash.digest('hex').slice(0, 12);
}
