import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { EXT_AUTHZ, perRoute, typed } from './fault-parts.ts';
import type { Yaml } from './fault-parts.ts';

/** The shipped bootstrap in a folder of its own, and its parts that faults change. */
export interface BrokenBootstrap {
  readonly config: Yaml;
  readonly listener: Yaml;
  readonly manager: Yaml;
  /** The validation context of callers. */
  readonly validation: Yaml;
  readonly remit: Yaml;
  /** The folder, which only its owner can write. It has the bundles `bundle.pem` and `other.pem`. */
  readonly folder: string;
}

/** A fault in a bootstrap, or in a file that it names. */
export interface BootstrapFault {
  readonly name: string;
  readonly break: (parts: BrokenBootstrap) => void;
  /** The codes of the errors and warnings. */
  readonly found: readonly string[];
}

const fault = (name: string, change: BootstrapFault['break'], ...found: readonly string[]): BootstrapFault => ({
  name,
  break: change,
  found,
});

const fromFile = (path: string): object => ({ path_config_source: { path }, resource_api_version: 'V3' });

/** Writes resources for a source of files. */
function delivered({ folder }: BrokenBootstrap, file: string, resources: readonly object[]): string {
  writeFileSync(join(folder, file), stringify({ resources }, { aliasDuplicateObjects: false }));
  return join(folder, file);
}

const resource = (type: string, value: object): object => ({ ...typed(type), ...value });

/** A listener of its own for the file of LDS, with the shipped chain but for a change. */
function byLds(parts: BrokenBootstrap, change: (listener: Yaml) => void): string {
  const other = structuredClone(parts.listener);
  other.name = 'from-a-file';
  other.address.socket_address.port_value = 8444;
  change(other);
  const path = delivered(parts, 'lds.yaml', [resource('config.listener.v3.Listener', other)]);
  parts.config.dynamic_resources = { lds_config: fromFile(path) };
  return path;
}

function withoutCheck(listener: Yaml): void {
  const manager = listener.filter_chains[0].filters[0].typed_config;
  manager.http_filters = manager.http_filters.filter(({ name }: Yaml) => name !== EXT_AUTHZ);
}
const same = (): void => undefined;

/** Routes of the shipped manager in a file of RDS, but for a change. */
function byRds(parts: BrokenBootstrap, change: (table: Yaml) => void): void {
  const { manager } = parts;
  const table = { ...manager.route_config, name: 'agents' };
  change(table);
  const path = delivered(parts, 'rds.yaml', [resource('config.route.v3.RouteConfiguration', table)]);
  delete manager.route_config;
  manager.rds = { route_config_name: 'agents', config_source: fromFile(path) };
}

const tcpProxy = (cluster: string): object => ({
  name: 'envoy.filters.network.tcp_proxy',
  typed_config: { ...typed('extensions.filters.network.tcp_proxy.v3.TcpProxy'), stat_prefix: 'own', cluster },
});

/** The shipped listener as that of a mesh, in a direction. */
function withTools({ config, listener }: BrokenBootstrap, direction: string): void {
  listener.traffic_direction = direction;
  config.static_resources.clusters.push({
    name: 'ORIGINAL',
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    connect_timeout: '1s',
  });
}

/** A listener for outgoing calls, as istiod makes them for services and for what is redirected. */
const outbound = (at: { readonly cluster: string; readonly bind: boolean; readonly virtual?: boolean }): Yaml => ({
  name: `outgoing-${at.cluster}`,
  traffic_direction: 'OUTBOUND',
  address: { socket_address: { address: '0.0.0.0', port_value: at.virtual === true ? 15_001 : 8_081 } },
  ...(at.bind ? {} : { bind_to_port: false }),
  ...(at.virtual === true ? { use_original_dst: true } : {}),
  filter_chains: [{ filters: [tcpProxy(at.cluster)] }],
});

/** A listener of TCP to the tools, whose connections are asked about. */
function asksAboutTcp({ config, remit }: BrokenBootstrap, change: object): void {
  const check = {
    ...typed('extensions.filters.network.ext_authz.v3.ExtAuthz'),
    stat_prefix: 'tcp',
    grpc_service: { envoy_grpc: { cluster_name: remit.name }, timeout: '0.5s' },
    transport_api_version: 'V3',
    ...change,
  };
  config.static_resources.listeners.push({
    name: 'tcp',
    address: { socket_address: { address: '0.0.0.0', port_value: 5_432 } },
    filter_chains: [
      { filters: [{ name: 'envoy.filters.network.ext_authz', typed_config: check }, tcpProxy('payments')] },
    ],
  });
}

const openFor = (path: string): void => chmodSync(path, 0o666);

/** Faults of a bootstrap that a running Envoy takes from elsewhere, or that a configuration dump does not show (issue 37, point 17). */
export const BOOTSTRAP_FAULTS: readonly BootstrapFault[] = [
  fault('as shipped, with files', same),
  fault('listeners in a file', (parts) => void byLds(parts, same)),
  fault('routes in a file', (parts) => byRds(parts, same)),
  fault('a file of listeners without a check', (parts) => void byLds(parts, withoutCheck), 'envoy.never-asked'),
  fault(
    'the same beside the bootstrap alone',
    (parts) => {
      byLds(parts, withoutCheck);
      parts.config.dynamic_resources.lds_config = fromFile('/nonexistent/envoy/lds.yaml');
    },
    'envoy.never-asked',
  ),
  fault(
    'a file of routes that switches the check off',
    (parts) =>
      byRds(parts, (table) => void (table.typed_per_filter_config = { [EXT_AUTHZ]: { ...perRoute, disabled: true } })),
    'envoy.disabled-on-route',
  ),
  fault(
    'a file of clusters with an address of the client',
    (parts) => {
      const { clusters } = parts.config.static_resources;
      const payments = clusters.findIndex(({ name }: Yaml) => name === 'payments');
      const [moved] = clusters.splice(payments, 1);
      delete moved.load_assignment;
      Object.assign(moved, {
        type: 'ORIGINAL_DST',
        lb_policy: 'CLUSTER_PROVIDED',
        original_dst_lb_config: { use_http_header: true },
      });
      const path = delivered(parts, 'cds.yaml', [resource('config.cluster.v3.Cluster', moved)]);
      parts.config.dynamic_resources = { cds_config: fromFile(path) };
    },
    'envoy.route-by-client',
  ),
  fault(
    'a file of listeners that is not there',
    ({ config }) => void (config.dynamic_resources = { lds_config: fromFile('/nonexistent/envoy/lds.yaml') }),
    'envoy.unseen',
  ),
  fault('a file of listeners for all', (parts) => openFor(byLds(parts, same)), 'envoy.impostor'),
  fault(
    'a folder of listeners for all',
    (parts) => {
      const path = byLds(parts, same);
      const open = join(parts.folder, 'open');
      mkdirSync(open);
      chmodSync(open, 0o777);
      renameSync(path, join(open, 'lds.yaml'));
      parts.config.dynamic_resources.lds_config = fromFile(join(open, 'lds.yaml'));
    },
    'envoy.impostor',
  ),
  fault(
    'a watched folder of listeners for all',
    (parts) => {
      byLds(parts, same);
      const open = join(parts.folder, 'watched');
      mkdirSync(open);
      chmodSync(open, 0o777);
      parts.config.dynamic_resources.lds_config.path_config_source.watched_directory = { path: open };
    },
    'envoy.impostor',
  ),
  fault('a file of CAs for all', ({ folder }) => openFor(join(folder, 'bundle.pem')), 'envoy.weak-tls'),
  fault(
    'a watched folder of CAs for all',
    ({ folder, validation }) => {
      const open = join(folder, 'cas');
      mkdirSync(open);
      chmodSync(open, 0o777);
      validation.watched_directory = { path: open };
    },
    'envoy.weak-tls',
  ),
  fault(
    'CAs of two trust domains in a file',
    ({ folder, validation }) => {
      delete validation.custom_validator_config;
      validation.trusted_ca = { filename: join(folder, 'both.pem') };
    },
    'envoy.weak-tls',
  ),
  fault(
    'one CA in the files of two trust domains',
    ({ folder, validation }) =>
      void validation.custom_validator_config.typed_config.trust_domains.push({
        name: 'other.test',
        trust_bundle: { filename: join(folder, 'both.pem') },
      }),
    'envoy.weak-tls',
  ),
  fault('two CAs of one trust domain in a file', ({ folder, validation }) => {
    delete validation.custom_validator_config;
    validation.trusted_ca = { filename: join(folder, 'renewed.pem') };
  }),
  fault(
    'filter chains from elsewhere',
    ({ listener }) => void (listener.fcds_config = { config_source: { ads: {} } }),
    'envoy.unseen',
  ),
  fault(
    'virtual hosts that arrive',
    ({ manager }) => void (manager.route_config.vhds = { config_source: { ads: {} } }),
    'envoy.unseen',
  ),
  fault(
    'virtual hosts that arrive in place of a virtual host for all',
    ({ manager }) => {
      manager.route_config.vhds = { config_source: { ads: {} } };
      manager.route_config.virtual_hosts.pop();
    },
    'envoy.no-catch-all',
    'envoy.unseen',
  ),
  fault(
    'runtime keys of a folder',
    ({ config }) =>
      void config.layered_runtime.layers.push({ name: 'disk', disk_layer: { symlink_root: '/srv/runtime' } }),
    'envoy.runtime',
  ),
  fault(
    'outgoing calls of other machines',
    ({ config, listener }) => {
      const other = structuredClone(listener);
      Object.assign(other, { name: 'outgoing', traffic_direction: 'OUTBOUND' });
      other.address.socket_address.port_value = 8444;
      withoutCheck(other);
      config.static_resources.listeners.push(other);
    },
    'envoy.never-asked',
    'envoy.direct-path',
  ),
  // Issue 39, point 7.
  fault('outgoing calls of a sidecar', (parts) => {
    withTools(parts, 'INBOUND');
    parts.config.static_resources.listeners.push(
      outbound({ cluster: 'payments', bind: false }),
      outbound({ cluster: 'ORIGINAL', bind: true, virtual: true }),
    );
  }),
  fault(
    'outgoing calls of a sidecar that other machines reach',
    (parts) => {
      withTools(parts, 'INBOUND');
      parts.config.static_resources.listeners.push(outbound({ cluster: 'payments', bind: true }));
    },
    'envoy.direct-path',
  ),
  fault(
    'outgoing calls of a sidecar that a listener of no direction hands on',
    (parts) => {
      withTools(parts, 'INBOUND');
      parts.config.static_resources.listeners.push(outbound({ cluster: 'payments', bind: false }), {
        ...outbound({ cluster: 'ORIGINAL', bind: true, virtual: true }),
        traffic_direction: 'UNSPECIFIED',
      });
    },
    'envoy.direct-path',
  ),
  fault(
    'outgoing calls of a sidecar if the client names the destination',
    (parts) => {
      withTools(parts, 'INBOUND');
      const virtual: Yaml = outbound({ cluster: 'ORIGINAL', bind: true, virtual: true });
      virtual.listener_filters = [
        {
          name: 'envoy.filters.listener.proxy_protocol',
          typed_config: typed('extensions.filters.listener.proxy_protocol.v3.ProxyProtocol'),
        },
      ];
      parts.config.static_resources.listeners.push(outbound({ cluster: 'payments', bind: false }), virtual);
    },
    'envoy.direct-path',
  ),
  fault(
    'outgoing calls past a gateway for outgoing calls',
    (parts) => {
      withTools(parts, 'OUTBOUND');
      parts.config.static_resources.listeners.push(outbound({ cluster: 'payments', bind: false }));
    },
    'envoy.direct-path',
  ),
  fault('connections to the tools that Remit is asked about', (parts) => asksAboutTcp(parts, {})),
  fault(
    'connections to the tools that pass while Remit is away',
    (parts) => asksAboutTcp(parts, { failure_mode_allow: true }),
    'envoy.direct-path',
  ),
  fault(
    'connections to the tools that Remit is asked about by a rule',
    (parts) => asksAboutTcp(parts, { filter_enabled_metadata: { filter: 'envoy.filters.network.rbac' } }),
    'envoy.direct-path',
  ),
  fault(
    'connections to the tools that another service is asked about',
    (parts) => asksAboutTcp(parts, { grpc_service: { envoy_grpc: { cluster_name: 'otel_collector' } } }),
    'envoy.direct-path',
  ),
  fault(
    'counters that are left out',
    ({ config }) => void (config.stats_config = { stats_matcher: { reject_all: true } }),
    'envoy.unseen',
  ),
  fault(
    'a chain for clients that wait',
    ({ listener }) => {
      const second = structuredClone(listener.filter_chains[0]);
      second.filter_chain_match = { server_names: ['other.acme.test'] };
      listener.filter_chains.push(second);
      listener.continue_on_listener_filters_timeout = true;
    },
    'envoy.direct-path',
  ),
  fault('a chain for clients that wait, for whom Envoy waits', ({ listener }) => {
    const second = structuredClone(listener.filter_chains[0]);
    second.filter_chain_match = { server_names: ['other.acme.test'] };
    listener.filter_chains.push(second);
    listener.continue_on_listener_filters_timeout = true;
    listener.listener_filters_timeout = '0s';
  }),
  fault(
    'a check in the protocol of the client',
    ({ remit }) => void (remit.protocol_selection = 'USE_DOWNSTREAM_PROTOCOL'),
    'envoy.cluster-http1',
  ),
];
