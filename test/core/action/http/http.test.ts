import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import { actionFrom } from '../../../../src/core/action/action.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { headersOf, httpCall } from '../../../builders/http-call.ts';

const catalog = mustCatalog(
  `servers:
  payments:
    hosts: [payments.acme.test, pay.acme.test]
    audience: https://payments.acme.test
    routes:
      - { action: root, method: GET, path: /, risk: low }
      - { action: payments.list, method: GET, path: /v1/payments, risk: low }
      - { action: payments.read, method: GET, path: '/v1/payments/{id}', risk: low, args: { id: { from: path, type: long } } }
      - action: payments.create
        method: POST
        path: /v1/payments
        risk: high
        args:
          amount: { from: query, type: long, required: true }
          currency: { from: query }
          urgent: { from: query, type: bool }
      - { action: payments.refund, method: POST, path: '/v1/payments/{id}/refund', risk: high }
      - { action: payments.search, method: GET, path: /v1/search, risk: low, otherArguments: deny, args: { q: { from: query } } }
      - action: payments.note
        method: POST
        path: '/v1/payments/{id}/note'
        risk: low
        otherArguments: deny
        args: { dry: { from: query, type: bool }, text: { from: body, pointer: /note/text, maxBytes: 10000 } }
      - { action: payments.ping, method: POST, path: /v1/ping, risk: low, otherArguments: deny }
`,
);

const call = (method: string, path: string, query = ''): HttpCall => httpCall({ method, path, query });

const outcome = (given: HttpCall): unknown => {
  const action = actionFrom(given, catalog);
  return isDeny(action) ? `${action.reason}: ${action.detail}` : [action.id, Object.fromEntries(action.args)];
};

describe('actionFrom names the action', () => {
  const rows: readonly (readonly [string, HttpCall, string, Record<string, unknown>])[] = [
    ['the root', call('GET', '/'), 'root', {}],
    ['the root without segments', { ...call('GET', '/'), segments: [] }, 'root', {}],
    ['a plain route', call('GET', '/v1/payments'), 'payments.list', {}],
    ['a plain route with a query nobody reads', call('GET', '/v1/payments', 'x=%zz&&'), 'payments.list', {}],
    ['a second host', { ...call('GET', '/v1/payments'), host: 'pay.acme.test' }, 'payments.list', {}],
    ['a path argument', call('GET', '/v1/payments/17'), 'payments.read', { id: 17 }],
    ['an implicit path argument', call('POST', '/v1/payments/p%2D1/refund'), 'payments.refund', { id: 'p-1' }],
    [
      'query arguments',
      call('POST', '/v1/payments', 'amount=-5&currency=EUR&urgent=true'),
      'payments.create',
      { amount: -5, currency: 'EUR', urgent: true },
    ],
    ['absent optional arguments', call('POST', '/v1/payments', 'amount=0'), 'payments.create', { amount: 0 }],
    [
      'percent and plus',
      call('POST', '/v1/payments', '%61mount=1&currency=a+b%20%C3%A9'),
      'payments.create',
      { amount: 1, currency: 'a b é' },
    ],
    [
      'keys that are not declared',
      call('POST', '/v1/payments', 'amount=1&note=x&note=y'),
      'payments.create',
      { amount: 1 },
    ],
    [
      'a key without a value',
      call('POST', '/v1/payments', 'amount=1&currency'),
      'payments.create',
      { amount: 1, currency: '' },
    ],
    [
      'the largest safe integer',
      call('POST', '/v1/payments', `amount=${2 ** 53 - 1}`),
      'payments.create',
      { amount: 2 ** 53 - 1 },
    ],
    [
      'a string that looks like an entity',
      call('POST', '/v1/payments', 'amount=1&currency={"__entity":{"type":"Remit::Agent","id":"x"}}'),
      'payments.create',
      { amount: 1, currency: '{"__entity":{"type":"Remit::Agent","id":"x"}}' },
    ],
  ];
  it.each(rows)('%s', (_name, given, id, args) => {
    expect(outcome(given)).toEqual([id, args]);
  });
});

describe('actionFrom denies', () => {
  const create = (query: string) => call('POST', '/v1/payments', query);
  const rows: readonly (readonly [string, HttpCall, string])[] = [
    [
      'an unknown host',
      { ...call('GET', '/'), host: 'evil.test' },
      'action.unknown: no server of the catalog has the host `evil.test`',
    ],
    ['an unknown route', call('GET', '/v2'), 'action.unknown: no route of the server `payments` matches `GET /v2`'],
    [
      'an unknown method',
      call('HEAD', '/v1/payments'),
      'action.unknown: no route of the server `payments` matches `HEAD /v1/payments`',
    ],
    [
      'a method in lower case',
      call('get', '/v1/payments'),
      'action.unknown: no route of the server `payments` matches `get /v1/payments`',
    ],
    [
      'a trailing slash',
      call('GET', '/v1/payments/'),
      'action.unknown: no route of the server `payments` matches `GET /v1/payments/`',
    ],
    [
      'an encoded slash in a parameter',
      call('POST', '/v1/payments/a%2Fb/refund'),
      'action.arguments: arguments of `payments.refund`: `id` must be a single path segment',
    ],
    [
      'a dot segment as a parameter',
      call('POST', '/v1/payments/%2e%2e/refund'),
      'action.arguments: arguments of `payments.refund`: `id` must be a single path segment',
    ],
    [
      'U+0000 in a parameter',
      call('POST', '/v1/payments/a%00/refund'),
      'action.arguments: arguments of `payments.refund`: `id` must be a string without U+0000',
    ],
    [
      'a lone surrogate',
      { ...call('POST', '/v1/payments/x/refund'), segments: ['v1', 'payments', '\ud800', 'refund'] },
      'action.arguments: arguments of `payments.refund`: `id` must be well-formed Unicode',
    ],
    [
      'a string of more than 4 KiB',
      call('POST', `/v1/payments/${'é'.repeat(2049)}/refund`),
      'action.arguments: arguments of `payments.refund`: `id` must be a string of at most 4096 bytes',
    ],
    ['a missing argument', create(''), 'action.arguments: arguments of `payments.create`: `amount` is missing'],
    [
      'an argument twice',
      create('amount=1&amount=1'),
      'action.arguments: arguments of `payments.create`: `amount` appears twice in the query',
    ],
    [
      'an argument twice, once encoded',
      create('amount=1&%61mount=9'),
      'action.arguments: arguments of `payments.create`: `amount` appears twice in the query',
    ],
    [
      'an argument in other case',
      create('amount=1&Amount=9'),
      'action.arguments: arguments of `payments.create`: a key of the query can be taken for `amount`, but is spelt differently',
    ],
    [
      'an argument as a list',
      create('amount=1&amount[]=9'),
      'action.arguments: arguments of `payments.create`: a key of the query can be taken for `amount`, but is spelt differently',
    ],
    [
      'an argument behind a blank',
      create('amount=1&+amount=9'),
      'action.arguments: arguments of `payments.create`: a key of the query can be taken for `amount`, but is spelt differently',
    ],
    [
      'a bare semicolon',
      create('note=x;amount=9&amount=1'),
      'action.arguments: arguments of `payments.create`: the query has a bare `;`, which has more than one reading',
    ],
    [
      'a broken percent in a key',
      create('amount=1&%zz=1'),
      'action.arguments: arguments of `payments.create`: a key of the query must be percent-encoded UTF-8',
    ],
    [
      'a broken percent in a value',
      create('amount=1&currency=%'),
      'action.arguments: arguments of `payments.create`: `currency` must be percent-encoded UTF-8',
    ],
    [
      'overlong UTF-8',
      create('amount=1&currency=%C0%AF'),
      'action.arguments: arguments of `payments.create`: `currency` must be percent-encoded UTF-8',
    ],
    [
      'an integer beyond 2^53',
      create('amount=9007199254740993'),
      'action.arguments: arguments of `payments.create`: `amount` must be a safe integer',
    ],
    [
      'a bool that is a number',
      create('amount=1&urgent=1'),
      'action.arguments: arguments of `payments.create`: `urgent` must be `true` or `false`',
    ],
    ...['', '1.5', '1e3', '+1', '01', '-0', '0x1', ' 1', 'NaN', '١'].map(
      (amount) =>
        [
          `\`${amount}\` as an integer`,
          create(`amount=${encodeURIComponent(amount)}`),
          'action.arguments: arguments of `payments.create`: `amount` must be a safe integer',
        ] as const,
    ),
  ];
  it.each(rows)('%s', (_name, given, expected) => {
    expect(outcome(given)).toBe(expected);
  });
});

describe('actionFrom', () => {
  it('never throws and returns only declared arguments of declared types', () => {
    const text = fc.oneof(
      fc.string({ unit: anyCharacter }),
      fc.constantFrom('', 'v1', 'payments', '\ud800', '..', '__entity'),
    );
    const query = fc.oneof(
      fc.string({ unit: anyCharacter }),
      fc
        .array(fc.tuple(fc.constantFrom('amount', 'currency', 'urgent', '__entity', '%61mount', 'x'), fc.string()))
        .map((pairs) => pairs.map((pair) => pair.join('=')).join('&')),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'POST', 'x'),
        fc.oneof(
          fc.array(text),
          fc.constant(['v1', 'payments']),
          text.map((id) => ['v1', 'payments', id]),
        ),
        query,
        (method, segments, given) => {
          const action = actionFrom({ ...call(method, '/'), segments, query: given }, catalog);
          if (isDeny(action)) return expect(['action.unknown', 'action.arguments']).toContain(action.reason);
          const specs = new Map(catalog.actions.get(action.id)?.args.map((spec) => [spec.name, spec]));
          for (const [name, value] of action.args) {
            const typeOf = new Map([
              ['long', 'number'],
              ['bool', 'boolean'],
            ]);
            expect(typeof value).toBe(typeOf.get(specs.get(name)?.type ?? '') ?? 'string');
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

const other = (action: string, name: string) =>
  `action.arguments: arguments of \`payments.${action}\`: the catalog does not name \`${name}\`, and the action takes no other arguments`;

describe('actionFrom with `otherArguments: deny`', () => {
  const json = { 'content-type': 'application/json' };
  const note = (body: string, query = ''): HttpCall =>
    httpCall({ method: 'POST', path: '/v1/payments/7/note', query, headers: headersOf(json), body: Buffer.from(body) });
  it.each<[string, HttpCall, unknown]>([
    ['the named key', call('GET', '/v1/search', 'q=x'), ['payments.search', { q: 'x' }]],
    ['no query', call('GET', '/v1/search'), ['payments.search', {}]],
    ['another key', call('GET', '/v1/search', 'q=x&limit=9'), other('search', 'limit')],
    ['a key in other case', call('GET', '/v1/search', 'Q=x'), other('search', 'Q')],
    ['a key without a name', call('GET', '/v1/search', '=x'), other('search', '')],
    [
      'a key of control characters and backticks',
      call('GET', '/v1/search', '%1b%60%5c%E2%80%AE=x'),
      other('search', '\\u{1b}\\u{60}\\u{5c}\\u{202e}'),
    ],
    ['a long key', call('GET', '/v1/search', `${'k'.repeat(5000)}=x`), other('search', 'k'.repeat(100))],
    [
      'the named members, longer than 4 KiB by their `maxBytes`',
      note(`{"note":{"text":"${'x'.repeat(10_000)}"}}`, 'dry=true'),
      ['payments.note', { id: '7', dry: true, text: 'x'.repeat(10_000) }],
    ],
    ['an empty body', note('{}'), ['payments.note', { id: '7' }]],
    ['another member', note('{"note":{"text":"x"},"force":true}'), other('note', '/force')],
    ['another member below', note('{"note":{"text":"x","to":"y"}}'), other('note', '/note/to')],
    [
      'an argument of the query in the body',
      note('{"dry":true}'),
      expect.stringContaining('`dry` comes from the query'),
    ],
    ['nothing at all', call('POST', '/v1/ping'), ['payments.ping', {}]],
    [
      'a body where there is no argument in one',
      httpCall({ method: 'POST', path: '/v1/ping', headers: headersOf(json), body: Buffer.from('{}') }),
      expect.stringContaining('the call has a body'),
    ],
  ])('%s', (_name, given, expected) => {
    expect(outcome(given)).toEqual(expected);
  });

  it('names the argument to a verified caller', () => {
    expect(actionFrom(call('GET', '/v1/search', 'limit=9'), catalog)).toMatchObject({
      clientFacts: { argument: { name: 'limit', expected: 'left out: the action has no such argument' } },
    });
  });
});
