import { describe, expect, it } from '@jest/globals';
import { settingOf } from '../../../src/tools/doctor/envoy/http-manager.ts';
import { askingsOf, guardedOf } from '../../../src/tools/doctor/envoy/remit-filter.ts';
import { serversBehind } from '../../../src/tools/doctor/envoy/with-remit.ts';
import { askingFilter, clusterAt, envoyFactsOf } from './envoy-facts-of.ts';

const forward = { match: { prefix: '/' }, route: { cluster: 'tools' } };
const away = { match: { prefix: '/' }, redirect: { host_redirect: 'elsewhere.test' } };

/** The listener of virtual hosts with these domains, of which each forwards or does not. */
function managerOfHosts(hosts: readonly (readonly [domain: string, route: object])[]) {
  const [guarded] = guardedOf(
    envoyFactsOf({
      filters: [askingFilter()],
      clusters: [clusterAt('tools', '127.0.0.1', 8081)],
      hosts: hosts.map(([domain, route], n) => ({ name: `host-${n}`, domains: [domain], routes: [route] })),
    }),
  );
  if (guarded === undefined) throw new Error('no listener asks Remit');
  return guarded;
}

describe('serversBehind', () => {
  const servers = [{ id: 'payments', hosts: ['payments.acme.test'] }];
  const behind = (...hosts: Parameters<typeof managerOfHosts>[0]): readonly string[] | null =>
    serversBehind(managerOfHosts(hosts), servers);

  it.each([
    'payments.acme.test',
    'PAYMENTS.acme.test',
    'payments.acme.test:8443',
    'payments.acme.test:*',
    '*.acme.test',
    '*',
    'payments.*',
  ])('has a server whose host the domain %s matches', (domain) => {
    expect(behind([domain, forward])).toEqual(['payments']);
  });

  it.each(['acme.test', 'other.acme.test', '*.other.test', 'payments', 'pay.*', '*payments.acme.tes'])(
    'has no server whose host the domain %s does not match',
    (domain) => {
      expect(behind([domain, forward])).toEqual([]);
    },
  );

  // Envoy takes the exact domain, then the longest `*…`, then the longest `…*`, then `*`.
  it.each<[string, string, string]>([
    ['the exact one', 'payments.acme.test', '*.acme.test'],
    ['the longer end', '*.acme.test', '*.test'],
    ['an end, also if a beginning is longer', '*.test', 'payments.*'],
    ['the longer beginning', 'payments.acme.*', 'payments.*'],
    ['a beginning', 'payments.*', '*'],
  ])('takes of two domains %s', (_what, better, worse) => {
    expect(behind([worse, away], [better, forward])).toEqual(['payments']);
    expect(behind([worse, forward], [better, away])).toEqual([]);
  });
});

const perRoute = (fields: object): object => ({
  '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
  ...fields,
});

const wrapped = (fields: object): object => ({
  '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig',
  ...fields,
});

describe('settingOf', () => {
  const NAME = 'envoy.filters.http.ext_authz';
  const settings = (config: object) => ({ typed_per_filter_config: { [NAME]: config } });
  const off = settings(perRoute({ disabled: true }));
  const on = settings(perRoute({ check_settings: { context_extensions: { a: 'b' } } }));

  interface Layers {
    readonly filter?: object;
    readonly table?: object;
    readonly host?: object;
    readonly route?: object;
    readonly weighted?: object;
  }

  /** Whether the filter is off for the only route, or the only weighted cluster, of a listener. */
  function isOff({ filter = {}, host = {}, route = {}, table = {}, weighted }: Layers): boolean {
    const action =
      weighted === undefined
        ? forward.route
        : { weighted_clusters: { clusters: [{ name: 'tools', weight: 1, ...weighted }] } };
    const [asking] = askingsOf(
      envoyFactsOf({
        filters: [{ ...askingFilter(), ...filter }],
        clusters: [clusterAt('tools', '127.0.0.1', 8081)],
        hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: action, ...route }], ...host },
        ],
        table,
      }),
    );
    const [only] = asking?.manager.routes ?? [];
    if (asking === undefined || only === undefined) throw new Error('no route is checked');
    return settingOf(asking.filter, only).isDisabled;
  }

  it.each<[string, Layers, boolean]>([
    ['nothing', {}, false],
    ['the filter itself', { filter: { disabled: true } }, true],
    ['the table', { table: off }, true],
    ['the virtual host', { host: off }, true],
    ['the route', { route: off }, true],
    ['the weighted cluster', { weighted: off }, true],
    ['the table, with a route that has settings of its own', { table: off, route: on }, false],
    ['the route, in a host that has settings of its own', { host: on, route: off }, true],
    ['the filter itself, with a route that has settings', { filter: { disabled: true }, route: on }, false],
    ['the wrapper of its settings', { route: settings(wrapped({ disabled: true })) }, true],
    ['the settings within the wrapper', { route: settings(wrapped({ config: perRoute({ disabled: true }) })) }, true],
    ['a wrapper that is on', { table: off, route: settings(wrapped({ config: perRoute({}) })) }, false],
    [
      'the settings of another filter',
      { route: { typed_per_filter_config: { other: perRoute({ disabled: true }) } } },
      false,
    ],
  ])('says of a filter whether it is switched off by %s', (_what, layers, expected) => {
    expect(isOff(layers)).toBe(expected);
  });
});
