import { isForwarding } from '../asked.ts';
import type { EnvoyConfig } from '../envoy-config.ts';

/** The clusters that these names lead to. Members of an aggregate, and clusters behind a listener of this Envoy, are included. */
export function reachedClusters(names: readonly string[], config: EnvoyConfig): readonly string[] {
  const reached = new Set(names);
  for (const name of reached) for (const next of nextOf(name, config)) reached.add(next);
  return [...reached];
}

const INTERNAL = 'internal:';

function nextOf(name: string, { clusters, listeners }: EnvoyConfig): readonly string[] {
  const cluster = clusters.get(name);
  if (cluster === undefined) return [];
  const inside = new Set(
    cluster.endpoints.filter((one) => one.startsWith(INTERNAL)).map((one) => one.slice(INTERNAL.length)),
  );
  const behind = listeners
    .filter((one) => inside.has(one.name))
    .flatMap(({ chains }) => chains)
    .flatMap(({ http, tcpClusters }) =>
      tcpClusters.concat((http?.routes ?? []).filter(isForwarding).flatMap((route) => route.clusters)),
    );
  return [...cluster.members, ...behind];
}
