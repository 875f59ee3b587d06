import { findIstioCluster } from '../../parts/istio-cluster.ts';
import type { IstioClusterParts } from '../../parts/istio-cluster.ts';
import { both } from '../../parts.ts';
import type { Part } from '../../parts.ts';
import { longClusterPart } from '../cluster-part.ts';
import type { ClusterParts } from '../cluster-parts.ts';

/** Istio as a part of a cluster. */
export const istioPart = (): Part<IstioClusterParts> => ({
  name: 'Istio in a cluster',
  found: findIstioCluster(),
  enable: 'npm run parts -- istio-cluster',
  isOptional: process.env['REMIT_PARTS'] !== 'all',
});

/** A cluster with it: its suites take minutes, and run with `REMIT_PARTS=all` alone. */
export const meshPart = (): Part<readonly [ClusterParts, IstioClusterParts]> => both(longClusterPart(), istioPart());
