import { describe, expect, it } from '@jest/globals';
import { catalogFrom } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import type { Catalog } from '../../../../src/core/action/catalog/catalog.ts';
import { mustCatalog } from '../../../builders/catalog.ts';

const text = (attributes: string, ofRoute = '', more = '') => `servers:
  pay:
    hosts: [pay.acme.test]
    audience: https://pay.acme.test
    attributes: ${attributes}
    routes:
      - { action: pay.list, method: GET, path: /, risk: low${ofRoute} }
      - { action: pay.read, method: GET, path: '/{id}', risk: low }
    mcp: { path: /mcp, tools: { look: { action: pay.look, risk: low } } }
${more}`;
const mustLoad = (given: string): Catalog => mustCatalog(given);
const findings = (given: string): readonly string[] => {
  const catalog = catalogFrom(given, 'actions.yaml');
  return 'findings' in catalog ? catalog.findings.map(({ line, message }) => `${line}: ${message}`) : [];
};
const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}: 1`).join(', ');

const server = (id: string, from: number) =>
  `  ${id}:\n    hosts: [${id}.test]\n    audience: https://${id}.test\n    attributes: { ${Array.from({ length: 16 }, (_, index) => `n${from + index}: 1`).join(', ')} }\n    routes: [{ action: ${id}.x, method: GET, path: /, risk: low }]\n`;
describe('the attributes of a catalog', () => {
  it('have four types; those of an action extend and override those of its server', () => {
    const { servers, actions } = mustLoad(
      text(
        '{ tier: restricted, level: -3, pci: true, zones: [b, a, b], none: [] }',
        ', attributes: { level: 4, own: x }',
      ),
    );
    const ofServer = { tier: 'restricted', level: -3, pci: true, zones: ['a', 'b'], none: [] };
    expect(Object.fromEntries(servers.get('pay')?.attributes ?? [])).toEqual(ofServer);
    const of = (id: string) => Object.fromEntries(actions.get(id)?.attributes ?? []);
    expect(of('pay.list')).toEqual({ ...ofServer, level: 4, own: 'x' });
    for (const id of ['pay.read', 'pay.look', 'pay.mcp.session']) expect(of(id)).toEqual(ofServer);
  });

  it.each<[string, string, readonly string[]]>([
    [
      'a fraction',
      text('{ a: 1.5 }'),
      ['5: the attribute `a` must be text, a whole number up to ±(2^53 − 1), `true`, `false` or a list of texts'],
    ],
    ['a number that is too large', text('{ a: 9007199254740992 }'), [expect.stringContaining('whole number')] as never],
    ['nothing', text('{ a: ~ }'), [expect.stringContaining('whole number')] as never],
    ['a mapping', text('{ a: { __entity: { type: T, id: i } } }'), [expect.stringContaining('whole number')] as never],
    [
      'a list of numbers',
      text('{ a: [1] }'),
      ['5: a member of the attribute `a` `1` must be text of at most 256 characters'],
    ],
    [
      'a long text',
      text(`{ a: ${'x'.repeat(257)} }`),
      [expect.stringContaining('must be text of at most 256 characters')] as never,
    ],
    ['U+0000', text('{ a: "\\0" }'), [expect.stringContaining('must be text of at most 256 characters')] as never],
    [
      'half a character',
      text('{ a: "\\ud800" }'),
      [expect.stringContaining('must be text of at most 256 characters')] as never,
    ],
    [
      'a long list',
      text(`{ a: [${Array.from({ length: 65 }, (_, index) => `t${index}`).join(', ')}] }`),
      ['5: the attribute `a` has more than 64 texts'],
    ],
    [
      'a name of Cedar',
      text('{ __entity: x }'),
      [expect.stringContaining('the attribute `__entity` must be letters')] as never,
    ],
    ['many of them', text(`{ ${names(17)} }`), ['5: there are at most 16 attributes']],
    ['no mapping', text('[a]'), ['5: `attributes` must be a mapping']],
    [
      'two types of one name, reported once',
      text(
        '{ a: x }',
        ', attributes: { a: 1 }',
        '  b:\n    hosts: [b.acme.test]\n    audience: https://b.acme.test\n    attributes: { a: [] }\n    routes: [{ action: b.x, method: GET, path: /, risk: low }]\n',
      ),
      ['7: the attribute `a` is text of `pay` and a number of `pay.list`'],
    ],
  ])('refuse %s', (_what, given, expected) => expect(findings(given)).toEqual(expected));

  it('have at most 64 names per catalog', () => {
    const four = ['a', 'b', 'c', 'd'].map((id, index) => server(id, 16 * index)).join('');
    expect(findings(`servers:\n${four}`)).toEqual([]);
    expect(findings(`servers:\n${four}${server('e', 64)}`)).toEqual(['22: a catalog names at most 64 attributes']);
  });
});
