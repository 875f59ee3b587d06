import type { Finding } from '../../finding.ts';
import type { Cluster } from './cluster.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { EnvoyFacts, HostStatus } from '../envoy-facts.ts';
import { askingsOf, managersOf, remitClustersOf } from '../remit-filter.ts';
import { listAt, textAt } from '../../tree.ts';

/** The cluster of Remit exists and speaks HTTP/2. */
export const usableCluster: EnvoyCheck = {
  title: 'the cluster of Remit exists, has an endpoint and speaks HTTP/2',
  run: (facts) => {
    const names = new Set([...remitClustersOf(facts)].filter((name) => isAsked(facts, name)));
    const byHttp = httpServices(facts);
    if (names.size === 0 && byHttp.length === 0) return null;
    return [...byHttp, ...[...names].flatMap((name) => clusterFindings(name, facts))];
  },
};

const isAsked = (facts: EnvoyFacts, name: string): boolean =>
  askingsOf(facts).some(({ filter }) => textAt(filter.fields, 'grpc_service', 'envoy_grpc', 'cluster_name') === name);

const httpServices = (facts: EnvoyFacts): readonly Finding[] =>
  managersOf(facts).flatMap(({ filters, where }) =>
    filters
      .filter(
        ({ fields, name }) =>
          [name, httpClusterOf(fields)].some((one) => /remit/i.test(one)) && httpClusterOf(fields) !== '',
      )
      .map(({ fields }) => ({
        code: 'envoy.cluster-http1' as const,
        where,
        message: `it asks \`${httpClusterOf(fields)}\` by \`http_service\`; Remit answers gRPC alone, so every call is denied`,
        fix: 'use `grpc_service` as deploy/envoy/envoy.yaml does',
      })),
  );

const httpClusterOf = (fields: unknown): string => textAt(fields, 'http_service', 'server_uri', 'cluster');

function clusterFindings(name: string, { config }: EnvoyFacts): readonly Finding[] {
  const where = `cluster/${name}`;
  const cluster = config.clusters.get(name);
  if (cluster === undefined) {
    const known = [...config.clusters.keys()].slice(0, 10).join('`, `');
    return [
      {
        code: 'envoy.cluster-missing',
        where,
        message: `the filter asks the cluster \`${name}\`, which does not exist, so every call is denied; there are \`${known}\``,
        fix: 'write the name of the cluster of Remit into `grpc_service.envoy_grpc.cluster_name`, or add that cluster',
      },
    ];
  }
  return [...protocolFindings(cluster, where), ...endpointFindings(cluster, where)];
}

function protocolFindings({ protocol }: Cluster, where: string): readonly Finding[] {
  if (protocol === 'http2' || protocol === 'by-alpn') return [];
  return [
    {
      code: 'envoy.cluster-http1',
      where,
      message:
        protocol === 'http1'
          ? 'it speaks HTTP/1.1, and gRPC needs HTTP/2, so every call is denied'
          : 'it speaks what the client speaks (`use_downstream_protocol_config`): calls over HTTP/1.1 are denied',
      fix: 'give it `explicit_http_config: { http2_protocol_options: {} }`; in Kubernetes name the port `grpc-check`',
    },
  ];
}

const endpointFindings = ({ endpoints, isDiscovered }: Cluster, where: string): readonly Finding[] =>
  endpoints.length > 0 || isDiscovered
    ? []
    : [
        {
          code: 'envoy.no-endpoint',
          where,
          message: 'it has no endpoint, so every call is denied',
          fix: 'give it the address of Remit: `pipe: { path: /run/remit/check.sock }`',
        },
      ];

/** Envoy reaches Remit. */
export const healthyEndpoints: EnvoyCheck = {
  title: 'Envoy has connections to Remit, and its health checks pass',
  run: (facts) => {
    const { live } = facts;
    if (live === null) return null;
    const found = [...remitClustersOf(facts)].flatMap((name) => {
      const hosts = live.hosts.get(name);
      return hosts === undefined ? [] : [healthFindings(name, hosts, facts.config.clusters.get(name))];
    });
    return found.length === 0 ? null : found.flat();
  },
};

function healthFindings(name: string, hosts: readonly HostStatus[], cluster: Cluster | undefined): readonly Finding[] {
  const where = `cluster/${name}`;
  const isWatched = listAt(cluster?.fields, 'health_checks').length > 0;
  const bad = hosts.filter((host) => !host.isHealthy || (!isWatched && isFailing(host)));
  const [first] = bad;
  if (hosts.length === 0 && cluster?.isDiscovered === true)
    return [
      {
        code: 'envoy.no-endpoint',
        where,
        message: 'discovery has given it no endpoint, so every call is denied',
        fix: 'look whether Remit runs, and whether its Service selects it',
      },
    ];
  if (first === undefined) return [];
  const failures = bad.reduce((sum, { connectFailures }) => sum + connectFailures, 0);
  return [
    {
      code: 'envoy.unreachable',
      where,
      level: bad.some(({ isHealthy }) => !isHealthy) ? (bad.length === hosts.length ? 'error' : 'warning') : 'info',
      message: `${bad.length} of ${hosts.length} endpoints cannot be reached or say that they do not serve, first \`${first.address}\`; ${failures} connections failed`,
      fix: 'look whether Remit runs and is ready (`/readyz`), and listens at this address; else whether Envoy may open it',
    },
  ];
}

/**
 * Envoy never resets the counter of failed connections: the failures may date from a restart, or from before Remit was started. So they are
 * ignored if a connection is open or there are health checks, and are otherwise only worth knowing.
 */
const isFailing = ({ active, connectFailures }: HostStatus): boolean => active === 0 && connectFailures > 0;
