import { at, fieldsOf, isTrueAt, listAt, membersAt, numberAt, textAt, typeNameOf, typeOf } from '../tree.ts';

/** An HTTP filter of a connection manager, in order. */
export interface HttpFilter {
  /** The name that per-route settings use. */
  readonly name: string;
  /** The last part of its type, such as `ExtAuthz`. */
  readonly type: string;
  /** The full name of its type; empty if it arrives later. */
  readonly typeName: string;
  /** As in the chain: with `config_discovery` and `is_optional`. */
  readonly entry: unknown;
  readonly isDisabled: boolean;
  readonly fields: unknown;
}

/** A route, or a single weighted cluster of a route. */
export interface Route {
  /** `VIRTUAL-HOST/N`, N from 0. */
  readonly where: string;
  /** Clusters it forwards to; empty for a redirect or a direct response. */
  readonly clusters: readonly string[];
  /** The status of its direct response; `null` if it has none. */
  readonly directStatus: number | null;
  /** The domains of its virtual host. */
  readonly domains: readonly string[];
  /** What it matches, and what it does with a call; as in the configuration. */
  readonly match: unknown;
  readonly action: unknown;
  /** Whether the cluster is chosen by a header of the request. */
  readonly isByHeader: boolean;
  /** Its per-filter settings, those of its cluster first, then route, virtual host, table: the first that names a filter counts. */
  readonly settings: readonly unknown[];
}

/** An HTTP connection manager. */
export interface HttpManager {
  /** The place of its filter chain. */
  readonly where: string;
  readonly fields: unknown;
  readonly filters: readonly HttpFilter[];
  readonly routes: readonly Route[];
  /** Its route tables, as in the configuration. */
  readonly tables: readonly unknown[];
  /** Whether it may have routes that the configuration does not show: of tables or virtual hosts that arrive while Envoy runs. */
  readonly hasHiddenRoutes: boolean;
  /** The same manager with the filters of an upgrade, such as WebSocket: one entry for each upgrade that has its own filters. */
  readonly upgrades: readonly HttpManager[];
}

/** What is delivered by name and used by others: route tables, and filters of ECDS. */
export interface Named {
  readonly routes: ReadonlyMap<string, unknown>;
  readonly filters: ReadonlyMap<string, unknown>;
}

/** Reads a connection manager. */
export function httpManagerFrom(
  fields: unknown,
  { where, named }: { readonly where: string; readonly named: Named },
): HttpManager {
  const table = at(fields, 'route_config') ?? named.routes.get(textAt(fields, 'rds', 'route_config_name'));
  const scoped = listAt(fields, 'scoped_routes', 'scoped_route_configurations_list', 'scoped_route_configurations').map(
    (one) => at(one, 'route_configuration') ?? named.routes.get(textAt(one, 'route_configuration_name')),
  );
  const tables = [table, ...scoped].filter((one) => one !== undefined);
  const own = {
    where,
    fields,
    filters: filtersIn(fields, 'http_filters', named),
    upgrades: [],
    tables,
    routes: tables.flatMap(routesOf),
    hasHiddenRoutes:
      (table === undefined && (scoped.length === 0 || scoped.includes(undefined))) ||
      tables.some((one) => at(one, 'vhds') !== undefined),
  };
  // A route may switch on an upgrade that is off here.
  const upgrades = listAt(fields, 'upgrade_configs').flatMap((one): readonly HttpManager[] => {
    const filters = filtersIn(one, 'filters', named);
    return filters.length === 0 ? [] : [{ ...own, where: `${where}/upgrade/${textAt(one, 'upgrade_type')}`, filters }];
  });
  return { ...own, upgrades };
}

const filtersIn = (fields: unknown, list: string, named: Named): readonly HttpFilter[] =>
  listAt(fields, list).map((filter) => filterFrom(filter, named));

function filterFrom(filter: unknown, named: Named): HttpFilter {
  const name = textAt(filter, 'name');
  const any = at(filter, 'typed_config') ?? at(named.filters.get(name), 'typed_config');
  return {
    name,
    type: typeOf(any),
    typeName: typeNameOf(any),
    entry: filter,
    isDisabled: isTrueAt(filter, 'disabled'),
    fields: fieldsOf(any),
  };
}

const routesOf = (table: unknown): readonly Route[] =>
  listAt(table, 'virtual_hosts').flatMap((host) =>
    listAt(host, 'routes')
      .flatMap((route, index) =>
        variantsOf(route, {
          where: `${textAt(host, 'name')}/${index}`,
          domains: domainsOf(host),
          settings: [route, host, table].map((one) => at(one, 'typed_per_filter_config')),
        }),
      )
      .concat(at(host, 'matcher') === undefined ? [] : [matchedRoutes(host, table)]),
  );

const domainsOf = (host: unknown): readonly string[] =>
  listAt(host, 'domains').filter((domain) => typeof domain === 'string');

/** The routes in the match tree of a virtual host, as a single route. Their own settings are not read. */
const matchedRoutes = (host: unknown, table: unknown): Route => ({
  where: `${textAt(host, 'name')}/matcher`,
  domains: domainsOf(host),
  match: undefined,
  action: undefined,
  clusters: [],
  directStatus: null,
  isByHeader: true,
  settings: [host, table].map((one) => at(one, 'typed_per_filter_config')),
});

/** Ways in which a call chooses its cluster. */
const CHOSEN = ['cluster_header', 'cluster_specifier_plugin', 'inline_cluster_specifier_plugin'] as const;

function variantsOf(route: unknown, placed: Pick<Route, 'where' | 'domains' | 'settings'>): readonly Route[] {
  const action = at(route, 'route');
  const base = { ...placed, match: at(route, 'match'), action };
  const weighted = listAt(action, 'weighted_clusters', 'clusters');
  if (weighted.length > 0) {
    return weighted.map((one) => ({
      where: base.where,
      domains: base.domains,
      match: base.match,
      action,
      clusters: [textAt(one, 'name')].filter((name) => name !== ''),
      directStatus: null,
      isByHeader: at(one, 'cluster_header') !== undefined,
      settings: [at(one, 'typed_per_filter_config'), ...base.settings],
    }));
  }
  const cluster = textAt(action, 'cluster');
  const isByHeader = CHOSEN.some((name) => at(action, name) !== undefined);
  const directStatus = numberAt(route, 'direct_response', 'status');
  return [{ ...base, clusters: cluster === '' ? [] : [cluster], directStatus, isByHeader }];
}

/** How a filter is set for a route: its own settings, if any, and whether the route switches it off. */
export interface RouteSetting {
  readonly isDisabled: boolean;
  /** The fields of the most specific setting; `undefined` if there is none. */
  readonly fields: unknown;
}

/** What a route changes about a filter. */
export function settingOf(filter: HttpFilter, route: Route): RouteSetting {
  for (const layer of route.settings) {
    const [, any] = membersAt(layer).find(([name]) => name === filter.name) ?? [];
    if (any === undefined) continue;
    const fields = fieldsOf(any);
    if (typeOf(any) !== 'FilterConfig') return { isDisabled: isTrueAt(fields, 'disabled'), fields };
    const inner = fieldsOf(at(fields, 'config'));
    return { isDisabled: isTrueAt(fields, 'disabled') || isTrueAt(inner, 'disabled'), fields: inner };
  }
  return { isDisabled: filter.isDisabled, fields: undefined };
}
