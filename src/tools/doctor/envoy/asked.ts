import { at, isTrueAt, textAt } from '../tree.ts';
import { adminAddressIn } from './admin-interface.ts';
import { grpcClusterOf } from './reach/cluster.ts';
import { httpFilters } from './fields/http-filters.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { settingOf } from './http-manager.ts';
import type { HttpFilter, HttpManager, Route } from './http-manager.ts';
import { isBoundToHost } from './outgoing.ts';
import { askingsOf, managersOf, ofAskings, remitClustersOf, remitFiltersOf } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';
import { shareOf } from './values.ts';

const ADD_IT = 'add the filter `envoy.filters.http.ext_authz` of deploy/envoy/envoy.yaml before the router';

const NO_LISTENER: Finding = {
  code: 'envoy.never-asked',
  where: 'envoy',
  level: 'warning',
  message: 'it has no HTTP listener that forwards calls: is it the Envoy in front of the tool servers?',
  fix: 'name the admin address of that Envoy with --envoy',
};

/** Each connection manager that forwards calls asks Remit. */
export const neverAsked: EnvoyCheck = {
  title: 'every HTTP listener that forwards calls has the ext_authz filter of Remit',
  run: (facts) => {
    const clusters = remitClustersOf(facts);
    const forwarding = managersOf(facts).filter(
      ({ hasHiddenRoutes, routes }) => hasHiddenRoutes || routes.some(isForwarding),
    );
    if (forwarding.length === 0) return facts.live === null ? null : [NO_LISTENER];
    return forwarding.flatMap((manager): readonly Finding[] =>
      remitFiltersOf(manager, clusters).length > 0 ? [] : [missingFrom(manager, facts)],
    );
  },
};

/** Whether a listener without the filter serves something other than calls of agents. */
export const isBeside = (manager: HttpManager, facts: EnvoyFacts): boolean =>
  directionOf(manager, facts.config) === 'OUTBOUND' || isOfEnvoyItself(manager, facts);

function missingFrom(manager: HttpManager, facts: EnvoyFacts): Finding {
  const finding = { code: 'envoy.never-asked', where: manager.where, fix: ADD_IT } as const;
  if (directionOf(manager, facts.config) === 'OUTBOUND')
    return isReachable(manager, facts)
      ? {
          ...finding,
          level: 'warning',
          message:
            'it says that it is for outgoing calls, and other machines can reach it: Remit is not asked about them',
          fix: 'let it listen on loopback alone',
        }
      : { ...finding, level: 'info', message: 'outgoing calls: Remit is not asked about them here' };
  if (isOfEnvoyItself(manager, facts))
    return { ...finding, level: 'info', message: 'it leads to the admin interface or the agent of the mesh alone' };
  const others = manager.filters.flatMap(({ fields, type }) => (type === 'ExtAuthz' ? [grpcClusterOf(fields)] : []));
  const asked = others.map((name) => `\`${name}\``).join(', ');
  return {
    ...finding,
    message: `${others.length === 0 ? 'it has no ext_authz filter that asks Remit' : `its ext_authz filters ask ${asked} and not Remit`}, so its calls reach the upstream unchecked`,
    fix: others.length === 0 ? ADD_IT : `${ADD_IT}; if one of those is Remit, name its cluster with --cluster`,
  };
}

/** Whether other machines can connect to a listener. */
const isReachable = ({ where }: HttpManager, { config }: EnvoyFacts): boolean => {
  const listener = config.listeners.find(({ chains }) => chains.some((chain) => chain.where === where));
  return listener !== undefined && listener.address !== '' && !isBoundToHost(listener);
};

/** `INBOUND`, `OUTBOUND` or empty: what the listener of a connection manager says of itself. */
export const directionOf = ({ where }: HttpManager, config: EnvoyFacts['config']): string =>
  config.listeners.find(({ chains }) => chains.some((chain) => chain.where === where))?.direction ?? '';

/** The status port of Istio's agent. */
const MESH_AGENT = '127.0.0.1:15020';

/** Whether all its routes lead to Envoy's own admin interface or to the mesh's agent. */
function isOfEnvoyItself({ hasHiddenRoutes, routes }: HttpManager, { config, live }: EnvoyFacts): boolean {
  const forwarding = routes.filter(isForwarding);
  const admin = new Set([live?.adminAddress, adminAddressIn(config)]);
  const isAdmin = (endpoint: string): boolean => endpoint === MESH_AGENT || admin.has(endpoint);
  const leadsThere = (cluster: string): boolean => {
    const endpoints = config.clusters.get(cluster)?.endpoints ?? [];
    return endpoints.length > 0 && endpoints.every(isAdmin);
  };
  return !hasHiddenRoutes && forwarding.every(({ clusters, isByHeader }) => !isByHeader && clusters.every(leadsThere));
}

/** Whether a route leads to an upstream. */
export const isForwarding = (route: Route): boolean => route.clusters.length > 0 || route.isByHeader;

/**
 * Routes whose settings of the filter count: those that forward. If another filter may choose the route again, all routes count, since a call
 * keeps the filters of its first route.
 */
const switchable = (manager: HttpManager): readonly Route[] =>
  routeChanging(manager).length === 0 ? manager.routes.filter(isForwarding) : manager.routes;

/** Filters of a manager that may change the route of a call. */
export const routeChanging = ({ filters }: HttpManager): readonly HttpFilter[] =>
  filters.filter(({ typeName }) => !isPassive(typeName));

/** Filters of ext_authz clear the route cache only by a setting that is a finding of its own. */
const isPassive = (typeName: string): boolean => {
  const entry = httpFilters.get(typeName);
  return typeName.endsWith('.ExtAuthz') || (entry !== undefined && entry.before === null && entry.after === null);
};

/** No route that forwards switches the filter off. */
export const askedOnEachRoute: EnvoyCheck = {
  title: 'no route switches the filter off or asks somebody else',
  run: (facts) => {
    const clusters = remitClustersOf(facts);
    return ofAskings(facts, (asking) => [
      ...offUnseen(asking),
      ...switchable(asking.manager).flatMap((route) => changedOn(route, asking, clusters)),
    ]);
  },
};

/** A filter that its chain switches off, and routes that are not shown may switch on or not. */
const offUnseen = ({ filter, manager }: Asking): readonly Finding[] =>
  filter.isDisabled && manager.hasHiddenRoutes
    ? [
        {
          code: 'envoy.disabled-on-route',
          where: manager.where,
          message: `the filter \`${filter.name}\` is switched off (\`disabled\`), and the routes that could switch it on arrive while Envoy runs: calls of the others reach the upstream unchecked`,
          fix: 'remove `disabled` from the filter',
        },
      ]
    : [];

/** A route that switches the filter off, or asks somebody else. */
function changedOn(route: Route, { filter, manager }: Asking, clusters: ReadonlySet<string>): readonly Finding[] {
  const { fields, isDisabled } = settingOf(filter, route);
  const other = otherCheckOf(at(fields, 'check_settings'));
  const isElsewhere = other !== '' && !clusters.has(other);
  if (!isDisabled && !isElsewhere) return [];
  return [
    {
      code: 'envoy.disabled-on-route',
      where: `${manager.where}/route/${route.where}`,
      message: isDisabled
        ? `the filter \`${filter.name}\` is switched off for this route, so its calls reach the upstream unchecked`
        : `its calls are checked by the cluster \`${other}\` and not by Remit`,
      fix: `remove \`${filter.name}\` from the \`typed_per_filter_config\` of the route, its virtual host and its table`,
    },
  ];
}

/** The cluster that the settings of a route ask instead of that of the filter; empty if they name none. */
const otherCheckOf = (settings: unknown): string =>
  grpcClusterOf(settings) || textAt(settings, 'http_service', 'server_uri', 'cluster');

/** The filter is on for every call. */
export const alwaysAsked: EnvoyCheck = {
  title: 'the filter is on for every call, and its answer counts',
  run: (facts) => ofAskings(facts, (asking) => [...sampled(asking), ...shadowed(asking)]),
};

function sampled({ filter, manager }: Asking): readonly Finding[] {
  const enabled = at(filter.fields, 'filter_enabled');
  if (enabled === undefined || isTrueAt(filter.fields, 'deny_at_disable', 'default_value')) return [];
  const share = shareOf(at(enabled, 'default_value'));
  if (share >= 1) return [];
  const percent = `${Number((share * 100).toFixed(4))} %`;
  return [
    {
      code: 'envoy.sampled',
      where: manager.where,
      message: `\`filter_enabled\` is ${percent}: Remit is asked about ${share === 0 ? 'no call' : 'so many calls'}, and all others pass`,
      fix: 'remove `filter_enabled` from the filter',
    },
  ];
}

const shadowed = ({ filter, manager }: Asking): readonly Finding[] =>
  isTrueAt(filter.fields, 'shadow_mode')
    ? [
        {
          code: 'envoy.shadow-mode',
          where: manager.where,
          message: '`shadow_mode` is on: Remit is asked, and calls that it denies pass',
          fix: 'remove `shadow_mode` from the filter; Remit has a shadow of its own for policies on trial',
        },
      ]
    : [];

/** A call is checked once, before the router. */
export const askedOnce: EnvoyCheck = {
  title: 'each call is checked once, before it is routed',
  run: (facts) => {
    const askings = askingsOf(facts);
    if (askings.length === 0) return null;
    const managers = new Map(askings.map(({ manager }) => [manager.where, manager]));
    const clusters = remitClustersOf(facts);
    return [...managers.values()].flatMap((manager) => twice(manager, clusters)).concat(askings.flatMap(afterRouter));
  },
};

function twice(manager: HttpManager, clusters: ReadonlySet<string>): readonly Finding[] {
  const on = remitFiltersOf(manager, clusters);
  const isTwice = manager.routes.some(
    (route) => on.filter((filter) => !settingOf(filter, route).isDisabled).length > 1,
  );
  return isTwice
    ? [
        {
          code: 'envoy.asked-twice',
          where: manager.where,
          message: 'two filters ask Remit about one call: each is a use, so a token for one use is refused',
          fix: 'leave one of the filters',
        },
      ]
    : [];
}

function afterRouter({ filter, manager }: Asking): readonly Finding[] {
  const router = manager.filters.findIndex(({ type }) => type === 'Router');
  return router === -1 || router > manager.filters.indexOf(filter)
    ? []
    : [
        {
          code: 'envoy.never-asked',
          where: manager.where,
          message: 'the filter stands after the router, so it is never reached',
          fix: 'move it before `envoy.filters.http.router`',
        },
      ];
}
