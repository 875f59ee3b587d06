import { describe, expect, it } from '@jest/globals';
import { actionFrom } from '../../../../src/core/action/action.ts';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import { catalogFrom } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { must } from '../../../builders/must.ts';
import { httpCall } from '../../../builders/http-call.ts';

const route = (action: string, rest: string) =>
  `      - { action: ${action}, method: POST, path: '/${action}', risk: low, ${rest} }\n`;
const AMOUNT = 'args: { amount: { from: query, type: long } }';
const textOf = (routes: string) =>
  `servers:\n  a:\n    hosts: [a.test]\n    audience: https://a.test\n    routes:\n${routes}`;
const load = (routes: string) => catalogFrom(textOf(routes), 'actions.yaml');

const findings = (routes: string): readonly string[] => {
  const read = load(routes);
  return 'findings' in read ? read.findings.map(({ message }) => message) : [];
};

const catalog = must(
  load(
    route('default', AMOUNT) +
      route('none', `${AMOUNT}, body: none`) +
      route('json', `${AMOUNT}, body: json`) +
      route('opaque', `${AMOUNT}, body: opaque`) +
      route('both', 'args: { note: { from: query }, total: { from: body }, note2: { from: body, pointer: /Note } }') +
      route('unstated', 'labels: []') +
      route('closed', 'body: none'),
  ),
);

type Sent = { readonly type?: string; readonly body?: string | null; readonly headers?: HttpCall['headers'] };

const readOf = (action: string, query: string, { type, body = null, headers = new Map() }: Sent = {}) => {
  const given = httpCall({
    method: 'POST',
    host: 'a.test',
    path: `/${action}`,
    query,
    headers: new Map([...headers, ...(type === undefined ? [] : [['content-type', [type]] as const])]),
    body: body === null ? null : Buffer.from(body),
  });
  return actionFrom(given, catalog);
};
const outcome = (action: string, query: string, sent?: Sent): unknown => {
  const read = readOf(action, query, sent);
  return isDeny(read) ? `${read.reason}: ${read.detail}` : Object.fromEntries(read.args);
};
const json = (body: string): Sent => ({ type: 'application/json', body });
const refused = (action: string, problem: string) => `action.arguments: arguments of \`${action}\`: ${problem}`;

const NONE = 'the call has a body, and its catalog entry does not say `body: json` or `body: opaque`';
const FORM = 'the body can be read as a form, and its catalog entry does not say `body: opaque`';
const TAKEN = '`amount` comes from the query, and a member of the body can be taken for it';

describe('actionFrom and the body of a call', () => {
  it.each<[string, unknown, unknown]>([
    ['takes a query without a body', outcome('default', 'amount=1'), { amount: 1 }],
    ['takes an empty body', outcome('default', 'amount=1', { body: '' }), { amount: 1 }],
    [
      'takes a length of zero',
      outcome('default', 'amount=1', { headers: new Map([['content-length', ['0']]]) }),
      { amount: 1 },
    ],
    [
      'denies the amount of a body beside that of the query',
      outcome('default', 'amount=1', json('{"amount":100000}')),
      refused('default', NONE),
    ],
    [
      'denies a body that was not sent to the check',
      outcome('default', 'amount=1', { headers: new Map([['content-length', ['17']]]) }),
      refused('default', NONE),
    ],
    [
      'denies a body of unknown length',
      outcome('default', 'amount=1', { headers: new Map([['transfer-encoding', ['chunked']]]) }),
      refused('default', NONE),
    ],
    ['denies a body if the entry says none', outcome('none', 'amount=1', json('{}')), refused('none', NONE)],
    [
      'denies a body if the entry says none and has no arguments',
      outcome('closed', '', json('{}')),
      refused('closed', NONE),
    ],
    ['takes JSON that has other members', outcome('json', 'amount=1', json('{"note":"x"}')), { amount: 1 }],
    ['takes no body if JSON may be', outcome('json', 'amount=1'), { amount: 1 }],
    ['denies a member that is the argument', outcome('json', 'amount=1', json('{"amount":1}')), refused('json', TAKEN)],
    ['denies a member that looks like it', outcome('json', 'amount=1', json('{"_Amount":1}')), refused('json', TAKEN)],
    [
      'denies another type than JSON',
      outcome('json', 'amount=1', { type: 'text/plain', body: '{}' }),
      refused('json', 'the content type is not `application/json`'),
    ],
    [
      'ignores an opaque body',
      outcome('opaque', 'amount=1', { type: 'application/x-www-form-urlencoded', body: 'amount=2' }),
      { amount: 1 },
    ],
    [
      'reads a body argument beside a query argument',
      outcome('both', 'note=a', json('{"total":"1","Note":"b"}')),
      { note: 'a', total: '1', note2: 'b' },
    ],
    [
      'denies an argument of the body in the query',
      outcome('both', 'Total=9', json('{"total":"1"}')),
      refused('both', 'a key of the query can be taken for `total`, which comes from elsewhere in the call'),
    ],
    ['ignores an unstated body', outcome('unstated', '', { type: 'image/png', body: 'x' }), {}],
    [
      'denies an unstated form, since it can name another method',
      outcome('unstated', '', { type: 'Application/X-WWW-Form-Urlencoded', body: '_method=DELETE' }),
      refused('unstated', FORM),
    ],
    [
      'denies a form in parts',
      outcome('unstated', '', { type: 'multipart/form-data; boundary=x', body: '--x--' }),
      refused('unstated', FORM),
    ],
    ['denies a POST that says no type', outcome('unstated', '', { body: '_method=DELETE' }), refused('unstated', FORM)],
  ])('%s', (_name, seen, expected) => {
    expect(seen).toEqual(expected);
  });
});

/** What the caller is told. */
const denied = (action: string, sent: Sent): unknown => {
  const read = readOf(action, '', sent);
  return isDeny(read) ? read.clientFacts?.argument : null;
};

// Issue 37, point 19.
describe('the answer to the caller of a refused body', () => {
  it.each<[string, unknown, string, string]>([
    ['a body without a content type', denied('json', { body: '{}' }), 'content-type', '`application/json`'],
    ['another type', denied('json', { type: 'text/plain', body: '{}' }), 'content-type', '`application/json`'],
    ['a POST that can be a form', denied('unstated', { body: 'a=1' }), 'content-type', 'named, and not that of a form'],
    ['a body that is not taken', denied('none', json('{}')), 'body', 'empty'],
  ])('names %s', (_name, seen, name, expected) => {
    expect(seen).toEqual({ name, expected });
  });
});

describe('catalogFrom and `body`', () => {
  it.each<[string, string, readonly string[]]>([
    ['an unknown word', route('a', 'body: form'), ['`body` `form` must be one of `none`, `json`, `opaque`']],
    [
      'no body, if an argument comes from it',
      route('a', 'body: none, args: { x: { from: body } }'),
      ['an argument comes from the body, so it is `json`'],
    ],
    [
      'arguments of the query that a parser makes one of',
      route('a', "body: none, args: { f: { from: query }, 'f[x]': { from: query }, F_X: { from: query } }"),
      ['in a query `f[x]` can be taken for a part of `f`', 'in a query `F_X` can be taken for a part of `f[x]`'],
    ],
    ['a body of a GET', route('a', 'body: none').replace('POST', 'GET'), ['a `GET` or `HEAD` has no body to declare']],
  ])('finds %s', (_name, routes, expected) => {
    expect(findings(routes)).toEqual(expected);
  });

  it('remarks on query arguments if a body could contain them too', () => {
    expect(catalog.remarks).toEqual([
      {
        rule: 'query-arguments',
        file: 'actions.yaml',
        line: 6,
        column: 19,
        message: '`default` is a `POST`, and its arguments `amount` are read from the query',
        help: expect.stringContaining('write `body: none`'),
      },
    ]);
  });
});
