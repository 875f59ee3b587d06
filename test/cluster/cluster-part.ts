import type { Part } from '../parts.ts';
import { findClusterParts } from './cluster-parts.ts';
import type { ClusterParts } from './cluster-parts.ts';

const isWanted = process.env['REMIT_PARTS'] === 'all';

/** A cluster as a part. Its suites take minutes, so they run with `REMIT_PARTS=all` alone. */
export const clusterPart = (): Part<ClusterParts> => {
  const found = findClusterParts();
  const isMissing = 'missing' in found;
  return {
    name: 'a Kubernetes of one node',
    found: isMissing || !isWanted ? null : found,
    enable: `${isMissing ? found.missing : 'npm run parts -- cluster'}\` and \`REMIT_PARTS=all npm test`,
    isOptional: !isWanted,
  };
};
