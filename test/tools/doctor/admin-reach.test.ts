import { describe, expect, it } from '@jest/globals';
import type { EnvoyLive } from '../../../src/tools/doctor/envoy/envoy-facts.ts';
import { closedAdmin, steadyRuntime } from '../../../src/tools/doctor/envoy/reach/admin-reach.ts';
import { askingFilter, clusterAt, envoyFactsOf, routerFilter } from './envoy-facts-of.ts';

/** The places where a route to the admin interface is found. The interface and the endpoint of the cluster are on loopback by default. */
function openAt(
  match: object,
  action: object = {},
  { own = '127.0.0.1', to = '127.0.0.1', port = 9901 } = {},
): readonly string[] {
  const facts = envoyFactsOf({
    routes: [{ match, route: { cluster: 'admin', ...action } }],
    clusters: [clusterAt('admin', to, port)],
    bootstrap: { admin: { address: { socket_address: { address: own, port_value: 9901 } } } },
  });
  return (closedAdmin.run(facts) ?? []).filter(({ level }) => level !== 'info').map(({ where }) => where);
}

describe('closedAdmin', () => {
  it.each<[string, object, object]>([
    ['the metrics', { path: '/stats/prometheus' }, {}],
    ['all statistics', { prefix: '/stats' }, {}],
    ['readiness', { path: '/ready' }, {}],
    ['metrics under another path', { path: '/metrics' }, { prefix_rewrite: '/stats/prometheus' }],
  ])('takes a route to %s', (_what, match, action) => {
    expect(openAt(match, action)).toEqual([]);
  });

  it.each<[string, object, object]>([
    ['to all paths', { prefix: '/' }, {}],
    ['to a path that only begins like a path that is read', { prefix: '/readyz' }, {}],
    ['to a path that changes Envoy', { path: '/quitquitquit' }, {}],
    ['that matches by an expression', { safe_regex: { regex: '/stats.*' } }, {}],
    ['that takes away the prefix', { prefix: '/stats/' }, { prefix_rewrite: '/' }],
    ['that takes away the prefix with the slash', { prefix: '/stats' }, { prefix_rewrite: '/runtime_modify' }],
    [
      'that rewrites by an expression',
      { prefix: '/stats' },
      { regex_rewrite: { pattern: { regex: '^/stats' }, substitution: '' } },
    ],
    ['that rewrites by a policy', { prefix: '/stats' }, { path_rewrite_policy: { name: 'template' } }],
    ['that rewrites by a format', { prefix: '/stats' }, { path_rewrite: '%REQ(x-path)%' }],
  ])('finds a route %s', (_what, match, action) => {
    expect(openAt(match, action)).toEqual(['listener/agents/route/all/0']);
  });

  it.each([
    ['127.0.0.1', 'localhost'],
    ['127.0.0.1', '0.0.0.0'],
    ['0.0.0.0', '127.0.0.1'],
    ['0.0.0.0', 'LOCALHOST'],
    ['::', '::1'],
    ['10.0.0.5', '10.0.0.5'],
  ])('finds a route to an interface at %s by the address %s', (own, to) => {
    expect(openAt({ prefix: '/' }, {}, { own, to })).toEqual(['listener/agents/route/all/0']);
  });

  it.each([
    ['another machine', '10.0.0.9', 9901],
    ['another port', 'localhost', 9902],
    ['a name that only begins like loopback', 'localhost.acme.test', 9901],
  ])('takes a route to %s', (_what, to, port) => {
    expect(openAt({ prefix: '/' }, {}, { to, port })).toEqual([]);
  });

  it('says nothing about an Envoy without an admin interface', () => {
    expect(closedAdmin.run(envoyFactsOf({}))).toBeNull();
  });
});

const live = (runtime: Readonly<Record<string, string>>): EnvoyLive => ({
  version: '1.40.0',
  stats: new Map(),
  runtime: new Map(Object.entries(runtime)),
  hosts: new Map(),
  user: null,
  adminAddress: 'unix:/admin.sock',
});

describe('steadyRuntime', () => {
  const KEY = 'check.enabled';
  const enabled = { filter_enabled: { runtime_key: KEY, default_value: { numerator: 100 } } };

  /** Where the filter is found to be switched off by layers of the runtime, the last of which counts. */
  function offAt(layers: readonly object[], running: EnvoyLive | null = null): readonly string[] {
    const facts = envoyFactsOf({
      filters: [askingFilter(enabled), routerFilter],
      bootstrap: {
        layered_runtime: { layers: layers.map((layer, n) => ({ name: `layer-${n}`, static_layer: layer })) },
      },
    });
    return (steadyRuntime.run({ ...facts, live: running }) ?? []).map(({ where }) => where);
  }

  it.each<[string, readonly object[]]>([
    ['half', [{ [KEY]: 50 }]],
    ['none', [{ [KEY]: 0 }]],
    ['half as a fraction', [{ [KEY]: { numerator: 50 } }]],
    ['one in a thousand', [{ [KEY]: { numerator: 1_000, denominator: 'MILLION' } }]],
    ['almost all', [{ [KEY]: { numerator: 9_999, denominator: 'TEN_THOUSAND' } }]],
    ['none, by the parts of the key', [{ check: { enabled: 0 } }]],
    ['half as a fraction, by the parts of the key', [{ check: { enabled: { numerator: 50 } } }]],
    ['all in a layer and none in a later layer', [{ [KEY]: 100 }, { [KEY]: 0 }]],
  ])('finds a key by which of all calls are checked: %s', (_what, layers) => {
    expect(offAt(layers)).toEqual(['listener/agents']);
  });

  it.each<[string, readonly object[]]>([
    ['all', [{ [KEY]: 100 }]],
    ['all as a fraction', [{ [KEY]: { numerator: 10_000, denominator: 'TEN_THOUSAND' } }]],
    ['all, after none in an earlier layer', [{ [KEY]: 0 }, { [KEY]: 100 }]],
    ['what another key says', [{ other: 0 }]],
  ])('takes a key by which of all calls are checked: %s', (_what, layers) => {
    expect(offAt(layers)).toEqual([]);
  });

  const DENY = 'check.denied';
  const half = { default_value: { numerator: 50 } };
  it.each<[string, object, object, number]>([
    ['others are denied', { filter_enabled: half, deny_at_disable: { default_value: true } }, {}, 0],
    [
      'others are denied, whatever the key of the share says',
      { ...enabled, deny_at_disable: { default_value: true } },
      { [KEY]: 0 },
      0,
    ],
    [
      'others were to be denied, and a key says no',
      { filter_enabled: half, deny_at_disable: { default_value: true, runtime_key: DENY } },
      { [DENY]: false },
      1,
    ],
    [
      'others were to be denied, and another key says no',
      { filter_enabled: half, deny_at_disable: { default_value: true, runtime_key: DENY } },
      { other: false },
      0,
    ],
    [
      'others are denied by a key',
      { ...enabled, deny_at_disable: { default_value: false, runtime_key: DENY } },
      { [KEY]: 0, [DENY]: true },
      0,
    ],
    ['all are checked, and none denied', { ...enabled, deny_at_disable: { runtime_key: DENY } }, { [DENY]: false }, 0],
  ])('judges a share by whether %s', (_what, fields, layer, count) => {
    const facts = envoyFactsOf({
      filters: [askingFilter(fields), routerFilter],
      bootstrap: { layered_runtime: { layers: [{ name: 'layer', static_layer: layer }] } },
    });
    const found = (steadyRuntime.run(facts) ?? []).filter(({ where }) => where === 'listener/agents');
    expect(found).toHaveLength(count);
  });

  it('believes the final value of a running Envoy', () => {
    expect(offAt([{ [KEY]: 100 }], live({ [KEY]: '50' }))).toEqual(['listener/agents']);
    expect(offAt([{ [KEY]: 50 }], live({ [KEY]: '100' }))).toEqual([]);
  });

  it('reads the layers of the bootstrap if a running Envoy shows no number, as of a fraction', () => {
    expect(offAt([{ [KEY]: { numerator: 1 } }], live({ [KEY]: '' }))).toEqual(['listener/agents']);
    expect(offAt([{ [KEY]: { numerator: 100 } }], live({ [KEY]: '' }))).toEqual([]);
  });

  it.each([
    ['by its name', { 'http_connection_manager.normalize_path': false }],
    ['by the parts of its name', { http_connection_manager: { normalize_path: false } }],
  ])('finds a key that changes how paths are read: %s', (_what, layer) => {
    expect(offAt([layer])).toEqual(['envoy/runtime/layer-0']);
  });
});
