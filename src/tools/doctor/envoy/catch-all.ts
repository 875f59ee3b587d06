import type { Finding } from '../finding.ts';
import { at, isTrueAt, listAt, textAt } from '../tree.ts';
import { routeChanging } from './asked.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import { ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';

/** Every call has a route: Envoy does not check calls without a route. */
export const everyCallRouted: EnvoyCheck = {
  title: 'every host and path has a route, so that each call is checked and recorded',
  run: (facts) => ofAskings(facts, unrouted),
};

function unrouted({ filter, manager }: Asking): readonly Finding[] {
  const isLater = isTrueAt(filter.fields, 'clear_route_cache') || routeChanging(manager).length > 0;
  return manager.tables.flatMap((table) => {
    const hosts = listAt(table, 'virtual_hosts');
    const isCaught = hosts.some((host) => listAt(host, 'domains').includes('*'));
    const partial = hosts.filter((host) => at(host, 'matcher') === undefined && !isWhole(host));
    const missing = [
      ...(isCaught ? [] : ['hosts that no virtual host names']),
      ...partial.map((host) => `paths of \`${textAt(host, 'name')}\` that no route matches`),
    ];
    if (missing.length === 0) return [];
    const isRouted = isLater || at(table, 'vhds') !== undefined;
    return [
      {
        code: 'envoy.no-catch-all' as const,
        where: `${manager.where}/route`,
        level: isRouted ? ('warning' as const) : ('info' as const),
        message: `${missing.join(', ')} have no route when the check is made, so Envoy does not ask Remit: ${
          isRouted
            ? 'a filter, or a virtual host that arrives, may give such a call a route after that'
            : 'they are answered 404, and no record has them'
        }`,
        fix: "add the virtual host `everything-else` of deploy/envoy/envoy.yaml (`domains: ['*']`), and a last route `prefix: /`",
      },
    ];
  });
}

/** Whether a virtual host has a route for every call. */
const isWhole = (host: unknown): boolean => listAt(host, 'routes').some((route) => isForAll(at(route, 'match')));

/** Whether a match is of every path, and of nothing else. Members that are not known may narrow it. */
const isForAll = (match: unknown): boolean =>
  textAt(match, 'prefix') === '/' &&
  Object.keys(Object(match)).every((name) => name === 'prefix' || name === 'case_sensitive');
