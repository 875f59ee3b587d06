import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { testFolder } from '../../builders/test-folders.ts';
import { writePolicies } from '../../e2e/written-policies.ts';
import { configFromBootstrap } from '../../../src/tools/doctor/envoy/envoy-config.ts';
import { shortStreams } from '../../../src/tools/doctor/envoy/short-streams.ts';
import { diagnosed } from './diagnosed.ts';

const CATALOG = `servers:
  files:
    hosts: [files.acme.test]
    audience: https://files.acme.test
    mcp: { path: /mcp, tools: { index: { action: files.index, risk: low } } }
    routes: [{ action: files.read, method: GET, path: /plain, risk: low }]
`;
const REMIT = `trustDomains: [acme.test]
extAuthz: { listen: unix:/run/remit/check.sock }
`;
const CODE = 'envoy.short-streams';
const route = (action: object, match: object = { path: '/mcp' }) => ({ match, route: { cluster: 'files', ...action } });
const streamed = { timeout: '0s', idle_timeout: '900s', max_stream_duration: { max_stream_duration: '3600s' } };
const catchAll = route({ timeout: '15s' }, { prefix: '/' });

const linesOf = (findings: readonly { readonly where: string; readonly message: string }[]) =>
  findings.map(({ where, message }) => `${where}: ${message}`);

describe('remit doctor about streams of MCP', () => {
  const scratch = testFolder();
  let shipped: string;
  const at = (name: string): string => join(scratch.folder, name);

  beforeAll(async () => {
    shipped = await readFile(join(import.meta.dirname, '../../../deploy/envoy/envoy.yaml'), 'utf8');
    const nothing = '@id("none") forbid (principal, action, resource);\n';
    await writePolicies(at('policies'), { 'actions.yaml': CATALOG, 'none.cedar': nothing });
    await writeFile(at('remit.yaml'), `${REMIT}policies: { folder: ${at('policies')} }\n`);
  });

  /** The shipped file with these routes for the host. */
  function withRoutes(routes: readonly object[] | null, domain = 'files.acme.test'): object {
    const envoy = parse(shipped);
    const manager = envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
    const host = manager.route_config.virtual_hosts[1];
    host.domains = [domain];
    if (routes !== null) host.routes = routes;
    return envoy;
  }

  /** What the check says of the shipped file with these routes. */
  function found(routes: readonly object[] | null, { domain }: { readonly domain?: string } = {}) {
    const config = configFromBootstrap(withRoutes(routes, domain));
    const facts = { prefix: '', config, live: null, sockets: new Map(), files: new Map(), remitCluster: null };
    return linesOf(shortStreams(facts, [{ hosts: ['files.acme.test'], path: '/mcp' }]) ?? []);
  }

  it('reads the paths from the policy folder of the configuration', async () => {
    await writeFile(at('envoy.yaml'), stringify(withRoutes([catchAll])));
    const { findings } = await diagnosed(['--json', '-f', at('envoy.yaml'), '--config', at('remit.yaml')]);
    expect(linesOf(findings.filter(({ code }) => code === CODE))).toEqual(
      found([catchAll]).map((line) => expect.stringContaining(line)),
    );
    expect(found([catchAll])).toHaveLength(2);
  });

  it('finds nothing in the shipped file', () => {
    expect(found(null)).toEqual([]);
  });

  it.each<[string, readonly object[], string]>([
    ['no route of its own', [catchAll], 'answers end after 15s'],
    ['the default of Envoy', [route({})], 'answers end after 15s'],
    ['a limit of four minutes', [route({ timeout: '240s' })], 'answers end after 240s'],
    ['the idle limit of the listener', [route({ timeout: '0s' })], 'streams end after silence after 60s'],
    [
      'a short life',
      [route({ ...streamed, max_stream_duration: { max_stream_duration: '30s' } })],
      'streams end after 30s',
    ],
    ['a route for the folder', [route({}, { path_separated_prefix: '/mcp' })], 'answers end after 15s'],
    ['a route that comes too late', [catchAll, route(streamed)], 'answers end after 15s'],
  ])('finds %s', (_name, routes, expected) => {
    const findings = found(routes);
    expect(findings).toEqual(expect.arrayContaining([expect.stringContaining(`its ${expected}: a tool`)]));
    expect(findings[0]).toMatch(/route\/files\/0: `\/mcp` is a path of MCP or A2A/);
  });

  it.each<[string, readonly object[] | null, { readonly domain?: string }]>([
    ['with a route of its own', [route(streamed), catchAll], {}],
    ['on a host with a wildcard', [route(streamed), catchAll], { domain: '*.acme.test' }],
    ['that depends on more than the path', [{ ...route({}), match: { safe_regex: { regex: '/mcp' } } }], {}],
  ])('finds nothing for a path %s', (_name, routes, options) => {
    expect(found(routes, options)).toEqual([]);
  });

  it('looks at the virtual host that Envoy takes', () => {
    const short = [catchAll];
    expect(found(short, { domain: '*.acme.test' })).toHaveLength(2);
    // The host is then unknown to this virtual host, and Envoy answers 404.
    expect(found(short, { domain: '*.other.test' })).toEqual([]);
  });
});
