import { describe, expect, it } from '@jest/globals';
import { actionFrom } from '../../../src/core/action/action.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { httpCall } from '../../builders/http-call.ts';

type Route = readonly [action: string, method: string, path: string];
const load = (routes: readonly Route[], server = '') => {
  const lines = routes.map(
    ([action, method, path]) => `      - { action: ${action}, method: ${method}, path: '${path}', risk: low }\n`,
  );
  const text = `servers:\n  pay:\n    hosts: [a.test]\n    audience: https://a.test\n${server}    routes:\n${lines.join('')}`;
  return mustCatalog(text);
};
const outcome = (catalog: ReturnType<typeof load>, method: string, path: string): string => {
  const action = actionFrom(httpCall({ method, host: 'a.test', path }), catalog);
  return isDeny(action) ? `${action.reason}: ${action.detail}` : action.id;
};

const beside: Route = ['export', 'GET', '/v1/payments/export'];
const routes = (parameter: string): readonly Route[] => [
  ['read', 'GET', `/v1/payments/${parameter}`],
  ['refund', 'POST', `/v1/payments/${parameter}/refund`],
  beside,
];
const TAKEN =
  'request.not-canonical: the path of a call to `read` can be taken for `GET /v1/payments/export` of `export`';

describe('actionFrom with a route beside a parameter', () => {
  it.each([
    ['export', 'export'],
    ['p-1', 'read'],
    ['exports', 'read'],
    ['EXPORT', TAKEN],
    ['Export', TAKEN],
    ['export.json', TAKEN],
    ['EXPORT.JSON', TAKEN],
    ['export:run', TAKEN],
    ['export.', TAKEN],
    ['%EF%BC%A5xport', TAKEN],
    ['p-1:export', expect.stringMatching(/^action\.arguments: .*`id` must be at most 128 letters/)],
    ['p-1.json', expect.stringMatching(/^action\.arguments: /)],
  ])('reads `/v1/payments/%s` as %s', (segment, expected) => {
    expect(outcome(load(routes('{id}')), 'GET', `/v1/payments/${segment}`)).toEqual(expected);
  });

  it.each([
    ['EXPORT', TAKEN],
    ['export.json', TAKEN],
    ['p-1:export', 'read'],
  ])('holds for `text` too: %s', (segment, expected) => {
    expect(outcome(load(routes('{id:text}')), 'GET', `/v1/payments/${segment}`)).toEqual(expected);
  });

  it('compares whole paths: a prefix of another route is not a lookalike', () => {
    expect(outcome(load(routes('{id}')), 'POST', '/v1/payments/EXPORT/refund')).toBe('refund');
  });

  it.each([
    [
      'another method',
      [
        ['read', 'DELETE', '/v1/{id}'],
        ['all', 'GET', '/v1/all'],
      ],
      'DELETE',
      '/v1/all',
    ],
    [
      'a slash at the end',
      [
        ['read', 'GET', '/v1/{id}/'],
        ['all', 'GET', '/v1/all'],
      ],
      'GET',
      '/v1/ALL/',
    ],
    [
      'a parameter further on',
      [
        ['read', 'GET', '/{a}/{b}/x'],
        ['all', 'GET', '/all/{b}/x'],
      ],
      'GET',
      '/ALL/1/x',
    ],
    [
      'text that has an extension',
      [
        ['read', 'GET', '/v1/{id}'],
        ['all', 'GET', '/v1/all.json'],
      ],
      'GET',
      '/v1/all',
    ],
  ] as const)('denies what can be taken for a route with %s', (_name, given, method, path) => {
    expect(outcome(load(given), method, path)).toMatch(/^request\.not-canonical: .* can be taken for `GET .*of `all`$/);
  });

  it('accepts every spelling as an id at a server with `exactPaths`', () => {
    const catalog = load(routes('{id}'), '    exactPaths: true\n');
    expect(outcome(catalog, 'GET', '/v1/payments/EXPORT')).toBe('read');
    expect(outcome(catalog, 'GET', '/v1/payments/export')).toBe('export');
    expect(catalog.remarks).toEqual([]);
  });

  it('parses an `int` parameter as a number, and refuses other values', () => {
    const catalog = load([['read', 'GET', '/{id:int}']]);
    expect(catalog.actions.get('read')).toMatchObject({
      endpoint: 'GET /{id}',
      args: [{ name: 'id', from: 'path', type: 'long', required: true }],
    });
    expect(outcome(catalog, 'GET', '/7')).toBe('read');
    expect(outcome(catalog, 'GET', '/-7')).toMatch(/`id` must be of the type `int`$/);
  });
});

describe('the remarks on a catalog', () => {
  const rules = (given: readonly Route[]) => load(given).remarks.map(({ rule, line }) => `${rule} ${line}`);

  it.each<[string, readonly Route[], readonly string[]]>([
    ['a plain parameter beside text', routes('{id}'), ['lookalike-path 6']],
    ['any text beside text', routes('{id:text}'), ['lookalike-path 6']],
    ['letters of either case', routes('{id:[A-Za-z]{1,9}}'), ['lookalike-path 6']],
    ['an extension', routes('{id:[a-z.]{1,19}}'), ['lookalike-path 6']],
    ['text of another method', [['d', 'DELETE', '/v1/payments/{id:[a-z]{1,9}}'], beside], ['lookalike-path 6']],
    ['lower case alone', routes('{id:[a-z]{1,9}}'), []],
    ['a UUID', routes('{id:uuid}'), []],
    ['an integer', routes('{id:int}'), []],
    [
      'text that is elsewhere',
      [
        ['r', 'GET', '/a/{id}'],
        ['e', 'GET', '/b/export'],
      ],
      [],
    ],
  ])('with %s', (_name, given, expected) => {
    expect(rules(given)).toEqual(expected);
  });

  it('name the remedy', () => {
    expect(load(routes('{id}')).remarks[0]).toMatchObject({
      message: expect.stringContaining('`{id}` of `GET /v1/payments/{id}` can match `export` in another spelling'),
      help: expect.stringContaining('`exactPaths: true`'),
    });
  });
});
