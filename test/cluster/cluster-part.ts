import type { Part } from '../parts.ts';
import { findClusterParts } from './cluster-parts.ts';
import type { ClusterParts } from './cluster-parts.ts';

const isAll = process.env['REMIT_PARTS'] === 'all';

/** A cluster as a part: its suites run if it is in the cache, and must with `REMIT_PARTS=all` alone. */
export function clusterPart(): Part<ClusterParts> {
  const found = findClusterParts();
  const isMissing = 'missing' in found;
  return {
    name: 'a Kubernetes of one node',
    found: isMissing ? null : found,
    enable: isMissing ? found.missing : 'npm run parts -- cluster',
    isOptional: !isAll,
  };
}

/** The same for suites that take minutes, which run with `REMIT_PARTS=all` alone. */
export const longClusterPart = (): Part<ClusterParts> => {
  const part = clusterPart();
  return isAll ? part : { ...part, found: null, enable: `${part.enable}\` and \`REMIT_PARTS=all npm test` };
};
