import { isIP } from 'node:net';
import { isMap, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { HostPort } from './envoy-config.ts';

/** A server of a catalog, as Envoy needs it. */
export interface RoutedServer {
  readonly hosts: readonly string[];
  /** Paths with streaming bodies, which are not buffered for the check. */
  readonly streams: readonly string[];
  /** Paths of MCP and A2A, whose answers can be streams. */
  readonly streamed: readonly string[];
  /** A server of the user's that its hosts are routed to; `null`: the example server, which answers any call. */
  readonly own: OwnServer | null;
}

/** A server that the user has started, without TLS. */
export interface OwnServer {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** Whether it speaks HTTP/2 with prior knowledge, as servers of gRPC do; else HTTP/1.1. */
  readonly isHttp2: boolean;
}

/** The path to the routes in a shipped configuration of Envoy. */
export const ROUTE_CONFIG = [
  'static_resources',
  'listeners',
  0,
  'filter_chains',
  0,
  'filters',
  0,
  'typed_config',
  'route_config',
];
const TIMEOUT = '15s';

/** A route whose answer can be a stream: no limit on the whole answer, but on silence, and on a stream that Remit was once asked about. */
export const STREAMED = {
  timeout: '0s',
  idle_timeout: '900s',
  max_stream_duration: { max_stream_duration: '3600s' },
} as const;
const UPSTREAM = 'remit_dev_upstream';
const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const UNBUFFERED = {
  'envoy.filters.http.ext_authz': {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
    check_settings: { disable_request_body_buffering: true },
  },
};

/**
 * The shipped configuration with a route for every host of these servers. Each leads to its own server or to `upstream`. Existing routes are
 * replaced; the rest is unchanged. Throws if it has no virtual hosts or clusters, which means that the shipped file and this function differ.
 *
 * @param text the shipped configuration
 * @param upstream speaks HTTP/2 with prior knowledge
 */
export function withServers(text: string, servers: readonly RoutedServer[], upstream: HostPort): string {
  if (servers.length === 0) return text;
  const document = parseDocument(text);
  const hosts = listAt(document, [...ROUTE_CONFIG, 'virtual_hosts']);
  const routed = pathsByHost(servers);
  hosts.items = hosts.items.filter((item) => !namesAny(item, routed));
  hosts.items.unshift(...Array.from(routed, (of) => document.createNode(virtualHost(of))));
  const ownServers = new Map(Array.from(routed.values(), ({ own }) => [clusterNameOf(own), own]));
  const clusters = listAt(document, ['static_resources', 'clusters']).items;
  for (const [name, own] of ownServers)
    clusters.push(document.createNode(cluster(name, own ?? { ...upstream, isHttp2: true })));
  return document.toString({ lineWidth: 0 });
}

function listAt(document: Document, path: readonly (string | number)[]) {
  const list = document.getIn(path);
  if (!isSeq(list)) throw new Error(`the envoy configuration has no list \`${path.join('.')}\``);
  return list;
}

type HostRoutes = Omit<RoutedServer, 'hosts'>;

const clusterNameOf = (own: OwnServer | null): string =>
  own === null ? UPSTREAM : `${UPSTREAM}_${own.host}_${own.port}${own.isHttp2 ? '_h2' : ''}`;

/** Routes by host; a host can have several servers, but a domain belongs to one virtual host. */
function pathsByHost(servers: readonly RoutedServer[]): ReadonlyMap<string, HostRoutes> {
  const paths = new Map<string, HostRoutes>();
  for (const { hosts, streams, streamed, own } of servers) {
    for (const host of hosts) {
      const known = paths.get(host) ?? { streams: [], streamed: [], own: null };
      paths.set(host, {
        streams: [...known.streams, ...streams],
        streamed: [...known.streamed, ...streamed],
        own: own ?? known.own,
      });
    }
  }
  return paths;
}

function namesAny(item: unknown, hosts: ReadonlyMap<string, unknown>): boolean {
  const domains = isMap(item) ? item.get('domains') : null;
  return isSeq(domains) && domains.toJSON().some((domain: unknown) => typeof domain === 'string' && hosts.has(domain));
}

const virtualHost = ([host, { streams, streamed, own }]: readonly [string, HostRoutes]): object => ({
  name: host,
  domains: [host],
  routes: [
    ...streams.map((path) => ({
      match: { path },
      route: { cluster: clusterNameOf(own), ...STREAMED },
      typed_per_filter_config: UNBUFFERED,
    })),
    ...streamed.map((path) => ({ match: { path }, route: { cluster: clusterNameOf(own), ...STREAMED } })),
    { match: { prefix: '/' }, route: { cluster: clusterNameOf(own), timeout: TIMEOUT } },
  ],
});

const cluster = (name: string, { host, port, isHttp2 }: OwnServer): object => ({
  name,
  type: isIP(host) === 0 ? 'STRICT_DNS' : 'STATIC',
  ...(isIP(host) === 0 ? { dns_lookup_family: 'V4_PREFERRED' } : {}),
  connect_timeout: '1s',
  ...(isHttp2 ? { typed_extension_protocol_options: HTTP2 } : {}),
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: host, port_value: port } } } }] }],
  },
});
