import type { Finding } from '../../finding.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { Cluster } from './cluster.ts';
import type { Listener } from '../envoy-config.ts';
import type { EnvoyFacts } from '../envoy-facts.ts';
import { isOfHost } from '../fields/values-of-fields.ts';
import { askingsOf, recognisedClusters, remitClustersOf } from '../remit-filter.ts';
import { isPlain } from './transport.ts';
import { isAnchored, isNamed } from './upstream-tls.ts';

const SHIPPED = 'deploy/envoy/envoy-network.yaml has a cluster of Remit with mutual TLS';

/** Nobody but Remit answers the checks. */
export const noImpostor: EnvoyCheck = {
  title: 'nobody but Remit can answer checks, and agents cannot ask it',
  run: (facts) => {
    const names = remitClustersOf(facts);
    if (askingsOf(facts).length === 0) return null;
    return [
      ...unrecognised(facts),
      ...[...names].flatMap((name) => {
        const cluster = facts.config.clusters.get(name);
        return cluster === undefined ? [] : overNetwork(cluster, facts);
      }),
      ...askedByAgents(facts, names),
    ];
  },
};

/** The only cluster of the ext_authz filters is assumed to be Remit, but may be another service. */
function unrecognised(facts: EnvoyFacts): readonly Finding[] {
  if (facts.remitCluster !== null || recognisedClusters(facts).size > 0) return [];
  return [...remitClustersOf(facts)].map((name) => ({
    code: 'envoy.impostor',
    where: `cluster/${name}`,
    message: `the ext_authz filters ask \`${name}\`, and neither its name nor its address says that it is Remit`,
    fix: 'if it is Remit, name it with --cluster; otherwise add the filter of deploy/envoy/envoy.yaml',
  }));
}

function overNetwork(cluster: Cluster, facts: EnvoyFacts): readonly Finding[] {
  const away = cluster.endpoints.find((one) => !isOfHost(one));
  if (away === undefined) return [];
  const where = `cluster/${cluster.name}`;
  if (cluster.transports.some(isPlain))
    return [
      {
        code: 'envoy.impostor',
        where,
        message: `checks go to \`${away}\` in clear: anybody who is on the way, or answers at that address, reads tokens and allows every call`,
        fix: `give the cluster TLS, or Remit a Unix socket beside Envoy: ${SHIPPED}`,
      },
    ];
  return cluster.transports.every(({ tls }) => tls !== null && isAnchored(tls, facts) && isNamed(tls, facts))
    ? []
    : [
        {
          code: 'envoy.impostor',
          where,
          message: `who answers at \`${away}\` is not held to the SPIFFE ID of Remit: any server with a certificate may allow every call`,
          fix: `set a validation context with a CA and \`match_typed_subject_alt_names\`: ${SHIPPED}`,
        },
      ];
}

/** No route and no TCP proxy leads to Remit, but those of this host to the Remit beside it, as a mesh makes them for outgoing calls. */
function askedByAgents(facts: EnvoyFacts, names: ReadonlySet<string>): readonly Finding[] {
  const own = new Set([...names].flatMap((name) => facts.config.clusters.get(name)?.endpoints ?? []));
  const isOwn = (name: string): boolean =>
    names.has(name) || (facts.config.clusters.get(name)?.endpoints ?? []).some((endpoint) => own.has(endpoint));
  return facts.config.listeners.flatMap((listener) =>
    listener.chains
      .flatMap(({ http, tcpClusters, where }) =>
        (http?.routes ?? [])
          .map((route) => ({ where: `${where}/route/${route.where}`, clusters: route.clusters }))
          .concat({ where, clusters: tcpClusters }),
      )
      .filter(({ clusters }) => clusters.some(isOwn))
      .map(({ where }) => ({
        code: 'envoy.impostor' as const,
        where,
        level: isOfThisHost(listener) ? ('info' as const) : ('error' as const),
        message:
          'it leads to Remit itself: agents can ask for decisions in the name of others, and forge outcomes of calls',
        fix: 'remove the route',
      })),
  );
}

const isOfThisHost = ({ address, direction }: Listener): boolean =>
  direction === 'OUTBOUND' && (address === '' || isOfHost(address));
