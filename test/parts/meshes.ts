import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isBinaryProblem, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { ENVOY_GATEWAY_VERSION, envoyGatewayFolder, MESH_CRDS, ISTIO_VERSION, istioFolder } from './cache.ts';
import { installGoPart, type GoPart } from './go-part.ts';

/** Envoy Gateway. Without cgo, as it is released: a C library of signatures is not needed then. */
const envoyGateway: GoPart = {
  name: `Envoy Gateway ${ENVOY_GATEWAY_VERSION}`,
  folder: envoyGatewayFolder,
  modules: ['github.com/envoyproxy/gateway/cmd/envoy-gateway'],
  version: `v${ENVOY_GATEWAY_VERSION}`,
  tags: '',
  isCgo: false,
  takes: 'about 6 minutes on 2 cores, once',
};

/** istiod, which its module calls pilot-discovery. */
const istiod: GoPart = {
  name: `istiod ${ISTIO_VERSION}`,
  folder: istioFolder,
  modules: ['istio.io/istio/pilot/cmd/pilot-discovery'],
  version: ISTIO_VERSION,
  tags: '',
  isCgo: false,
  takes: 'about 5 minutes on 2 cores, once',
};

/** Installs Envoy Gateway, and the definitions of its objects and of those of the Gateway API. */
export const installEnvoyGateway = (say: (line: string) => void): Promise<string | BinaryProblem> =>
  installWithCrds(envoyGateway, say, async () => {
    const charts = join(folderOfModule('github.com/envoyproxy/gateway', `v${ENVOY_GATEWAY_VERSION}`), 'charts');
    const templates = join(charts, 'gateway-crds-helm/templates');
    const own = (await readdir(join(templates, 'generated'))).map((name) => join('generated', name));
    const texts = await Promise.all(
      ['standard-gatewayapi-crds.yaml', ...own].map((name) => readFile(join(templates, name), 'utf8')),
    );
    // They are templates of Helm by their first and last lines alone.
    return texts.join('\n').replaceAll(/^\{\{.*$/gm, '');
  });

/** Installs istiod, and the definitions of its objects. */
export const installIstiod = (say: (line: string) => void): Promise<string | BinaryProblem> =>
  installWithCrds(istiod, say, () =>
    readFile(
      join(folderOfModule('istio.io/istio', ISTIO_VERSION), 'manifests/charts/base/files/crd-all.gen.yaml'),
      'utf8',
    ),
  );

/** The definitions are in the part's own module, so they are of its version. */
async function installWithCrds(
  part: GoPart,
  say: (line: string) => void,
  crds: () => Promise<string>,
): Promise<string | BinaryProblem> {
  const folder = await installGoPart(part, say);
  const file = join(part.folder, MESH_CRDS);
  if (isBinaryProblem(folder) || existsSync(file)) return folder;
  try {
    await writeFile(file, await crds());
    return folder;
  } catch (error) {
    return { problem: `could not fetch the definitions of the objects of ${part.name}: ${String(error)}` };
  }
}

/** The folder of a module in Go's cache. */
export function folderOfModule(path: string, version: string): string {
  const { Dir } = JSON.parse(
    execFileSync('go', ['mod', 'download', '-json', `${path}@${version}`], { encoding: 'utf8' }),
  );
  return String(Dir);
}
