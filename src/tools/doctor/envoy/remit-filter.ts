import { grpcClusterOf } from './reach/cluster.ts';
import type { Cluster } from './reach/cluster.ts';
import type { FilterChain } from './envoy-config.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import type { Finding } from '../finding.ts';
import type { HttpFilter, HttpManager } from './http-manager.ts';

/** Whether a filter is an ext_authz filter. */
const isExtAuthz = ({ type }: HttpFilter): boolean => type === 'ExtAuthz';

/** Every HTTP connection manager with its chain, and again for each upgrade that has filters of its own. */
export const managersOf = ({ config }: EnvoyFacts): readonly (HttpManager & { readonly chain: FilterChain })[] =>
  config.listeners.flatMap(({ chains }) =>
    chains.flatMap((chain) =>
      chain.http === null ? [] : [chain.http, ...chain.http.upgrades].flatMap((manager) => [{ ...manager, chain }]),
    ),
  );

/**
 * The clusters of Remit: the cluster that the operator named; else those that ext_authz filters name and that have Remit in their
 * name or lead to its port or socket; otherwise the cluster, if all such filters name the same one.
 */
export function remitClustersOf(facts: EnvoyFacts): ReadonlySet<string> {
  if (facts.remitCluster !== null) return new Set([facts.remitCluster]);
  const named = recognisedClusters(facts);
  const names = [...new Set(askedBy(facts).map(([name]) => name))];
  return named.size > 0 || names.length !== 1 ? named : new Set(names);
}

/** The clusters of ext_authz filters that have Remit in a name, or lead to its port (19470 in a mesh) or socket. */
export const recognisedClusters = (facts: EnvoyFacts): ReadonlySet<string> =>
  new Set(
    askedBy(facts)
      .filter(([name, filter]) => isRemits(filter, name, facts.config.clusters.get(name)))
      .map(([name]) => name),
  );

/** Whether an ext_authz filter names the cluster that the operator named, otherwise one that is recognised as Remit. */
export const namesRemit = (facts: EnvoyFacts): boolean =>
  facts.remitCluster === null
    ? recognisedClusters(facts).size > 0
    : askedBy(facts).some(([name]) => name === facts.remitCluster);

const askedBy = (facts: EnvoyFacts): readonly (readonly [cluster: string, filter: HttpFilter])[] =>
  managersOf(facts).flatMap(({ filters }) =>
    filters.filter(isExtAuthz).map((filter) => [grpcClusterOf(filter.fields), filter] as const),
  );

const isRemits = (filter: HttpFilter, cluster: string, found: Cluster | undefined): boolean =>
  [filter.name, cluster].some((name) => name.toLowerCase().includes('remit')) ||
  // For a Google gRPC channel, `cluster` is its target.
  [cluster, ...(found?.endpoints ?? [])].some((one) => /^unix:.*(?:remit|\/check\.sock$)|:1?9470$/.test(one));

/** The filters of ext_authz by which a connection manager asks Remit. */
export function remitFiltersOf(
  manager: Pick<HttpManager, 'filters'>,
  clusters: ReadonlySet<string>,
): readonly HttpFilter[] {
  return manager.filters.filter((filter) => isExtAuthz(filter) && clusters.has(grpcClusterOf(filter.fields)));
}

/** A filter by which a connection manager asks Remit. */
export interface Asking {
  readonly manager: HttpManager & { readonly chain: FilterChain };
  readonly filter: HttpFilter;
}

/** Every place where Envoy is configured to ask Remit. */
export function askingsOf(facts: EnvoyFacts): readonly Asking[] {
  const clusters = remitClustersOf(facts);
  return managersOf(facts).flatMap((manager) =>
    remitFiltersOf(manager, clusters).map((filter) => ({ manager, filter })),
  );
}

/** Each connection manager that asks Remit, once. */
export const guardedOf = (facts: EnvoyFacts): readonly Asking['manager'][] => [
  ...new Map(askingsOf(facts).map(({ manager }) => [manager.where, manager])).values(),
];

/** Findings of each filter that asks Remit; `null` if no filter does. */
export function ofAskings(facts: EnvoyFacts, find: (asking: Asking) => readonly Finding[]): readonly Finding[] | null {
  const askings = askingsOf(facts);
  return askings.length === 0 ? null : askings.flatMap(find);
}
