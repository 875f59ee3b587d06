import { findGatewayCluster } from '../../parts/gateway-cluster.ts';

/** Envoy Gateway's chart and images for a cluster. */
export const gatewayPart = {
  name: 'Envoy Gateway in a cluster',
  found: findGatewayCluster(),
  enable: 'npm run parts -- gateway-cluster',
  isOptional: process.env['REMIT_PARTS'] !== 'all',
};
