import { describe, expect, it } from '@jest/globals';
import { clearWay, routedClusters } from '../../../../src/agent/forward/upstream/mesh-route.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { meshFiles } from './mesh-files.ts';

const HOST = 'tools.demo.svc.cluster.local';
const CLUSTER = `outbound|80||${HOST}`;
const made = meshFiles({ host: HOST, address: '10.1.0.1', folder: '/' });
const dumpOf = (text: string, member: string): object => ({
  configs: JSON.parse(text).resources.map((one: object) => ({ [member]: one })),
});
type Table = {
  readonly virtual_hosts: { domains: string[]; routes: object[]; [more: string]: unknown }[];
  name: string;
};

const way = ({
  sockets = 'tls',
  change = () => undefined,
  host = HOST,
  port = 80,
}: {
  readonly sockets?: 'tls' | 'clear' | 'matches';
  readonly change?: (table: Table) => void;
  readonly host?: string;
  readonly port?: number;
}): string | null => {
  const routes = JSON.parse(made.routes).resources as Table[];
  for (const table of routes) change(table);
  const names = routedClusters({ configs: routes.map((one) => ({ route_config: one })) }, { host, port });
  return isProblem(names) ? names.problem : clearWay(names, dumpOf(made.clusters(sockets), 'cluster'), { host, port });
};
const routed =
  (...routes: readonly object[]) =>
  (table: Table): void =>
    void (table.virtual_hosts[1] = { domains: [HOST], routes: [...routes] });
const to = (action: object): object => ({ match: { prefix: '/' }, route: action });

describe('routedClusters and clearWay', () => {
  it.each([
    ['a single cluster of TLS', {}],
    [
      'redirects and answers beside it',
      { change: routed({ redirect: {} }, { direct_response: {} }, to({ cluster: CLUSTER })) },
    ],
  ])('permits %s', (_what, given) => {
    expect(way(given)).toBeNull();
  });

  it.each([
    ['a cluster in clear', { sockets: 'clear' as const }, 'ISTIO_MUTUAL'],
    ['a cluster that chooses by endpoint', { sockets: 'matches' as const }, 'ISTIO_MUTUAL'],
    ['a host without a route of its own', { host: 'other.demo' }, 'has no route'],
    ['another port', { port: 81 }, 'has no route'],
    ['no route', { change: routed() }, 'to nothing'],
    ['a cluster by header', { change: routed(to({ cluster_header: 'x' })) }, 'by the call'],
    ['an action that is not known', { change: routed({ match: {} }) }, 'by the call'],
    ['a cluster that is not there', { change: routed(to({ cluster: 'x' })) }, '`x`'],
    [
      'a weighted cluster in clear',
      { change: routed(to({ weighted_clusters: { clusters: [{ name: CLUSTER }, { name: 'PassthroughCluster' }] } })) },
      '`PassthroughCluster`',
    ],
    [
      'a mirror in clear',
      { change: routed(to({ cluster: CLUSTER, request_mirror_policies: [{ cluster: 'PassthroughCluster' }] })) },
      '`PassthroughCluster`',
    ],
    [
      'more clusters than are asked about',
      { change: routed(...Array.from({ length: 65 }, (_none, at) => to({ cluster: `c${at}` }))) },
      'more than 64',
    ],
    [
      'a match tree',
      {
        change: (table: Table) =>
          void (table.virtual_hosts[1] = { domains: [HOST], routes: [to({ cluster: CLUSTER })], matcher: {} }),
      },
      'by the call',
    ],
  ])('refuses %s', (_what, given, why) => {
    expect(way(given)).toContain(why);
  });

  it('refuses what is no dump', () => {
    for (const dump of [null, 1, [], {}, { configs: 'x' }, { configs: [null] }]) {
      const problem = expect.stringContaining('has no route');
      expect(routedClusters(dump, { host: HOST, port: 80 })).toEqual({ problem });
      expect(clearWay([CLUSTER], dump, { host: HOST, port: 80 })).toContain('ISTIO_MUTUAL');
    }
  });
});
