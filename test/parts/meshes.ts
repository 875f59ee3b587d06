import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isBinaryProblem, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { ENVOY_GATEWAY_VERSION, envoyGatewayFolder, ISTIO_CRDS, ISTIO_VERSION, istioFolder } from './cache.ts';
import { installGoPart, type GoPart } from './go-part.ts';

/** Envoy Gateway. Without cgo, as it is released: a C library of signatures is not needed then. */
export const envoyGateway: GoPart = {
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

/** Installs istiod, and beside it the definitions of its objects, which are in its module. */
export async function installIstiod(say: (line: string) => void): Promise<string | BinaryProblem> {
  const folder = await installGoPart(istiod, say);
  const crds = join(istioFolder, ISTIO_CRDS);
  if (isBinaryProblem(folder) || existsSync(crds)) return folder;
  try {
    const args = ['mod', 'download', '-json', `istio.io/istio@${ISTIO_VERSION}`];
    const { Dir } = JSON.parse(execFileSync('go', args, { encoding: 'utf8' }));
    await copyFile(join(String(Dir), 'manifests/charts/base/files/crd-all.gen.yaml'), crds);
    return folder;
  } catch (error) {
    return { problem: `could not fetch the definitions of Istio's objects: ${String(error)}` };
  }
}
