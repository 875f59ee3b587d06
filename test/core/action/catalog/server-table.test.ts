import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { actionFrom } from '../../../../src/core/action/action.ts';
import { catalogFrom } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import type { Catalog } from '../../../../src/core/action/catalog/catalog.ts';
import { ServerTable } from '../../../../src/core/action/catalog/server-table.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { targetFrom } from '../../../../src/sidecar/envoy/check/canonical.ts';
import { must } from '../../../builders/must.ts';

interface Described {
  readonly paths?: string;
  readonly route?: string;
  readonly more?: string;
  readonly audience?: string;
  readonly hosts?: string;
}

const server = (id: string, { paths, route, more = '', audience = `https://gw.acme.test/${id}`, hosts }: Described) => `
  ${id}:
    hosts: [${hosts ?? 'gw.acme.test'}]
    audience: ${audience}
    ${paths === undefined ? '' : `paths: [${paths}]`}
    ${more}
    routes:
      - { action: ${id}.read, method: GET, path: '${route ?? `${paths ?? ''}/{id:text}`}', risk: low }`;

const loaded = (...servers: readonly string[]) => catalogFrom(`servers:${servers.join('')}\n`, 'actions.yaml');
const mustLoad = (...servers: readonly string[]): Catalog => must(loaded(...servers));
const findings = (...servers: readonly string[]): readonly string[] => {
  const catalog = loaded(...servers);
  return 'findings' in catalog ? catalog.findings.map(({ message }) => message) : [];
};

/** The result for a request target, parsed from its bytes. */
function outcome(catalog: Catalog, text: string, host = 'gw.acme.test'): string {
  const target = targetFrom(text);
  if (isDeny(target)) return target.reason;
  const { path, segments, query } = target;
  const action = actionFrom(
    {
      method: 'GET',
      scheme: 'https',
      host,
      port: null,
      path,
      segments,
      query,
      headers: new Map(),
      body: null,
      requestId: null,
    },
    catalog,
  );
  return isDeny(action) ? `${action.reason}: ${action.detail}` : action.id;
}

/** The external URL of a server. */
const urlOf = (audience: string, paths: string) =>
  mustLoad(server('a', { audience, paths, route: `${paths.split(',')[0]}/x` })).servers.get('a')?.externalUrl;

describe('a catalog of several servers on one host', () => {
  const catalog = mustLoad(
    server('crm', { paths: '/crm' }),
    server('crm-eu', { paths: '/crm/eu' }),
    server('web', { route: '/{page:text}/{id:text}', audience: 'https://gw.acme.test' }),
  );

  it.each([
    ['/crm/1', 'crm.read'],
    ['/crm/eu/1', 'crm-eu.read'],
    ['/crmx/1', 'web.read'],
    ['/other/1', 'web.read'],
    ['/other/crm', 'web.read'],
  ])('gives `%s` to the server of the longest path: `%s`', (path, id) => expect(outcome(catalog, path)).toBe(id));

  it.each([
    ['/CRM/1', 'request.not-canonical: the path can be taken for one of the server `crm`'],
    ['/crm.json/1', 'request.not-canonical: the path can be taken for one of the server `crm`'],
    ['/crm:run/1', 'request.not-canonical: the path can be taken for one of the server `crm`'],
    ['/crm%20/1', 'request.not-canonical'],
    ['/%ef%bd%83rm/1', 'request.not-canonical: the path can be taken for one of the server `crm`'],
    ['/crm/EU/1', 'request.not-canonical: the path can be taken for one of the server `crm-eu`'],
    ['/crm/EU', 'request.not-canonical: the path can be taken for one of the server `crm-eu`'],
    ['/web/../crm/1', 'request.not-canonical'],
    ['/crm/../web/1', 'request.not-canonical'],
    ['//crm/1', 'request.not-canonical'],
    ['/crm//1', 'request.not-canonical'],
    ['/crm%2f1', 'request.not-canonical'],
    ['/crm%2Feu/1', 'request.not-canonical'],
    ['/%63rm/1', 'request.not-canonical'],
    ['/crm;x/1', 'request.not-canonical'],
    ['/crm%5c1', 'request.not-canonical'],
    ['/crm/', 'action.unknown: no route of the server `crm` matches `GET /crm/`'],
    ['/crm', 'action.unknown: no route of the server `crm` matches `GET /crm`'],
  ])('refuses `%s` with `%s`', (path, expected) => expect(outcome(catalog, path)).toBe(expected));

  it('refuses paths outside of all prefixes, and other hosts', () => {
    const only = mustLoad(server('crm', { paths: '/crm' }));
    const none = 'action.unknown: no server of the host `gw.acme.test` has the path';
    for (const path of ['/', '/other/1', '/CRM/1', '/crm.json/1', '/x/crm/1'])
      expect(outcome(only, path)).toBe(`${none} \`${path}\``);
    expect(outcome(only, '/crm/1', 'acme.test')).toBe(
      'action.unknown: no server of the catalog has the host `acme.test`',
    );
  });

  it('accepts lookalikes at a server with `exactPaths`', () => {
    const exact = mustLoad(
      server('crm', { paths: '/crm' }),
      server('web', { route: '/{page:text}/{id:text}', audience: 'https://gw.acme.test', more: 'exactPaths: true' }),
    );
    expect(outcome(exact, '/CRM/1')).toBe('web.read');
    expect(exact.remarks).toEqual([]);
  });

  it("remarks on a parameter that can match another spelling of another server's path", () => {
    expect(catalog.remarks.map(({ rule, message }) => `${rule}: ${message}`)).toEqual([
      'lookalike-path: `{id}` of `/crm/{id}` can match `eu` in another spelling, which may lead to the server `crm-eu`: such calls are refused',
      'lookalike-path: `{page}` of `/{page}/{id}` can match `crm` in another spelling, which may lead to the server `crm`: such calls are refused',
    ]);
    const typed = mustLoad(
      server('crm', { paths: '/crm' }),
      server('web', { route: '/{page:int}', audience: 'https://gw.acme.test' }),
    );
    expect(typed.remarks).toEqual([]);
  });

  it('finds servers by audience, with their external URL', () => {
    expect(catalog.serversByAudience.get('https://gw.acme.test/crm')?.id).toBe('crm');
    expect(urlOf('https://gw.acme.test/crm', '/crm')).toBe('https://gw.acme.test');
    expect(urlOf('https://gw.acme.test/agents/crm/', '/crm')).toBe('https://gw.acme.test/agents');
    expect(urlOf('https://gw.acme.test/a/crm', '/a/crm,/crm')).toBe('https://gw.acme.test');
    expect(urlOf('https://gw.acme.test', '/crm')).toBe('https://gw.acme.test');
    expect(urlOf('https://crm', '/crm')).toBe('https://crm');
    expect(urlOf('https://gw.acme.test/xcrm', '/crm')).toBe('https://gw.acme.test/xcrm');
  });
});

describe('catalogFrom refuses', () => {
  const crm = server('crm', { paths: '/crm' });
  it.each<[string, readonly string[], readonly string[]]>([
    [
      'one path for two servers',
      [crm, server('b', { paths: '/crm' })],
      ['the path `/crm` of the host `gw.acme.test` already belongs to the server `crm`'],
    ],
    [
      'paths that differ in letter case alone',
      [crm, server('b', { paths: '/CRM', more: 'exactPaths: true' })],
      ['the path `/CRM` can be taken for `/crm` of the server `crm`'],
    ],
    [
      'all of a host for two servers',
      [server('a', {}), server('b', {})],
      ['the host `gw.acme.test` already belongs to the server `a`'],
    ],
    [
      'a path that is written twice',
      [server('a', { paths: '/a, /a', route: '/a/x' })],
      ['the path `/a` of the host `gw.acme.test` already belongs to the server `a`'],
    ],
    [
      'a route that is not below its path',
      [server('b', { paths: '/crm', route: '/crmx/1' })],
      ['the path `/crmx/1` is not below `/crm` of its server'],
    ],
    [
      'a route whose parameter is in the place of its path',
      [server('b', { paths: '/crm', route: '/{any}/1' })],
      ['the path `/{any}/1` is not below `/crm` of its server'],
    ],
    [
      'a route that is of another server',
      [crm, server('b', { route: '/crm/list', audience: 'https://gw.acme.test' })],
      ['the path `/crm/list` is one of the server `crm` at `gw.acme.test`'],
    ],
    [
      'a route whose every call could be taken for a call of another server',
      [crm, server('b', { route: '/CRM/list', audience: 'https://gw.acme.test' })],
      ['the path `/CRM/list` can be taken for one of the server `crm` at `gw.acme.test`'],
    ],
    [
      'a route that is of another server at one of two hosts',
      [crm, server('b', { route: '/crm/list', audience: 'https://b.test', hosts: 'b.acme.test, gw.acme.test' })],
      ['the path `/crm/list` is one of the server `crm` at `gw.acme.test`'],
    ],
    [
      'audiences that differ in a slash at the end',
      [crm, server('b', { paths: '/b', audience: 'https://gw.acme.test/crm/' })],
      ['the audience `https://gw.acme.test/crm/` can be taken for `https://gw.acme.test/crm` of the server `crm`'],
    ],
    [
      'audiences that differ in letter case',
      [crm, server('b', { paths: '/b', audience: 'https://gw.acme.test/CRM' })],
      ['the audience `https://gw.acme.test/CRM` can be taken for `https://gw.acme.test/crm` of the server `crm`'],
    ],
    [
      'a path with a parameter',
      [server('b', { paths: "'/{a}'", route: '/x' })],
      ['the path `/{a}` of a server must be text between slashes, without a parameter'],
    ],
    [
      'a path that ends in a slash',
      [server('b', { paths: '/a/', route: '/a/x' })],
      ['the path `/a/` of a server must be text between slashes, without a parameter'],
    ],
    [
      'the path that is every path',
      [server('b', { paths: '/', route: '/a/x' })],
      ['the path `/` of a server must be text between slashes, without a parameter'],
    ],
    [
      'a path with a dot segment',
      [server('b', { paths: '/a/..', route: '/a/x' })],
      ['the path `/a/..` is not a template: `..` is not a segment of a canonical path'],
    ],
    [
      'a path with an escape',
      [server('b', { paths: "'/a%2fb'", route: '/a/x' })],
      ['the path `/a%2fb` is not a template: `a%2fb` must be plain text or one whole `{parameter}`'],
    ],
    ['no paths', [server('b', { paths: '', route: '/a' })], ['`paths` has 1 to 16 paths']],
  ])('%s', (_what, servers, expected) => expect(findings(...servers)).toEqual(expected));

  it('accepts paths that differ in case if both servers are exact, and paths that differ after a dot', () => {
    const more = 'exactPaths: true';
    const cased = mustLoad(server('a', { paths: '/crm', more }), server('b', { paths: '/CRM', more }));
    expect([outcome(cased, '/crm/1'), outcome(cased, '/CRM/1')]).toEqual(['a.read', 'b.read']);
    const shop = server('a', { paths: '/acme.shop.v1.Shop' });
    const dotted = mustLoad(shop, server('b', { paths: '/acme.shop.v1.Admin' }));
    expect(outcome(dotted, '/acme.shop.v1.Shop/Get')).toBe('a.read');
    expect(outcome(dotted, '/acme.shop.v1.Admin/Get')).toBe('b.read');
    expect(outcome(dotted, '/acme.shop.v1.SHOP/Get')).toMatch(/^action.unknown/);
  });
});

const loose = (text: string): string => text.toLowerCase().replace(/[.:].*$/, '');

const begins = (segments: readonly string[], start: readonly string[]): boolean =>
  start.length <= segments.length && start.every((each, index) => each === segments[index]);

describe('ServerTable', () => {
  const segment = fc.constantFrom('a', 'A', 'b', 'a.x', 'b:y');
  const path = fc.array(segment, { maxLength: 3 });
  const entry = fc.record({ path, exactPaths: fc.boolean() });

  it('agrees with a naive search, and reports paths that a less exact router sends elsewhere', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), path, (entries, segments) => {
        const table = new ServerTable();
        const added = entries
          .map((each, index) => ({ ...each, id: `s${index}` }))
          .filter((each) => table.add({ host: 'h', path: each.path }, each) === null);
        const deepest = (list: typeof added) => list.toSorted((one, other) => other.path.length - one.path.length)[0];
        const exact = deepest(added.filter((each) => begins(segments, each.path)));
        const careless = added.filter((each) => begins(segments.map(loose), each.path.map(loose)));
        const found = table.find('h', segments);
        if (exact === undefined) {
          expect(found.kind).toBe(added.length === 0 ? 'unknown-host' : 'unknown-path');
          return;
        }
        const isOther = careless.some((each) => each !== exact && each.path.length > exact.path.length);
        expect(found.kind).toBe(isOther && !exact.exactPaths ? 'lookalike' : 'server');
        expect(found).toMatchObject({ server: exact });
      }),
      { numRuns: 1000 },
    );
  });
});
