import { at, isTrueAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import { directionOf, isBeside, isForwarding } from './asked.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyConfig, Listener } from './envoy-config.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { isOfHost } from './fields/values-of-fields.ts';
import type { Route } from './http-manager.ts';
import { asksFirst } from './network-check.ts';
import { isForThisPod, isSentThere } from './outgoing.ts';
import { isOriginalDst } from './reach/cluster.ts';
import { reachedClusters } from './reach/reached-clusters.ts';
import { guardedOf, managersOf, ofAskings, remitClustersOf } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';

/** The upstreams of checked calls are reached in no other way. */
export const noOtherPath: EnvoyCheck = {
  title: 'no other listener leads to the upstreams of checked calls',
  run: (facts) => {
    const guards = guardedOf(facts);
    if (guards.length === 0) return null;
    const guarded = new Set(guards.map(({ where }) => where));
    const checked = guards.map((manager) => ({
      direction: directionOf(manager, facts.config),
      targets: new Set(manager.routes.flatMap(({ clusters }) => targetsOf(clusters, facts))),
    }));
    // Only listeners of this Envoy reach an internal listener, and `targetsOf` follows them into it, so it is not another way.
    const inner = new Set(
      facts.config.listeners
        .filter(({ fields }) => at(fields, 'internal_listener') !== undefined)
        .map(({ name }) => `listener/${name}`),
    );
    const beside = managersOf(facts)
      .filter((manager) => !guarded.has(manager.where) && isBeside(manager, facts))
      .map(({ routes, where }) => ({ where, clusters: ledTo(routes, facts) }));
    const clusters = remitClustersOf(facts);
    const proxies = facts.config.listeners
      .flatMap(({ chains }) => chains)
      .filter((chain) => !asksFirst(chain, clusters))
      .map(({ tcpClusters, where }) => ({ where, clusters: tcpClusters }));
    const ways = [...beside, ...proxies].filter(({ where }) => !inner.has(where));
    return [
      ...ways.flatMap((way) => sharedFindings(way, checked, facts)),
      ...proxies.flatMap((proxy) => toAnywhere(proxy, facts)),
    ];
  },
};

/** The clusters that routes lead to: any, if a header of the call, or a plugin, chooses. */
const ledTo = (routes: readonly Route[], { config }: EnvoyFacts): readonly string[] =>
  routes.some(({ isByHeader }) => isByHeader)
    ? [...config.clusters.keys()]
    : routes.filter(isForwarding).flatMap(({ clusters }) => clusters);

/** A chain without a check, and the clusters that it leads to. */
interface Way {
  readonly where: string;
  readonly clusters: readonly string[];
}

/** What a listener that asks Remit leads to. */
interface Checked {
  readonly direction: string;
  readonly targets: ReadonlySet<string>;
}

/** The first upstream of a way that checked calls lead to as well. */
function sharedFindings(way: Way, checked: readonly Checked[], facts: EnvoyFacts): readonly Finding[] {
  const sharing = (name: string): readonly Checked[] =>
    checked.filter(({ targets }) => targetsOf([name], facts).some((target) => targets.has(target)));
  const shared = way.clusters.find((name) => sharing(name).length > 0);
  if (shared === undefined) return [];
  return way.clusters.every((name) => isOwnCall(way, { name, guards: sharing(name) }, facts))
    ? [ownCalls(way.where, shared)]
    : [directPath(way.where, shared)];
}

/**
 * Whether only this host or pod uses a way, for its own calls: calls of others are checked elsewhere. In a sidecar of Istio a guarded listener
 * for incoming calls leads to the pod itself.
 */
function isOwnCall(
  { where }: Way,
  { name, guards }: { readonly name: string; readonly guards: readonly Checked[] },
  { config }: EnvoyFacts,
): boolean {
  if (guards.length === 0) return true;
  const listener = listenerOf(where, config);
  // INVARIANT: if Remit is asked about outgoing calls, another way out bypasses it.
  if (listener === undefined || !isForThisPod(listener, config)) return false;
  if (guards.some(({ direction }) => direction === 'OUTBOUND')) return false;
  const endpoints = reachedClusters([name], config).flatMap((one) => config.clusters.get(one)?.endpoints ?? []);
  const isLocal = endpoints.length > 0 && endpoints.every(isOfHost);
  return isLocal || (listener.address === '' && guards.every(({ direction }) => direction === 'INBOUND'));
}

const listenerOf = (where: string, { listeners }: EnvoyConfig): Listener | undefined =>
  listeners.find(({ chains }) => chains.some((chain) => chain.where === where));

/** A cluster by name and by its endpoints: two clusters may lead to the same upstream. */
const targetsOf = (clusters: readonly string[], { config }: EnvoyFacts): readonly string[] =>
  reachedClusters(clusters, config).flatMap((name) => [name].concat(config.clusters.get(name)?.endpoints ?? []));

/** A TCP proxy to whatever address the client connected to. */
function toAnywhere({ clusters, where }: Way, { config }: EnvoyFacts): readonly Finding[] {
  const listener = listenerOf(where, config);
  const isOutgoing = listener?.direction === 'OUTBOUND' && !isSentThere(listener);
  const open = clusters.filter((name) => isOriginalDst(config.clusters.get(name)?.fields));
  return open.map((name) => {
    const source = textAt(config.clusters.get(name)?.fields, 'upstream_bind_config', 'source_address', 'address');
    return {
      code: 'envoy.direct-path' as const,
      where,
      level: isOutgoing || source.startsWith('127.') ? ('info' as const) : ('warning' as const),
      message: `it leads to whatever address the client connected to (\`${name}\`), and asks nobody`,
      fix: 'remove the listener, or give it a cluster with endpoints',
    };
  });
}

const directPath = (where: string, cluster: string): Finding => ({
  code: 'envoy.direct-path',
  where,
  message: `it leads to the upstream \`${cluster}\`, whose calls are checked elsewhere, and asks nobody`,
  fix: 'remove the listener, or give it the ext_authz filter; let the upstream accept the certificate of Envoy alone',
});

const ownCalls = (where: string, cluster: string): Finding => ({
  code: 'envoy.direct-path',
  where,
  level: 'info',
  message: `calls of this pod itself to \`${cluster}\`: nobody is asked about them, as about those to loopback`,
  fix: 'let no agent run in the pod of its tools',
});

/** The call reaches the upstream as it was checked. */
export const unchangedCall: EnvoyCheck = {
  title: 'no route is chosen again after the check',
  run: (facts) => ofAskings(facts, reroutes),
};

const reroutes = ({ filter, manager: { where } }: Asking): readonly Finding[] =>
  isTrueAt(filter.fields, 'clear_route_cache')
    ? [
        {
          code: 'envoy.changed-after-check',
          where,
          level: 'warning',
          message: '`clear_route_cache` is on: the route is chosen again after the check, and its settings may differ',
          fix: 'remove `clear_route_cache` (`recomputeRoute`)',
        },
      ]
    : [];
