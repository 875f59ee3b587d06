import { once } from 'node:events';
import { get } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import express from 'express';
import * as fc from 'fast-check';
import qs from 'qs';
import { actionFrom } from '../../../../src/core/action/action.ts';
import type { Action } from '../../../../src/core/action/http/http.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { targetFrom } from '../../../../src/sidecar/envoy/check/canonical.ts';
import { readers } from '../query-readers.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { httpCall } from '../../../builders/http-call.ts';

const catalog = mustCatalog(
  `servers:
  bank:
    hosts: [bank.test]
    audience: https://bank.test
    routes:
      - action: list
        method: GET
        path: /list
        risk: low
        args: { account: { from: query }, 'filter[state]': { from: query }, page_size: { from: query } }
`,
);

/** Remit's result for a query: the arguments, or the reason of a denial. */
function readingOf(query: string): Action['args'] | string {
  const target = targetFrom(`/list?${query}`);
  if (isDeny(target)) return target.reason;
  const read = actionFrom(httpCall({ host: 'bank.test', ...target }), catalog);
  return isDeny(read) ? read.reason : read.args;
}

const DENIED = [
  '[account]=x',
  '%5Baccount%5D=x',
  '_met%68od=DELETE',
  '[_method]=DELETE',
  '_method[]=DELETE',
  '_method%00=DELETE',
  '_METHOD=DELETE',
  '_HttpMethod=DELETE',
  'X-HTTP-Method-Override=DELETE',
  '.method=DELETE',
  '+_method=DELETE',
  '%09_method=DELETE',
  '%5b_method=DELETE',
  'x=1;_method=DELETE',
  'account.x=1',
  'account%2ex=1',
  'account%00=x',
  'account%00y=x',
  'account[]=x',
  'account[0]=x',
  'account[x]=y',
  'account]=x',
  'account[=x',
  '+account=x',
  '%20account=x',
  'account+=x',
  '%09account=x',
  '%0aaccount=x',
  'ACCOUNT=x',
  'aCcOuNt=x',
  '!account=x',
  '_account=x',
  'account:exact=x',
  'account=a&account=b',
  'account=a&%61ccount=b',
  'account=a]=b',
  'account=a;account=b',
  'page.size=5',
  'page%20size=5',
  'page%5Bsize=5',
  'pageSize=5',
  'filter.state=x',
  'filter_state=x',
  'filter[state][]=x',
  'filter[state]=a&filter=b',
  'filter[state]=a&filter[other]=b',
  'filter[State]=a',
  'filter[state=a',
  '=account',
  '%zz=1',
  '%ff=1',
  'account=%ff',
  `${'&a'.repeat(1200)}&account=x`,
] as const;

const ALLOWED: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['account=x', { account: 'x' }],
  ['%61ccount=x', { account: 'x' }],
  ['account=a%5B0%5D+b', { account: 'a[0] b' }],
  ['account=a=b', { account: 'a=b' }],
  ['account', { account: '' }],
  ['filter[state]=open', { 'filter[state]': 'open' }],
  ['filter%5Bstate%5D=open&page_size=3', { 'filter[state]': 'open', page_size: '3' }],
  ['other=a&other=b&$top=5&x-y_z=%zz', {}],
  ['method=card&http_method=x', {}],
  ['&&account=x&', { account: 'x' }],
  ['12345', {}],
];

describe('queryValues', () => {
  let server: Server;
  let port = 0;

  beforeAll(async () => {
    const app = express();
    app.set('query parser', 'extended');
    app.get('/list', (request, response) => response.json(request.query));
    server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address !== null) port = address.port;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  /** The query as Express with `qs` parses it. */
  const seenByExpress = (query: string): Promise<object> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: `/list?${query}` }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += String(chunk)));
        response.on('end', () => resolve(JSON.parse(text)));
      }).on('error', reject);
    });

  it.each(DENIED.map((query) => [query.slice(0, 60), query]))('denies `%s`', (_name, query) => {
    expect(readingOf(query)).toMatch(/^(?:action\.arguments|request\.not-canonical)$/);
  });

  it.each(ALLOWED)('reads `%s` as every parser does', async (query, expected) => {
    const args = readingOf(query);
    expect(args).toEqual(new Map(Object.entries(expected)));
    expectSame(query, args, { Express: await seenByExpress(query) });
  });

  it('has rows that some parser reads as an argument or method that Remit did not see', async () => {
    const misread = await Promise.all(
      DENIED.map(async (query) => {
        const parsed = [await seenByExpress(query), ...Object.values(readers).map((read) => read(query))];
        return parsed.some((fields) => ['account', '_method', 'page_size'].some((name) => name in fields));
      }),
    );
    expect(misread.filter(Boolean).length).toBeGreaterThan(25);
  });

  it('denies random queries that a parser reads differently', () => {
    const key = fc
      .array(
        fc.constantFrom(
          ...'account filter state page size _method method [ ] [] . _ %00 + %20 %09 %5b %5d %2e ; ! $ 0 A %61'.split(
            ' ',
          ),
        ),
        { minLength: 1, maxLength: 4 },
      )
      .map((parts) => parts.join(''));
    const field = fc.tuple(key, fc.constantFrom('', '=', '=x', '=]=y', '=x=y')).map((parts) => parts.join(''));
    let passed = 0;
    fc.assert(
      fc.property(fc.array(field, { maxLength: 4 }), (fields) => {
        const query = fields.join('&');
        const args = readingOf(query);
        if (typeof args === 'string') return;
        passed += 1;
        expectSame(query, args, { qs: qs.parse(query, { allowPrototypes: true }) });
      }),
      { numRuns: 5000 },
    );
    expect(passed).toBeGreaterThan(100);
  });
});

/** Whether every parser reads the same arguments as Remit, and no other method. */
function expectSame(query: string, args: Action['args'] | string, parsed: Readonly<Record<string, object>>): void {
  if (typeof args === 'string') throw new Error(`denied: ${query}`);
  const all = { ...parsed, ...Object.fromEntries(Object.entries(readers).map(([name, read]) => [name, read(query)])) };
  for (const [name, fields] of Object.entries(all)) {
    const seen = [
      memberOf(fields, 'account'),
      memberOf(memberOf(fields, 'filter'), 'state'),
      memberOf(fields, 'page_size'),
    ];
    const expected = ['account', 'filter[state]', 'page_size'].map((of) => args.get(of));
    expect([query, name, ...seen, memberOf(fields, '_method')]).toEqual([query, name, ...expected, undefined]);
  }
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;
