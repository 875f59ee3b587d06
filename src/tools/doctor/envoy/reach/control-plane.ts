import { isObject } from '../../../../core/runtime/fields.ts';
import { at, listAt, membersAt, textAt } from '../../tree.ts';
import type { Finding } from '../../finding.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { EnvoyFacts } from '../envoy-facts.ts';
import { isOfHost } from '../fields/values-of-fields.ts';
import { pathsIn } from '../named-paths.ts';
import { guardedOf } from '../remit-filter.ts';
import type { Cluster } from './cluster.ts';
import { reachedClusters } from './reached-clusters.ts';
import { isPlain } from './transport.ts';
import { isAnchored } from './upstream-tls.ts';

/** Nobody else gives Envoy its configuration and its trust anchors. */
export const ownControlPlane: EnvoyCheck = {
  title: 'only its own control plane gives Envoy listeners, clusters and trust anchors',
  run: (facts) => {
    const { config, live } = facts;
    const guarded = guardedOf(facts);
    const dynamic = membersAt(config.bootstrap, 'dynamic_resources');
    if (guarded.length === 0 && dynamic.length === 0) return null;
    const sources = [
      ...dynamic.flatMap(([, source]) => sourcesIn(source)),
      ...guarded.flatMap(({ chain }) => sourcesIn(chain.fields)),
    ];
    return [
      ...[...new Set(sources.flatMap(clustersOf))].flatMap((name) => unverified(name, facts)),
      ...[...new Set(sources.flatMap(openTargetsOf))].map(openTarget),
      ...(live === null && dynamic.some(isByNetwork) ? [arriving] : []),
    ];
  },
};

/** Whether a source is not a file, which has a check of its own. */
const isByNetwork = ([name, source]: readonly [string, unknown]): boolean =>
  pathsIn({ [name]: source }).every(({ use }) => use !== 'source');

const arriving: Finding = {
  code: 'envoy.unseen',
  where: 'envoy',
  level: 'info',
  message: 'listeners and clusters arrive while it runs (`dynamic_resources`), so the file does not show them',
  fix: 'examine the running Envoy: `remit doctor --envoy ADDRESS`',
};

const MAX_DEPTH = 30;

/** The configuration sources that are asked over gRPC or REST, anywhere in a value. */
function sourcesIn(value: unknown, depth = 0): readonly unknown[] {
  if (depth > MAX_DEPTH) return [];
  if (Array.isArray(value)) return value.flatMap((one) => sourcesIn(one, depth + 1));
  if (!isObject(value)) return [];
  const inner = Object.values(value).flatMap((one) => sourcesIn(one, depth + 1));
  return 'api_type' in value ? [value, ...inner] : inner;
}

/** The clusters of a source: by gRPC it has services, by REST names of clusters. */
const clustersOf = (source: unknown): readonly string[] =>
  listAt(source, 'grpc_services')
    .map((one) => textAt(one, 'envoy_grpc', 'cluster_name'))
    .concat(listAt(source, 'cluster_names').filter((name) => typeof name === 'string'))
    .filter((name) => name !== '');

/** Credentials by which Google's gRPC verifies the server. */
const VERIFYING = ['ssl_credentials', 'google_default'] as const;

/** Targets of Google's gRPC on other machines that a source asks without TLS. */
const openTargetsOf = (source: unknown): readonly string[] =>
  listAt(source, 'grpc_services')
    .map((one) => at(one, 'google_grpc'))
    .filter((grpc) => VERIFYING.every((name) => at(grpc, 'channel_credentials', name) === undefined))
    .map((grpc) => textAt(grpc, 'target_uri'))
    .filter((target) => target !== '' && !isTargetOfHost(target));

/**
 * Whether each address of a target is of this host.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/naming.md
 */
const isTargetOfHost = (target: string): boolean =>
  target
    .replace(/^(?:dns|ipv[46]):(?:\/\/\/)?/, '')
    .split(',')
    .every(isOfHost);

const openTarget = (target: string): Finding => ({
  code: 'envoy.impostor',
  where: 'envoy',
  level: 'warning',
  message: `configuration comes from \`${target}\` in clear (\`google_grpc\`): the server that answers there removes the filter, or adds a CA`,
  fix: 'give it `channel_credentials: { ssl_credentials: … }`, or use a Unix socket',
});

/** A configuration source on another machine, reached in plaintext or without verifying its certificate. */
function unverified(name: string, facts: EnvoyFacts): readonly Finding[] {
  const hops = reachedClusters([name], facts.config).flatMap((one) => facts.config.clusters.get(one) ?? []);
  const isSafe = ({ transports }: Cluster): boolean =>
    transports.every((one) => !isPlain(one) && one.tls !== null && isAnchored(one.tls, facts));
  const open = hops.find((hop) => !isSafe(hop) && hop.endpoints.some((one) => !isOfHost(one)));
  const away = open?.endpoints.find((one) => !isOfHost(one));
  if (away === undefined || hops.slice(0, 1).some(isSafe)) return [];
  return [
    {
      code: 'envoy.impostor',
      where: `cluster/${name}`,
      level: 'warning',
      message: `configuration comes from \`${away}\` in clear or from a server that is not verified: the server that answers there removes the filter, or adds a CA`,
      fix: 'give the cluster TLS with a validation context, or use a Unix socket',
    },
  ];
}
