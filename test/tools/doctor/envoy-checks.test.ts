import { describe, expect, it } from '@jest/globals';
import { agentLimit } from '../../../src/tools/doctor/envoy/agent-limit.ts';
import { alwaysAsked, askedOnEachRoute, neverAsked } from '../../../src/tools/doctor/envoy/asked.ts';
import type { EnvoyCheck } from '../../../src/tools/doctor/envoy/envoy-check.ts';
import { knownFilters } from '../../../src/tools/doctor/envoy/filter-order.ts';
import { boundedCheck, failsClosed } from '../../../src/tools/doctor/envoy/filter-strength.ts';
import { knownBootstrap } from '../../../src/tools/doctor/envoy/guarded-fields.ts';
import { ownXfcc } from '../../../src/tools/doctor/envoy/listener-strength.ts';
import { noOtherPath } from '../../../src/tools/doctor/envoy/other-paths.ts';
import { verifiedCaller } from '../../../src/tools/doctor/envoy/reach/caller-tls.ts';
import { ownControlPlane } from '../../../src/tools/doctor/envoy/reach/control-plane.ts';
import { noImpostor } from '../../../src/tools/doctor/envoy/reach/impostor.ts';
import { usableCluster } from '../../../src/tools/doctor/envoy/reach/reach.ts';
import { askingFilter, clusterAt, envoyFactsOf, listenerOf, routerFilter, tcpListenerTo } from './envoy-facts-of.ts';
import type { Parts } from './envoy-facts-of.ts';

/** What a check finds, as `level code at place`; the level is left out if it is that of the code. */
const foundBy = ({ run }: EnvoyCheck, parts: Parts): readonly string[] =>
  (run(envoyFactsOf(parts)) ?? []).map(({ code, level, where }) =>
    [...(level === undefined ? [] : [level]), code, 'at', where].join(' '),
  );

/** What is examined, its parts, and what is found. */
type Row = readonly [name: string, check: EnvoyCheck, parts: Parts, found: readonly string[]];

const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';
const filter = (name: string, type: string, fields: object): object => ({
  name,
  typed_config: { '@type': `${HTTP}.${type}`, ...fields },
});
const toTool = { match: { prefix: '/' }, route: { cluster: 'tool' } };
const tool = clusterAt('tool', '10.0.0.8', 80);
const remit = clusterAt('remit', '127.0.0.1', 9470);
const toRemit = (endpoint: object): object => ({
  name: 'remit',
  load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint }] }] },
});
const socket = (address: string, port: number): object => ({ socket_address: { address, port_value: port } });
const LOOPBACK = { address: socket('127.0.0.1', 15_001), traffic_direction: 'OUTBOUND' };
const INTERNAL = { address: undefined, internal_listener: {}, traffic_direction: 'OUTBOUND' };
const alone = [routerFilter];
const vhds = { table: { vhds: { config_source: { ads: {} } } }, hosts: [] };

const ASKED: readonly Row[] = [
  [
    'a listener whose virtual hosts arrive, and that asks nobody',
    neverAsked,
    { filters: alone, ...vhds },
    ['envoy.never-asked at listener/agents'],
  ],
  [
    'an outgoing listener on loopback',
    neverAsked,
    { filters: alone, routes: [toTool], listener: LOOPBACK },
    ['info envoy.never-asked at listener/agents'],
  ],
  [
    'an outgoing listener on loopback, and at a further address that others reach',
    neverAsked,
    {
      filters: alone,
      routes: [toTool],
      listener: { ...LOOPBACK, additional_addresses: [{ address: socket('0.0.0.0', 15_001) }] },
    },
    ['warning envoy.never-asked at listener/agents'],
  ],
  [
    'an outgoing listener that only this Envoy connects to',
    neverAsked,
    { filters: alone, routes: [toTool], listener: INTERNAL },
    ['info envoy.never-asked at listener/agents'],
  ],
  [
    'a filter that is off, and routes that arrive',
    askedOnEachRoute,
    { filters: [{ ...askingFilter(), disabled: true }, routerFilter], ...vhds },
    ['envoy.disabled-on-route at listener/agents'],
  ],
  [
    'a filter that is off, and a route table that arrives',
    askedOnEachRoute,
    {
      filters: [{ ...askingFilter(), disabled: true }, routerFilter],
      manager: { route_config: undefined, rds: { route_config_name: 'later' } },
    },
    ['envoy.disabled-on-route at listener/agents'],
  ],
  ['a filter that is on, and routes that arrive', askedOnEachRoute, vhds, []],
  [
    'an upgrade whose filters ask nobody',
    neverAsked,
    {
      routes: [toTool],
      manager: { upgrade_configs: [{ upgrade_type: 'websocket', enabled: false, filters: alone }] },
    },
    ['envoy.never-asked at listener/agents/upgrade/websocket'],
  ],
  [
    'an upgrade whose filters ask Remit and let all calls pass',
    alwaysAsked,
    {
      routes: [toTool],
      manager: {
        upgrade_configs: [{ upgrade_type: 'websocket', filters: [askingFilter({ shadow_mode: true }), routerFilter] }],
      },
    },
    ['envoy.shadow-mode at listener/agents/upgrade/websocket'],
  ],
  [
    'an upgrade with the filters of all calls',
    neverAsked,
    { routes: [toTool], manager: { upgrade_configs: [{ upgrade_type: 'websocket' }] } },
    [],
  ],
  [
    'a share of ten thousand, by the number of its denominator',
    alwaysAsked,
    {
      filters: [askingFilter({ filter_enabled: { default_value: { numerator: 100, denominator: 1 } } }), routerFilter],
    },
    ['envoy.sampled at listener/agents'],
  ],
  [
    'a shadow, in quotes',
    alwaysAsked,
    { filters: [askingFilter({ shadow_mode: 'true' }), routerFilter] },
    ['envoy.shadow-mode at listener/agents'],
  ],
];

const second = filter('second', 'ext_authz.v3.ExtAuthz', { http_service: { server_uri: { cluster: 'other' } } });
const byGoogle = filter('remit', 'ext_authz.v3.ExtAuthz', {
  grpc_service: { google_grpc: { target_uri: '127.0.0.1:9470' } },
});
const METADATA = 'envoy.filters.http.header_to_metadata';
const copying = (namespace: object): object => ({
  request_rules: [{ header: 'x-who', on_header_present: { key: 'certificate', ...namespace } }],
});
const sending = askingFilter({ metadata_context_namespaces: [METADATA] });

const ORDER: readonly Row[] = [
  [
    'another check after that of Remit, which is asked without a cluster',
    knownFilters,
    { filters: [byGoogle, second, routerFilter] },
    ['warning envoy.changed-after-check at listener/agents'],
  ],
  [
    'a header of the client as metadata, by the namespace of the filter',
    knownFilters,
    { filters: [filter('copy', 'header_to_metadata.v3.Config', copying({})), sending, routerFilter] },
    ['envoy.certificate-unverified at listener/agents'],
  ],
  [
    'a header of the client as metadata, by a route',
    knownFilters,
    {
      filters: [filter('copy', 'header_to_metadata.v3.Config', {}), sending, routerFilter],
      routes: [
        {
          ...toTool,
          typed_per_filter_config: {
            copy: {
              '@type': `${HTTP}.header_to_metadata.v3.Config`,
              ...copying({ metadata_namespace: METADATA }),
            },
          },
        },
      ],
    },
    ['envoy.certificate-unverified at listener/agents'],
  ],
  [
    'a header of the client as metadata that Remit does not get',
    knownFilters,
    {
      filters: [
        filter('copy', 'header_to_metadata.v3.Config', copying({ metadata_namespace: 'x' })),
        sending,
        routerFilter,
      ],
    },
    [],
  ],
  [
    'the token in the log of the router',
    knownFilters,
    {
      filters: [
        askingFilter(),
        filter('router', 'router.v3.Router', {
          upstream_log: [{ typed_config: { log_format: { text_format: '%REQ(AUTHORIZATION)%' } } }],
        }),
      ],
    },
    ['warning envoy.leak at listener/agents'],
  ],
];

const retrying = (retryOn: string): object => ({
  ...toTool,
  typed_per_filter_config: {
    'envoy.filters.http.ext_authz': {
      '@type': `${HTTP}.ext_authz.v3.ExtAuthzPerRoute`,
      check_settings: {
        grpc_service: { envoy_grpc: { cluster_name: 'remit' }, retry_policy: { retry_on: retryOn } },
      },
    },
  },
});
const shares = (share: object): object => ({
  filter_enabled: { default_value: { numerator: 100 } },
  filter_enforced: { default_value: { numerator: 100 } },
  ...share,
});
const limited = (share: object): Parts => ({
  filters: [filter('limit', 'local_ratelimit.v3.LocalRateLimit', shares(share)), askingFilter(), routerFilter],
});

const STRENGTH: readonly Row[] = [
  [
    'a check that a route repeats',
    boundedCheck,
    { routes: [retrying('5xx')] },
    ['envoy.check-retried at listener/agents/route/all/0'],
  ],
  ['a check that a route repeats before it began', boundedCheck, { routes: [retrying('connect-failure')] }, []],
  [
    'a status by its number, and a body',
    failsClosed,
    {
      filters: [askingFilter({ status_on_error: { code: 503 } }), routerFilter],
      manager: { local_reply_config: { body_format: {} } },
    },
    [],
  ],
  [
    'a header of the client, by the number of the mode',
    ownXfcc,
    { manager: { forward_client_cert_details: 1 } },
    ['envoy.xfcc-forwarded at listener/agents'],
  ],
  ['a limit for each agent', agentLimit, limited({}), []],
  [
    'a limit of no call',
    agentLimit,
    limited({ filter_enabled: undefined }),
    ['envoy.no-agent-limit at listener/agents'],
  ],
  [
    'a limit that only counts',
    agentLimit,
    limited({ filter_enforced: { default_value: { numerator: 0 } } }),
    ['envoy.no-agent-limit at listener/agents'],
  ],
];

const byHeader = { match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } };
const outgoing = { traffic_direction: 'OUTBOUND' };

const PATHS: readonly Row[] = [
  [
    'an outgoing listener whose calls choose their cluster, beside one that asks',
    noOtherPath,
    {
      routes: [toTool],
      listener: outgoing,
      clusters: [tool],
      beside: [listenerOf('beside', { filters: alone, routes: [byHeader], listener: LOOPBACK })],
    },
    ['envoy.direct-path at listener/beside'],
  ],
  [
    'a proxy to the address that the client connected to, by the type of an extension',
    noOtherPath,
    {
      routes: [toTool],
      clusters: [
        tool,
        {
          name: 'any',
          cluster_type: {
            name: 'any',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.clusters.original_dst.v3.OriginalDstClusterConfig',
            },
          },
        },
      ],
      beside: [tcpListenerTo('proxy', 'any')],
    },
    ['warning envoy.direct-path at listener/proxy'],
  ],
];

const aggregate = {
  name: 'all',
  cluster_type: {
    name: 'envoy.clusters.aggregate',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig',
      clusters: ['remit'],
    },
  },
};
const viaInner = toRemit({ address: { envoy_internal_address: { server_listener_name: 'inner' } } });
const inner = { ...tcpListenerTo('inner', 'far'), internal_listener: {} };

/** A bootstrap whose listeners come by a channel of Google's gRPC. */
const byChannel = (channel: object): Parts => ({
  bootstrap: {
    dynamic_resources: {
      lds_config: { ads: {} },
      ads_config: { api_type: 'GRPC', grpc_services: [{ google_grpc: channel }] },
    },
  },
});
const ARRIVING = 'info envoy.unseen at envoy';
const IN_CLEAR = ['warning envoy.impostor at envoy', ARRIVING];
const adminAt = (path: string): Parts => ({ bootstrap: { admin: { address: { pipe: { path } } } } });

const REACH: readonly Row[] = [
  ['Remit beside Envoy', noImpostor, { clusters: [remit] }, []],
  [
    'a further address of Remit, on another machine',
    noImpostor,
    {
      clusters: [
        toRemit({
          address: socket('127.0.0.1', 9470),
          additional_addresses: [{ address: socket('10.0.0.9', 9470) }],
        }),
      ],
    },
    ['envoy.impostor at cluster/remit'],
  ],
  [
    'Remit on another machine, by a listener of this Envoy',
    noImpostor,
    { clusters: [viaInner, clusterAt('far', '10.0.0.9', 9470)], beside: [inner] },
    ['envoy.impostor at cluster/far'],
  ],
  [
    'Remit beside Envoy, by a listener of this Envoy',
    noImpostor,
    { clusters: [viaInner, clusterAt('far', '127.0.0.1', 9470)], beside: [inner] },
    [],
  ],
  [
    'a route to Remit, by a cluster of clusters',
    noImpostor,
    { clusters: [remit, aggregate], routes: [{ match: { prefix: '/' }, route: { cluster: 'all' } }] },
    ['error envoy.impostor at listener/agents/route/all/0'],
  ],
  [
    'an outgoing listener to Remit that only this Envoy connects to',
    noImpostor,
    { clusters: [remit], beside: [{ ...tcpListenerTo('inner', 'remit'), ...INTERNAL }] },
    ['info envoy.impostor at listener/inner'],
  ],
  [
    'options of HTTP/2 that are not set',
    usableCluster,
    { clusters: [{ ...remit, http2_protocol_options: null }] },
    ['envoy.cluster-http1 at cluster/remit'],
  ],
  ['options of HTTP/2', usableCluster, { clusters: [{ ...remit, http2_protocol_options: {} }] }, []],
  [
    'options of HTTP/2 beside those that count',
    usableCluster,
    {
      clusters: [
        {
          ...remit,
          http2_protocol_options: {},
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http_protocol_options: {} },
            },
          },
        },
      ],
    },
    ['envoy.cluster-http1 at cluster/remit'],
  ],
  [
    'a control plane in clear, by REST',
    ownControlPlane,
    {
      clusters: [clusterAt('plane', '10.0.0.5', 80)],
      bootstrap: {
        dynamic_resources: { cds_config: { api_config_source: { api_type: 'REST', cluster_names: ['plane'] } } },
      },
    },
    ['warning envoy.impostor at cluster/plane', ARRIVING],
  ],
  [
    'a control plane in clear, by a channel of Google',
    ownControlPlane,
    byChannel({ target_uri: 'dns:///plane.acme.test:18000' }),
    IN_CLEAR,
  ],
  [
    'a control plane that may be on another machine, by a channel of Google',
    ownControlPlane,
    byChannel({ target_uri: 'ipv4:127.0.0.1:18000,10.0.0.5:18000' }),
    IN_CLEAR,
  ],
  [
    'a control plane with credentials of the caller alone, by a channel of Google',
    ownControlPlane,
    byChannel({ target_uri: '10.0.0.5:18000', call_credentials: [{ access_token: 'x' }] }),
    IN_CLEAR,
  ],
  [
    'a control plane by TLS, by a channel of Google',
    ownControlPlane,
    byChannel({ target_uri: '10.0.0.5:18000', channel_credentials: { ssl_credentials: {} } }),
    [ARRIVING],
  ],
  [
    'a control plane at a Unix socket, by a channel of Google',
    ownControlPlane,
    byChannel({ target_uri: 'unix:/run/plane.sock' }),
    [ARRIVING],
  ],
  [
    'a control plane on loopback, by a channel of Google',
    ownControlPlane,
    byChannel({ target_uri: 'dns:///localhost:18000' }),
    [ARRIVING],
  ],
  ['an admin interface at a socket', knownBootstrap, adminAt('/run/admin.sock'), []],
  ['an admin interface at an abstract socket', knownBootstrap, adminAt('@admin'), ['error envoy.admin-open at envoy']],
];

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';
const byNamed = (secrets: readonly object[]): Parts => ({
  secrets,
  chain: {
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': TLS,
        require_client_certificate: true,
        disable_stateless_session_resumption: true,
        disable_stateful_session_resumption: true,
        common_tls_context: { validation_context_sds_secret_config: { name: 'callers' } },
      },
    },
  },
});
const UNVERIFIED = ['envoy.certificate-unverified at listener/agents'];

const CALLERS: readonly Row[] = [
  ['a secret that is not shown', verifiedCaller, byNamed([]), []],
  [
    'a secret with a CA',
    verifiedCaller,
    byNamed([{ name: 'callers', validation_context: { trusted_ca: { filename: '/ca.pem' } } }]),
    [],
  ],
  ['a secret without a CA', verifiedCaller, byNamed([{ name: 'callers', validation_context: {} }]), UNVERIFIED],
  [
    'a secret that accepts any CA, by the number of the mode',
    verifiedCaller,
    byNamed([
      {
        name: 'callers',
        validation_context: { trusted_ca: { filename: '/ca.pem' }, trust_chain_verification: 1 },
      },
    ]),
    UNVERIFIED,
  ],
];

describe('a check of Envoy', () => {
  it.each([...ASKED, ...ORDER, ...STRENGTH, ...PATHS, ...REACH, ...CALLERS])(
    'is right about %s',
    (_name, check, parts, found) => {
      expect(foundBy(check, parts)).toEqual(found);
    },
  );
});
