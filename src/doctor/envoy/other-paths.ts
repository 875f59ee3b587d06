import { at, isTrueAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import { isBeside, isForwarding } from './asked.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { reachedClusters } from './reached-clusters.ts';
import { askingsOf, managersOf, ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';

/** The upstreams of checked calls are reached in no other way. */
export const noOtherPath: EnvoyCheck = {
  title: 'no other listener leads to the upstreams of checked calls',
  run: (facts) => {
    const askings = askingsOf(facts);
    if (askings.length === 0) return null;
    const guarded = new Set(askings.map(({ manager }) => manager.where));
    const targets = new Set(
      askings.flatMap(({ manager }) => manager.routes.flatMap(({ clusters }) => targetsOf(clusters, facts))),
    );
    // What is reached from a guarded listener through another one of this Envoy is no other way.
    const inner = new Set(
      facts.config.listeners
        .filter(({ fields }) => at(fields, 'internal_listener') !== undefined)
        .map(({ name }) => `listener/${name}`),
    );
    const beside = managersOf(facts)
      .filter((manager) => !guarded.has(manager.where) && isBeside(manager, facts))
      .map(({ routes, where }) => ({ where, clusters: routes.filter(isForwarding).flatMap((one) => one.clusters) }));
    const proxies = facts.config.listeners.flatMap(({ chains, direction }) =>
      chains.map(({ tcpClusters, where }) => ({ where, clusters: tcpClusters, direction })),
    );
    const ways = [...beside, ...proxies].filter(({ where }) => !inner.has(where));
    return [
      ...ways.flatMap(({ clusters, where }) => {
        const shared = clusters.find((name) => targetsOf([name], facts).some((target) => targets.has(target)));
        return shared === undefined ? [] : [directPath(where, shared)];
      }),
      ...proxies.flatMap((proxy) => toAnywhere(proxy, facts)),
    ];
  },
};

/** A cluster by name and by its endpoints: two clusters may lead to one upstream. */
const targetsOf = (clusters: readonly string[], { config }: EnvoyFacts): readonly string[] =>
  reachedClusters(clusters, config).flatMap((name) => [name].concat(config.clusters.get(name)?.endpoints ?? []));

/** A TCP proxy to whatever address the client connected to. */
function toAnywhere(
  {
    clusters,
    direction,
    where,
  }: { readonly clusters: readonly string[]; readonly direction: string; readonly where: string },
  { config }: EnvoyFacts,
): readonly Finding[] {
  const open = clusters.filter((name) => textAt(config.clusters.get(name)?.fields, 'type') === 'ORIGINAL_DST');
  return open.map((name) => {
    const source = textAt(config.clusters.get(name)?.fields, 'upstream_bind_config', 'source_address', 'address');
    return {
      code: 'envoy.direct-path' as const,
      where,
      level: direction === 'OUTBOUND' || source.startsWith('127.') ? ('info' as const) : ('warning' as const),
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

/** The call that was checked is the one that is made. */
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
