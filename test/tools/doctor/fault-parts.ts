import { parse } from 'yaml';

/** A value of a configuration in a test. */
// oxlint-disable-next-line typescript/no-explicit-any -- YAML of the shipped file, whose shape the tests of Envoy hold
export type Yaml = any;

/** One listener of the shipped configuration, its own clusters, and their parts that faults change. */
export interface Broken {
  readonly listener: Yaml;
  readonly chain: Yaml;
  readonly tls: Yaml;
  readonly manager: Yaml;
  readonly filter: Yaml;
  readonly host: Yaml;
  /** The cluster of Remit of this listener alone. */
  readonly remit: Yaml;
  readonly clusters: Yaml[];
  readonly listeners: Yaml[];
}

/** A fault in the configuration of Envoy. */
export interface EnvoyFault {
  readonly name: string;
  readonly break: (parts: Broken) => void;
  /** What the doctor must say about the listener, its routes and its cluster, and no other error or warning. */
  readonly found: readonly string[];
  /** Whether a call without a token then passes. */
  readonly isOpen: boolean;
}

/** The name of the filter that asks Remit. */
export const EXT_AUTHZ = 'envoy.filters.http.ext_authz';
/** The start of an `Any` of Envoy's API. */
export const typed = (name: string): object => ({ '@type': `type.googleapis.com/envoy.${name}` });
/** The start of settings of that filter for a route. */
export const perRoute = { ...typed('extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute') };
/** The name of the options of an upstream. */
export const upstreams = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** A filter of Lua. */
export const lua = {
  name: 'envoy.filters.http.lua',
  typed_config: { ...typed('extensions.filters.http.lua.v3.Lua'), default_source_code: { inline_string: 'x = 1' } },
};
/** The faults by which a call without a token passes. */
const OPEN: ReadonlySet<string> = new Set([
  'filter-missing',
  'filter-disabled',
  'route-disabled',
  'host-disabled',
  'table-disabled',
  'enabled-for-none',
  'shadow-mode',
  'passed-unchecked',
]);

/** A fault, what must be found, and whether a call without a token then passes. */
export const fault = (name: string, change: EnvoyFault['break'], ...found: readonly string[]): EnvoyFault => ({
  name,
  break: change,
  found,
  isOpen: OPEN.has(name),
});

/** Gives a cluster another address. */
export function place(cluster: Yaml, address: object): void {
  cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address = address;
}

/** The configuration `text`, valid as it is, with one listener for each fault beside its own. */
export function withFaults(text: string, faults: readonly EnvoyFault[]): Yaml {
  const config = parse(text);
  const { clusters, listeners } = config.static_resources;
  for (const { name, break: change } of faults) {
    const listener = structuredClone(listeners[0]);
    const remit = structuredClone(clusters[0]);
    const [chain] = listener.filter_chains;
    const manager = chain.filters[0].typed_config;
    const filter = manager.http_filters[2].typed_config;
    listener.name = name;
    manager.stat_prefix = name;
    remit.name = `remit-${name}`;
    remit.load_assignment.cluster_name = remit.name;
    filter.grpc_service.envoy_grpc.cluster_name = remit.name;
    listeners.push(listener);
    clusters.push(remit);
    const host = manager.route_config.virtual_hosts[0];
    const tls = chain.transport_socket.typed_config;
    change({ listener, chain, tls, manager, filter, host, remit, clusters, listeners });
  }
  return config;
}
