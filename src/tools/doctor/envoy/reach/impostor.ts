import type { Finding } from '../../finding.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { Cluster } from './cluster.ts';
import type { Listener } from '../envoy-config.ts';
import type { EnvoyFacts } from '../envoy-facts.ts';
import { isOfHost } from '../fields/values-of-fields.ts';
import { isBoundToHost } from '../outgoing.ts';
import { askingsOf, recognisedClusters, remitClustersOf } from '../remit-filter.ts';
import { reachedClusters } from './reached-clusters.ts';
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

/** Checks that leave this host: to an endpoint of the cluster itself, or of a cluster behind it, by a listener of this Envoy. */
const overNetwork = (cluster: Cluster, facts: EnvoyFacts): readonly Finding[] =>
  reachedClusters([cluster.name], facts.config).flatMap((name) => {
    const last = facts.config.clusters.get(name);
    return last === undefined ? [] : openHop(cluster, last, facts);
  });

function openHop(first: Cluster, last: Cluster, facts: EnvoyFacts): readonly Finding[] {
  const away = last.endpoints.find((one) => !isOfHost(one));
  if (away === undefined || isHeld(first, facts) || (first !== last && isVerified(last, facts))) return [];
  const where = `cluster/${last.name}`;
  return [first, last].every(({ transports }) => transports.some(isPlain))
    ? [
        {
          code: 'envoy.impostor',
          where,
          message: `checks go to \`${away}\` in clear: anybody who is on the way, or answers at that address, reads tokens and allows every call`,
          fix: `give the cluster TLS, or Remit a Unix socket beside Envoy: ${SHIPPED}`,
        },
      ]
    : [
        {
          code: 'envoy.impostor',
          where,
          message: `who answers at \`${away}\` is not held to the SPIFFE ID of Remit: any server with a certificate may allow every call`,
          fix: `set a validation context with a CA and \`match_typed_subject_alt_names\`: ${SHIPPED}`,
        },
      ];
}

/** Whether each transport of a cluster verifies the other side by a CA. */
const isVerified = ({ transports }: Cluster, facts: EnvoyFacts): boolean =>
  transports.every(({ tls }) => tls !== null && isAnchored(tls, facts));

/** Whether it also holds the other side to a name. */
const isHeld = (cluster: Cluster, facts: EnvoyFacts): boolean =>
  isVerified(cluster, facts) && cluster.transports.every(({ tls }) => isNamed(tls, facts));

/** Routes and TCP proxies that lead to Remit: an error, or an info for outgoing calls of this host, as a mesh makes them. */
function askedByAgents(facts: EnvoyFacts, names: ReadonlySet<string>): readonly Finding[] {
  const own = new Set([...names].flatMap((name) => facts.config.clusters.get(name)?.endpoints ?? []));
  const isRemit = (name: string): boolean =>
    names.has(name) || (facts.config.clusters.get(name)?.endpoints ?? []).some((endpoint) => own.has(endpoint));
  const known = new Map<string, boolean>();
  const isOwn = (name: string): boolean => {
    const found = known.get(name) ?? reachedClusters([name], facts.config).some(isRemit);
    known.set(name, found);
    return found;
  };
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

const isOfThisHost = (listener: Listener): boolean =>
  listener.direction === 'OUTBOUND' && (listener.address === '' || isBoundToHost(listener));
