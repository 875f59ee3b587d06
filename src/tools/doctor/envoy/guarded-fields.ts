import { at, isTrueAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import { isForwarding } from './asked.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { Listener } from './envoy-config.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { bootstrap } from './fields/bootstrap-fields.ts';
import { extAuthz } from './fields/check-fields.ts';
import { remitCluster, toolCluster } from './fields/cluster-fields.ts';
import { filterChain, listener as listenerFields, otherFilter } from './fields/listener-fields.ts';
import { routeConfiguration } from './fields/route-fields.ts';
import { validationContext } from './fields/tls-fields.ts';
import { fieldFindings } from './fields/walk.ts';
import { readableCalls, sdsNamesOf } from './reach/upstream-tls.ts';
import { reachedClusters } from './reach/reached-clusters.ts';
import { askingsOf, guardedOf, ofAskings, remitClustersOf } from './remit-filter.ts';

/** Listeners with a chain that asks Remit. */
const guardedListeners = (facts: EnvoyFacts): readonly Listener[] => {
  const guarded = new Set(guardedOf(facts).map(({ where }) => where));
  return facts.config.listeners.filter(({ chains }) => chains.some((chain) => guarded.has(chain.where)));
};

/** Each setting of a listener that asks Remit is known. */
export const knownListener: EnvoyCheck = {
  title: 'each setting of a listener that asks Remit is known, and harmless',
  run: (facts) => {
    const listeners = guardedListeners(facts);
    if (listeners.length === 0) return null;
    return [
      ...listeners.flatMap(({ fields, name }) => fieldFindings(listenerFields, fields, `listener/${name}`)),
      ...guardedOf(facts).flatMap(({ chain }) =>
        fieldFindings(filterChain, chain.fields, chain.where).concat(
          contextsBySds(chain.transport.tls, facts, chain.where),
        ),
      ),
    ];
  },
};

/** The validation contexts that a chain takes from SDS, if the configuration shows them. */
const contextsBySds = (tls: unknown, { config }: EnvoyFacts, where: string): readonly Finding[] =>
  sdsNamesOf(tls).flatMap((name) =>
    fieldFindings(validationContext, at(config.secrets.get(name), 'validation_context'), where),
  );

/** Each setting of the filter that asks Remit is known. */
export const knownCheck: EnvoyCheck = {
  title: 'each setting of the filter that asks Remit is known, and harmless',
  run: (facts) =>
    ofAskings(facts, ({ filter, manager }) => [
      ...fieldFindings(extAuthz, filter.fields, manager.where),
      ...(isTrueAt(filter.fields, 'encode_raw_headers') ? [] : [joinedHeaders(manager.where)]),
    ]),
};

const joinedHeaders = (where: string): Finding => ({
  code: 'envoy.two-readings',
  where,
  level: 'info',
  message: 'Remit gets repeated headers as one, and bytes that are not UTF-8 replaced',
  fix: 'set `encode_raw_headers: true`, if the host has it',
});

/** Each setting of the routes of checked calls is known. */
export const knownRoutes: EnvoyCheck = {
  title: 'no route changes, repeats, copies or tunnels a call that was checked',
  run: (facts) => {
    const managers = guardedOf(facts);
    if (managers.length === 0) return null;
    return managers.flatMap(({ tables, where }) =>
      tables.flatMap((table) => fieldFindings(routeConfiguration, table, `${where}/route`)),
    );
  },
};

/** Each setting of the clusters of checked calls is known. */
export const knownUpstreams: EnvoyCheck = {
  title: 'each checked call goes to the upstream that was decided, unchanged',
  run: (facts) => {
    const managers = guardedOf(facts);
    if (managers.length === 0) return null;
    const own = remitClustersOf(facts);
    const names = managers.flatMap(({ routes }) => routes.filter(isForwarding).flatMap(({ clusters }) => clusters));
    return reachedClusters(names, facts.config).flatMap((name) => {
      const cluster = facts.config.clusters.get(name);
      if (cluster === undefined || own.has(name)) return [];
      return fieldFindings(toolCluster, cluster.fields, `cluster/${name}`).concat(readableCalls(cluster, facts));
    });
  },
};

/** Each setting of the cluster of Remit is known. */
export const knownCluster: EnvoyCheck = {
  title: 'each setting of the cluster of Remit is known, and harmless',
  run: (facts) => {
    const names = [...remitClustersOf(facts)].filter((name) => facts.config.clusters.has(name));
    if (askingsOf(facts).length === 0 || names.length === 0) return null;
    return names.flatMap((name) =>
      fieldFindings(remitCluster, facts.config.clusters.get(name)?.fields, `cluster/${name}`),
    );
  },
};

/** Each setting of the process is known. */
export const knownBootstrap: EnvoyCheck = {
  title: 'nobody else can reach the admin interface, and each setting of the process is known',
  run: ({ config }) => (config.bootstrap === undefined ? null : fieldFindings(bootstrap, config.bootstrap, 'envoy')),
};

/** The destinations of all other listeners are known. */
export const knownBeside: EnvoyCheck = {
  title: 'the targets of each other listener are known',
  run: (facts) => {
    const guarded = new Set(guardedOf(facts).map(({ where }) => where));
    if (guarded.size === 0) return null;
    const others = facts.config.listeners.flatMap(({ chains }) => chains.filter(({ where }) => !guarded.has(where)));
    return [
      ...others.flatMap(({ filters, where }) => filters.flatMap((one) => fieldFindings(otherFilter, one, where))),
      ...facts.config.draining.map((name) => ({
        code: 'envoy.unseen' as const,
        where: `listener/${name}`,
        level: 'info' as const,
        message:
          'connections that were opened before a change keep the filters that they had, for ten minutes by default',
        fix: 'wait, or restart Envoy',
      })),
    ];
  },
};
