import { isObject } from '../../../../core/runtime/fields.ts';
import { at, isFalse, isTrue, listAt, membersAt, numberAt, textAt } from '../../tree.ts';
import type { Level } from '../../codes.ts';
import { found, harmless, inside, judged, message, unseen } from './field.ts';
import type { Message } from './field.ts';

const BOOTSTRAP = 'envoy.config.bootstrap.v3';

const LOOPBACK = /^(?:127\.|::1$|localhost$)/;

/** How bad an admin address is: any but loopback, an abstract socket, or a Unix socket that others may write. */
function adminLevel(address: unknown): Level | null {
  if (at(address, 'socket_address') !== undefined)
    return LOOPBACK.test(textAt(address, 'socket_address', 'address')) ? null : 'error';
  // An abstract socket has no permissions.
  if (textAt(address, 'pipe', 'path').startsWith('@')) return 'error';
  const mode = numberAt(address, 'pipe', 'mode') ?? 0;
  return (mode & 0o002) !== 0 ? 'error' : (mode & 0o020) !== 0 ? 'warning' : null;
}

const admin: Message = message(
  `${BOOTSTRAP}.Admin`,
  found('address', 'envoy.admin-open', adminLevel, {
    message:
      'others can reach the admin interface: they can stop Envoy, change runtime keys and read what passes (`/tap`)',
    fix: 'use a Unix socket of mode 0600 (`mode: 384`), or an address of loopback',
  }),
  judged(['envoy.admin-open'], 'allow_paths'),
  harmless(
    'it is a log, a profile, or a socket option',
    'access_log access_log_path ignore_global_conn_limit profile_path socket_options',
  ),
);

/** What runtime keys do to calls of agents, if their value is not the default. */
const KEYS: readonly (readonly [key: RegExp, isBad: (value: unknown) => boolean, level: Level, message: string])[] = [
  [
    /^http_connection_manager\.(?:normalize_path|path_with_escaped_slashes_action(?:_sampling)?)$/,
    () => true,
    'warning',
    'it changes how paths are normalised, whatever the listener says',
  ],
  [
    /^envoy\.reloadable_features\.explicit_internal_address_config$/,
    (value) => !isTrue(value),
    'warning',
    'callers of private networks are obeyed if they ask for retries and hedging',
  ],
  [
    /^envoy\.reloadable_features\.(?:quic_mtls_server_enabled|http_reject_path_with_fragment)$/,
    (value) => !isTrue(value),
    'warning',
    'it takes away a protection of callers or paths',
  ],
  [/^envoy\.(?:reloadable|restart)_features\./, () => true, 'info', 'it changes how Envoy behaves'],
];

/**
 * The runtime keys of a layer that change how calls are checked, in the order of the layer, each with its level and what it does.
 */
export const runtimeFaults = (layer: unknown): readonly (readonly [key: string, level: Level, message: string])[] =>
  membersAt(layer).flatMap(([key, value]) => {
    const rule = KEYS.find(([pattern]) => pattern.test(key));
    return rule !== undefined && rule[1](value) ? [[key, rule[2], rule[3]] as const] : [];
  });

const layer: Message = message(
  `${BOOTSTRAP}.RuntimeLayer`,
  judged(['envoy.runtime'], 'static_layer'),
  found('disk_layer', 'envoy.runtime', 'warning', {
    message: 'anybody who can write that folder changes runtime keys, such as how paths are normalised',
    fix: 'remove the layer, or give the folder to the user of Envoy alone',
  }),
  harmless(
    'anybody who controls it has the admin interface or the control plane, and can change all',
    'admin_layer rtds_layer',
  ),
  harmless('it is a name', 'name'),
);

const layers: Message = message(
  `${BOOTSTRAP}.LayeredRuntime`,
  inside('layers', () => layer),
);

const dynamic: Message = message(
  `${BOOTSTRAP}.Bootstrap.DynamicResources`,
  judged(['envoy.impostor', 'envoy.unseen'], 'ads_config cds_config lds_config'),
  harmless('it says what is asked for', 'cds_resources_locator lds_resources_locator'),
);

/** Whether a matcher may leave out counters. */
const isFiltered = (matcher: unknown): boolean => matcher !== undefined && !isFalse(at(matcher, 'reject_all'));

/** The bootstrap of an Envoy. */
export const bootstrap: Message = message(
  `${BOOTSTRAP}.Bootstrap`,
  inside('admin', () => admin),
  inside('layered_runtime', () => layers),
  inside('dynamic_resources', () => dynamic),
  judged(['envoy.never-asked'], 'static_resources'),
  found('stats_config', 'envoy.unseen', (value) => (isFiltered(at(value, 'stats_matcher')) ? 'warning' : null), {
    message: '`stats_matcher` leaves out counters, and a missing counter reads as 0: failed checks may not be seen',
    fix: 'remove `stats_matcher`; suppress this if it keeps the counters of `ext_authz` and of the cluster of Remit',
  }),
  unseen('bootstrap_extensions fatal_actions', 'info', 'it is code that runs in the process of Envoy'),
  unseen('default_socket_interface flags_path', 'info', 'it changes how Envoy connects, or which flags it has'),
  unseen(
    'listener_manager xds_delegate_extension xds_config_tracker_extension',
    'info',
    'an extension handles configuration',
  ),
  found('stats_eviction_interval', 'envoy.unseen', 'warning', {
    message: 'counters disappear, so failed checks may not be seen',
    fix: 'remove it',
  }),
  found('header_prefix', 'envoy.two-readings', (value) => (value === 'x-envoy' ? null : 'warning'), {
    message: 'the headers by which Envoy marks calls have other names, and clients may send the usual headers',
    fix: 'remove it',
  }),
  harmless(
    'they are named by configuration that is judged',
    'certificate_provider_instances config_sources default_config_source',
  ),
  harmless(
    'no filter and no route depends on it',
    'application_log_config cluster_manager default_regex_engine deferred_stat_options dns_resolution_config enable_dispatcher_stats enable_worker_cpu_affinity grpc_async_client_manager_config hds_config inline_headers memory_allocator_manager node node_context_params overload_manager perf_tracing_file_path stats_flush_interval stats_flush_on_admin stats_server_version_override stats_sinks tracing typed_dns_resolver_config use_tcp_for_dns_lookups watchdog watchdogs',
  ),
);

/** The layers of a runtime that the bootstrap itself has, by name, with the whole name of each key. */
export const staticLayersOf = (value: unknown): readonly (readonly [name: string, layer: unknown])[] =>
  listAt(value, 'layered_runtime', 'layers').map((one) => [
    textAt(one, 'name'),
    Object.fromEntries(keysOf(at(one, 'static_layer'), '')),
  ]);

const MAX_DEPTH = 20;

/** The keys of a layer: `{ a: { b: 1 } }` is `a.b`, as Envoy reads it. A fraction is a value. */
function keysOf(layer: unknown, prefix: string, depth = 0): readonly (readonly [key: string, value: unknown])[] {
  return membersAt(layer).flatMap(([name, value]) => {
    const isGroup = isObject(value) && at(value, 'numerator') === undefined && at(value, 'denominator') === undefined;
    return isGroup && depth < MAX_DEPTH
      ? keysOf(value, `${prefix}${name}.`, depth + 1)
      : [[`${prefix}${name}`, value] as const];
  });
}
