import { isMap, isSeq, parseDocument } from 'yaml';
import type { Alias, YAMLMap } from 'yaml';
import { changedYaml } from './changed-yaml.ts';
import type { YamlChange } from './changed-yaml.ts';

/*
 * What differs while all calls of a listener are observed: nothing that is there for Remit's sake refuses or changes a call. Remit's own answer
 * stays in force, since some calls are denied also while observing (ended and stolen tokens): so it is `failure_mode_allow`, and not Envoy's
 * `shadow_mode`, which lets these pass too.
 */

/** The default of Envoy. */
const BUFFERED_BYTES = 1_048_576;
const AWAY =
  'All calls here are observed: while Remit is away, late or broken they pass. Off again before anything here is enforced.';
const READING = 'All calls here are observed: paths and headers reach the tool as they came.';

const CHAIN = ['static_resources', 'listeners', 'name=agents', 'filter_chains', 0] as const;
const MANAGER = [...CHAIN, 'filters', 0, 'typed_config'] as const;
const filter = (name: string): YamlChange['path'] => [...MANAGER, 'http_filters', `name=envoy.filters.http.${name}`];

/** The changes of the shipped configurations of Envoy. */
const ENVOY: readonly YamlChange[] = [
  {
    path: ['static_resources', 'listeners', 'name=agents', 'per_connection_buffer_limit_bytes'],
    value: BUFFERED_BYTES,
    because: 'More than Remit is sent of a body: with less Envoy answers 413 to a longer one.',
  },
  { path: [...MANAGER, 'normalize_path'], value: false, because: READING },
  { path: [...MANAGER, 'merge_slashes'], value: false },
  { path: [...MANAGER, 'path_with_escaped_slashes_action'], value: 'KEEP_UNCHANGED' },
  { path: [...MANAGER, 'common_http_protocol_options', 'headers_with_underscores_action'], value: 'ALLOW' },
  // The default of Envoy.
  { path: [...MANAGER, 'max_request_headers_kb'], value: 60 },
  {
    path: [...MANAGER, 'request_timeout'],
    value: '0s',
    because: 'All calls here are observed: a request takes as long as it took.',
  },
  {
    path: [...MANAGER, 'upgrade_configs'],
    value: [{ upgrade_type: 'websocket' }],
    because: 'All calls here are observed: WebSocket works, and Remit is asked about its first request alone.',
  },
  {
    path: [...filter('local_ratelimit'), 'typed_config', 'filter_enforced'],
    value: { default_value: { numerator: 0 } },
    because: 'All calls here are observed: what is over the rate is counted and passes.',
  },
  { path: filter('header_mutation'), value: undefined },
  // While Remit is away each call would wait for the attempts.
  { path: [...filter('ext_authz'), 'typed_config', 'grpc_service', 'retry_policy'], value: undefined },
  { path: [...filter('ext_authz'), 'typed_config', 'failure_mode_allow'], value: true, because: AWAY },
  {
    path: [...filter('ext_authz'), 'typed_config', 'with_request_body'],
    value: { max_request_bytes: 65_536, allow_partial_message: true, pack_as_bytes: true },
    because: 'All calls here are observed: a longer body passes, and Remit sees its beginning.',
  },
];

/**
 * A shipped configuration of Envoy while all its calls are observed, with a second listener at the next port for agents without a certificate:
 * Envoy's SPIFFE validator lets nobody connect who has none (tried with 1.40).
 *
 * @param head the comment at its top; `null` keeps the existing comment
 */
export function observingEnvoyConfig(text: string, head: string | null = null): string {
  const document = parseDocument(changedYaml(text, ENVOY, head));
  const listeners = document.getIn(['static_resources', 'listeners']);
  const [agents] = isSeq(listeners) ? listeners.items : [];
  if (!isSeq(listeners) || !isMap(agents)) throw new Error('the shipped file has no listener');
  // One text for both: a change of the first is one of the second.
  const shared = (name: string, path: readonly (string | number)[]): Alias => {
    const node = agents.getIn(path, true);
    if (!isSeq(node)) throw new Error(`the shipped listener has no \`${path.join('.')}\``);
    return document.createAlias(node, name);
  };
  const kind = agents.hasIn([...TLS, 'tls_certificates']) ? 'tls_certificates' : 'tls_certificate_sds_secret_configs';
  const added = document.createNode(withoutIdentity(addressIn(agents)));
  added.commentBefore =
    ' For agents without a SPIFFE ID: they show no certificate, and are observed by the server they call.';
  added.setIn([...TLS, kind], shared('own_certificate', [...TLS, kind]));
  added.setIn(['filter_chains', 0, 'filters'], shared('filters', ['filter_chains', 0, 'filters']));
  listeners.add(added);
  return document.toString({ lineWidth: 0 });
}

const TLS = ['filter_chains', 0, 'transport_socket', 'typed_config', 'common_tls_context'] as const;

interface Address {
  readonly address: unknown;
  readonly port: number;
}

const addressIn = (listener: YAMLMap): Address => ({
  address: listener.getIn(['address', 'socket_address', 'address']),
  port: Number(listener.getIn(['address', 'socket_address', 'port_value'])),
});

/** A listener at the next port that asks for no certificate; its own certificate and its filters are still to be set. */
const withoutIdentity = ({ address, port }: Address) => ({
  name: 'agents-without-identity',
  address: { socket_address: { address, port_value: port + 1 } },
  per_connection_buffer_limit_bytes: BUFFERED_BYTES,
  filter_chains: [
    {
      transport_socket_connect_timeout: '10s',
      transport_socket: {
        name: 'envoy.transport_sockets.tls',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
          common_tls_context: {
            alpn_protocols: ['h2', 'http/1.1'],
            tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
          },
        },
      },
    },
  ],
});

const PROVIDER = ['extensionProviders', 'name=remit', 'envoyExtAuthzGrpc'] as const;
const MERGED = ['spec', 'configPatches', 1, 'patch', 'value', 'typed_config'] as const;

/** The changes of the shipped files of other hosts, by their path in `deploy/hosts/`. */
const OF_HOSTS: ReadonlyMap<string, readonly YamlChange[]> = new Map([
  [
    'istio/mesh.yaml',
    [
      { path: [...PROVIDER, 'failOpen'], value: true, because: AWAY },
      { path: [...PROVIDER, 'includeRequestBodyInCheck', 'allowPartialMessage'], value: true },
    ],
  ],
  [
    'istio/policy.yaml',
    [
      {
        of: ['kind', 'PeerAuthentication'],
        path: ['spec'],
        value: { mtls: { mode: 'PERMISSIVE' } },
        because: 'All calls here are observed: callers without a certificate of the mesh are let in too.',
      },
    ],
  ],
  [
    'istio/envoyfilter.yaml',
    [
      { path: [...MERGED, 'merge_slashes'], value: false, because: READING },
      { path: [...MERGED, 'path_with_escaped_slashes_action'], value: 'KEEP_UNCHANGED' },
      { path: ['spec', 'configPatches', 2], value: undefined },
    ],
  ],
  [
    'istio/limit.yaml',
    [
      {
        path: ['spec', 'configPatches', 0, 'patch', 'value', 'typed_config', 'filter_enforced'],
        value: { default_value: { numerator: 0 } },
        because: 'All calls here are observed: what is over the rate is counted and passes.',
      },
    ],
  ],
  [
    'istio-waypoint/waypoint.yaml',
    [{ of: ['kind', 'EnvoyFilter'], path: ['spec', 'configPatches', 0], value: undefined }],
  ],
  ['envoy-gateway/security.yaml', [{ path: ['spec', 'extAuth', 'failOpen'], value: true, because: AWAY }]],
  [
    'envoy-gateway/gateway.yaml',
    [{ of: ['kind', 'ClientTrafficPolicy'], path: ['spec', 'path', 'escapedSlashesAction'], value: 'KeepUnchanged' }],
  ],
  ['envoy-gateway/patch.yaml', [{ path: ['spec', 'jsonPatches', 3], value: undefined }]],
  [
    'kgateway/remit.yaml',
    [
      { of: ['kind', 'GatewayExtension'], path: ['spec', 'extAuth', 'failOpen'], value: true, because: AWAY },
      {
        of: ['kind', 'GatewayExtension'],
        path: ['spec', 'extAuth', 'withRequestBody', 'allowPartialMessage'],
        value: true,
      },
    ],
  ],
]);

/** The files of a host for calls that are all observed: those that differ. */
export const observingHostFiles = (files: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map(
    [...files].flatMap(([name, text]) => {
      const changes = OF_HOSTS.get(name);
      return changes === undefined ? [] : [[name, changedYaml(text, changes)] as const];
    }),
  );
