import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { jsonRpcFrom, lookalike, MAX_MESSAGE_BYTES } from '../../../src/core/action/json-rpc.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { describeWithVectors, vectorBytes, vectorFiles } from '../token/vectors.ts';
import { httpCall, headersOf } from '../../builders/http-call.ts';

const plain = { 'content-type': ['application/json'] };

const call = (body: Uint8Array | null, headers: Readonly<Record<string, readonly string[]>> = plain): HttpCall =>
  httpCall({ method: 'POST', host: 'tools.acme.test', path: '/mcp', headers: headersOf(headers), body });

const read = (text: string): unknown => outcome(call(Buffer.from(text)));

function outcome(given: HttpCall): unknown {
  const message = jsonRpcFrom(given);
  if (isDeny(message)) return `${message.reason}: ${message.detail}`;
  return message.kind === 'call' ? { ...message, params: Object.fromEntries(message.params) } : message;
}

describe('jsonRpcFrom reads', () => {
  it.each<[string, string, unknown]>([
    [
      'a request',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}',
      { kind: 'call', id: 1, method: 'tools/call', params: { name: 'x' } },
    ],
    [
      'an id that is text',
      '{"jsonrpc":"2.0","id":"a","method":"ping"}',
      { kind: 'call', id: 'a', method: 'ping', params: {} },
    ],
    ['a notification', '{"jsonrpc":"2.0","method":"x"}', { kind: 'call', id: null, method: 'x', params: {} }],
    ['a result', '{"jsonrpc":"2.0","id":7,"result":{}}', { kind: 'answer', id: 7, of: { result: {} } }],
    ['an error', '{"jsonrpc":"2.0","id":7,"error":{"code":1}}', { kind: 'answer', id: 7, of: { error: { code: 1 } } }],
  ])('%s', (_name, text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  it.each([['application/json; charset=utf-8'], ['Application/JSON;charset="UTF-8"']])('%s', (type) => {
    const body = Buffer.from('{"jsonrpc":"2.0","method":"x"}');
    expect(outcome(call(body, { 'content-type': [type], 'content-encoding': ['identity'] }))).toMatchObject({
      method: 'x',
    });
  });
});

describe('jsonRpcFrom denies', () => {
  it.each<[string, string, string]>([
    ['a duplicate member', '{"jsonrpc":"2.0","method":"a","method":"b"}', 'has a duplicate member name'],
    [
      'a duplicate behind an escape',
      '{"jsonrpc":"2.0","method":"a","m\\u0065thod":"b"}',
      'has a duplicate member name',
    ],
    [
      'a duplicate deep inside',
      '{"jsonrpc":"2.0","method":"a","params":{"arguments":{"n":1,"n":2}}}',
      'has a duplicate member name',
    ],
    ['a byte order mark', '\u{feff}{"jsonrpc":"2.0","method":"a"}', 'is not valid JSON'],
    [
      'deep nesting',
      `{"jsonrpc":"2.0","method":"a","params":{"a":${'['.repeat(64)}${']'.repeat(64)}}}`,
      'nests deeper than 32',
    ],
    ['nothing', '', 'is not valid JSON'],
    ['text', '"x"', 'must be an object'],
    ['null', 'null', 'must be an object'],
    ['no version', '{"method":"a"}', 'is not of version 2.0'],
    ['a number as version', '{"jsonrpc":2.0,"method":"a"}', 'is not of version 2.0'],
    ['a further member', '{"jsonrpc":"2.0","method":"a","x":1}', 'has a member that JSON-RPC does not have'],
    ['`__proto__`', '{"jsonrpc":"2.0","__proto__":{"method":"a"}}', 'has a member that JSON-RPC does not have'],
    ['no method', '{"jsonrpc":"2.0","id":1}', 'must be a call or an answer'],
    ['a result without id', '{"jsonrpc":"2.0","result":{}}', 'must be a call or an answer'],
    ['an error without id', '{"jsonrpc":"2.0","error":{"code":1}}', 'must be a call or an answer'],
    // SDKs turn the id of an answer into a number.
    ...['"0x1"', '""', '"01"', '" 1"', '"1_0"', '"+1"', '"1e0"', '"1.0"', '-1'].map(
      (id) =>
        [
          `${id} as id of an answer (issue 37, point 2)`,
          `{"jsonrpc":"2.0","id":${id},"result":{}}`,
          'has an id that some parsers read as another',
        ] as [string, string, string],
    ),
    ['a result and an error', '{"jsonrpc":"2.0","id":1,"result":1,"error":1}', 'must be a call or an answer'],
    ['a call that is an answer', '{"jsonrpc":"2.0","id":1,"method":"a","result":1}', 'is both a call and an answer'],
    ['params as a list', '{"jsonrpc":"2.0","method":"a","params":["x"]}', 'has params that are not an object'],
    ['params that are null', '{"jsonrpc":"2.0","method":"a","params":null}', 'has params that are not an object'],
    ...['7', '""', '"a b"', '"töol"', 'null'].map(
      (method) =>
        [
          `${method} as method`,
          `{"jsonrpc":"2.0","method":${method}}`,
          'has an invalid method: must be plain text of 1 to 128 characters',
        ] as [string, string, string],
    ),
    ...['null', '1.5', '9007199254740993', '{}', 'true', `"${'x'.repeat(129)}"`].map(
      (id) =>
        [
          `${id.slice(0, 20)} as id`,
          `{"jsonrpc":"2.0","id":${id},"method":"a"}`,
          'has an invalid id: must be a safe integer or text of at most 128 characters',
        ] as [string, string, string],
    ),
  ])('%s', (_name, text, problem) => {
    expect(read(text)).toBe(`request.malformed: the JSON-RPC message ${problem}`);
  });

  it.each(['Method', 'METHOD', 'meth_od', 'Param\u017f', 'jsonRpc', 'iD'])('the lookalike member `%s`', (name) => {
    expect(read(`{"jsonrpc":"2.0","method":"a","${name}":1}`)).toMatch(
      /^request\.not-canonical: a member .* taken for/,
    );
  });

  it.each<[string, HttpCall, string]>([
    ['a batch', call(Buffer.from('[{"jsonrpc":"2.0","method":"a"}]')), 'request.unsupported: the message is a batch'],
    ['a body that was not sent', call(null), 'request.body-incomplete: the body was not sent to the check'],
    [
      'bytes that are no UTF-8',
      call(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
      'request.malformed: the JSON-RPC message is not valid UTF-8',
    ],
    [
      'too much',
      call(Buffer.alloc(MAX_MESSAGE_BYTES + 1)),
      `request.too-large: the message is longer than ${MAX_MESSAGE_BYTES} bytes`,
    ],
    ...[
      { 'content-type': ['text/plain'] },
      { 'content-type': ['application/json; charset=utf-16'] },
      { 'content-type': ['application/json-seq'] },
      { 'content-type': ['application/json', 'application/json'] },
      { ...plain, 'content-encoding': ['gzip'] },
      { ...plain, 'content-encoding': ['identity', 'gzip'] },
      {},
    ].map(
      (headers) =>
        [
          JSON.stringify(headers),
          call(Buffer.from('{"jsonrpc":"2.0","method":"a"}'), headers as Record<string, readonly string[]>),
          'request.unsupported: the body is not declared as plain `application/json`',
        ] as [string, HttpCall, string],
    ),
  ])('%s', (_name, given, expected) => {
    expect(outcome(given)).toBe(expected);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (body) => {
          jsonRpcFrom(call(body));
        },
      ),
    );
  });
});

describe('lookalike', () => {
  it('finds names that differ in case or underscores only', () => {
    expect(lookalike(['name', 'task_id'], ['name', 'taskId'])).toBe('taskId');
    expect(lookalike(['\u212aey'], ['key'])).toBe('key');
    expect(lookalike(['name', 'taskId', 'other'], ['name', 'taskId'])).toBeNull();
  });
});

describeWithVectors('jsonRpcFrom on JSONTestSuite as params', 'json', () => {
  it.each(vectorFiles('json').filter((file) => file.startsWith('n_')))('%s is refused', (file) => {
    const body = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","method":"a","params":{"a":'),
      vectorBytes(`json/${file}`),
      Buffer.from('}}'),
    ]);
    expect(isDeny(jsonRpcFrom(call(body)))).toBe(true);
  });
});
