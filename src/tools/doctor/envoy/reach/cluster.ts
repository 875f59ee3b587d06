import { transportFrom } from './transport.ts';
import type { Transport } from './transport.ts';
import { at, fieldsOf, listAt, membersAt, numberAt, textAt, typeOf } from '../../tree.ts';

/** What a cluster speaks to its endpoints. */
export type UpstreamProtocol = 'http1' | 'http2' | 'as-downstream' | 'by-alpn';

/** A cluster. */
export interface Cluster {
  readonly name: string;
  readonly protocol: UpstreamProtocol;
  /** Endpoints: `unix:PATH`, `unix:@NAME` for an abstract socket, `internal:LISTENER`, `HOST:PORT`. */
  readonly endpoints: readonly string[];
  /** Whether its endpoints are looked up while it runs (DNS, EDS), so that an empty list says nothing. */
  readonly isDiscovered: boolean;
  /** Clusters that it chooses among, if it has no endpoints of its own. */
  readonly members: readonly string[];
  /** Its transport sockets, without what wraps them; an empty socket is plaintext. */
  readonly transports: readonly Transport[];
  /** As in the configuration. */
  readonly fields: unknown;
}

const DISCOVERED: ReadonlySet<string> = new Set(['EDS', 'STRICT_DNS', 'LOGICAL_DNS', 'ORIGINAL_DST']);

/** Reads a cluster; `assignment` has its endpoints if they are not part of it. */
export function clusterFrom(cluster: unknown, assignment: unknown): Cluster {
  const localities = listAt(assignment ?? at(cluster, 'load_assignment'), 'endpoints');
  const endpoints = localities.flatMap((one) => listAt(one, 'lb_endpoints'));
  const matches = listAt(cluster, 'transport_socket_matches').map((one) => at(one, 'transport_socket'));
  return {
    name: textAt(cluster, 'name'),
    protocol: protocolOf(cluster),
    endpoints: endpoints.flatMap((one) => addressesOf(at(one, 'endpoint'))),
    isDiscovered: DISCOVERED.has(textAt(cluster, 'type')) || at(cluster, 'cluster_type') !== undefined,
    members: membersOf(at(cluster, 'cluster_type', 'typed_config')),
    transports: [at(cluster, 'transport_socket'), ...matches].map((one) => transportFrom(at(one, 'typed_config'))),
    fields: cluster,
  };
}

/** Whether a cluster connects to the address that the client connected to. */
export const isOriginalDst = (cluster: unknown): boolean =>
  textAt(cluster, 'type') === 'ORIGINAL_DST' ||
  typeOf(at(cluster, 'cluster_type', 'typed_config')) === 'OriginalDstClusterConfig';

/** The members of an aggregate or composite cluster. */
const membersOf = (type: unknown): readonly string[] =>
  listAt(fieldsOf(type), 'clusters').flatMap((one) => (typeof one === 'string' ? [one] : [textAt(one, 'name')]));

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function protocolOf(cluster: unknown): UpstreamProtocol {
  const [, any] = membersAt(cluster, 'typed_extension_protocol_options').find(([name]) => name === OPTIONS) ?? [];
  const options = fieldsOf(any);
  if (at(options, 'use_downstream_protocol_config') !== undefined) return 'as-downstream';
  if (at(options, 'auto_config') !== undefined) return 'by-alpn';
  // The deprecated options of the cluster itself count only without these.
  const spoken = options === undefined ? cluster : at(options, 'explicit_http_config');
  return at(spoken, 'http2_protocol_options') === undefined ? 'http1' : 'http2';
}

/** All addresses of a listener, or of an endpoint. Envoy connects to a further address of an endpoint if the first does not answer. */
export const addressesOf = (value: unknown): readonly string[] =>
  [at(value, 'address'), ...listAt(value, 'additional_addresses').map((one) => at(one, 'address'))].map(addressOf);

/** An address as one text: `unix:PATH`, `internal:LISTENER` or `HOST:PORT`; `:0` if it is absent. */
export function addressOf(address: unknown): string {
  const pipe = textAt(address, 'pipe', 'path');
  if (pipe !== '') return `unix:${pipe}`;
  const internal = textAt(address, 'envoy_internal_address', 'server_listener_name');
  if (internal !== '') return `internal:${internal}`;
  const host = textAt(address, 'socket_address', 'address');
  const port = numberAt(address, 'socket_address', 'port_value') ?? 0;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The cluster of a filter's `envoy_grpc`, or the target of its `google_grpc`; else empty. */
export const grpcClusterOf = (filter: unknown): string =>
  textAt(filter, 'grpc_service', 'envoy_grpc', 'cluster_name') ||
  textAt(filter, 'grpc_service', 'google_grpc', 'target_uri');
