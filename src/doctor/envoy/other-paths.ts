import { isTrueAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import { isBeside, isForwarding } from './asked.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
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
    const beside = managersOf(facts)
      .filter((manager) => !guarded.has(manager.where) && isBeside(manager, facts))
      .map(({ routes, where }) => ({ where, clusters: routes.filter(isForwarding).flatMap((one) => one.clusters) }));
    const proxies = facts.config.listeners.flatMap(({ chains }) =>
      chains.map(({ tcpClusters, where }) => ({ where, clusters: tcpClusters })),
    );
    return [...beside, ...proxies].flatMap(({ clusters, where }) => {
      const shared = clusters.find((name) => targetsOf([name], facts).some((target) => targets.has(target)));
      return shared === undefined ? [] : [directPath(where, shared)];
    });
  },
};

/** A cluster by name and by its endpoints: two clusters may lead to one upstream. */
const targetsOf = (clusters: readonly string[], { config }: EnvoyFacts): readonly string[] =>
  clusters.flatMap((name) => [name].concat(config.clusters.get(name)?.endpoints ?? []));

const directPath = (where: string, cluster: string): Finding => ({
  code: 'envoy.direct-path',
  where,
  message: `it leads to the upstream \`${cluster}\`, whose calls are checked elsewhere, and asks nobody`,
  fix: 'remove the listener, or give it the ext_authz filter; let the upstream accept the certificate of Envoy alone',
});

/** The call that was checked is the one that is made. */
export const unchangedCall: EnvoyCheck = {
  title: 'nothing changes a call or its route after the check',
  run: (facts) => ofAskings(facts, (asking) => [...reroutes(asking), ...laterFilters(asking)]),
};

const reroutes = ({ filter, manager: { where } }: Asking): readonly Finding[] =>
  isTrueAt(filter.fields, 'clear_route_cache')
    ? [
        {
          code: 'envoy.changed-after-check',
          where,
          message: '`clear_route_cache` is on: the route is chosen again after the check, and its settings may differ',
          fix: 'remove `clear_route_cache` (`recomputeRoute`)',
        },
      ]
    : [];

/** Filters that can change path, headers or body of a request, or choose its route again. */
const CHANGING: ReadonlySet<string> = new Set([
  'Lua',
  'LuaPerRoute',
  'ExternalProcessor',
  'Wasm',
  'HeaderMutation',
  'GrpcJsonTranscoder',
  'DynamicModuleFilter',
  'Config',
  'McpRouter',
  'McpJsonRestBridge',
]);

function laterFilters({ filter, manager: { filters, where } }: Asking): readonly Finding[] {
  const router = filters.findIndex(({ type }) => type === 'Router');
  return filters
    .slice(filters.indexOf(filter) + 1, router === -1 ? undefined : router)
    .filter(({ isDisabled, type }) => CHANGING.has(type) && !isDisabled)
    .map(({ name }) => ({
      code: 'envoy.changed-after-check',
      where,
      message: `the filter \`${name}\` comes after the check and can change the call`,
      fix: 'move it before the ext_authz filter',
    }));
}
