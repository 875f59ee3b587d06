import { ENVOY_GATEWAY_VERSION, envoyGatewayFolder, ISTIO_VERSION, istioFolder } from './cache.ts';
import type { GoPart } from './go-part.ts';

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
export const istiod: GoPart = {
  name: `istiod ${ISTIO_VERSION}`,
  folder: istioFolder,
  modules: ['istio.io/istio/pilot/cmd/pilot-discovery'],
  version: ISTIO_VERSION,
  tags: '',
  isCgo: false,
  takes: 'about 5 minutes on 2 cores, once',
};
