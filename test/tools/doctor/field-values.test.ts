import { describe, expect, it } from '@jest/globals';
import type { Level } from '../../../src/tools/doctor/codes.ts';
import {
  addedLevel,
  hedgeLevel,
  isOfHost,
  namesSecret,
  retryLevel,
  upgradeLevel,
} from '../../../src/tools/doctor/envoy/fields/values-of-fields.ts';

const format = (text: string): object => ({
  typed_config: { log_format: { text_format_source: { inline_string: text } } },
});
/** A value within so many others. */
const within = (depth: number, value: unknown): unknown => (depth === 0 ? value : { a: within(depth - 1, value) });

describe('namesSecret', () => {
  it.each<[string, unknown, boolean]>([
    ['the token', format('%REQ(AUTHORIZATION)%'), true],
    ['the token by the other command', format('%REQUEST_HEADER(authorization)%'), true],
    ['a part of the token', format('%REQ(Authorization):20%'), true],
    ['a proof', format('{"p":"%REQ(DPoP)%"}'), true],
    ['the token if another header is absent', format('%REQ(X-ID?AUTHORIZATION)%'), true],
    ['the token, and another header if it is absent', format('%REQ(AUTHORIZATION?X-ID)%'), true],
    ['another header', format('%REQ(X-ID)%'), false],
    ['a header that only begins like a cookie', format('%REQ(COOKIE-CONSENT)%'), false],
    ['the token in an expression', format(`%CEL(request.headers['Authorization'])%`), true],
    ['the token in an expression with a type', format('%TYPED_CEL(request.headers["dpop"])%'), true],
    ['another header in an expression', format('%CEL(request.headers["x-a"])% "cookie"'), false],
    ['the token as a member', format('%CEL(request.headers.authorization)%'), true],
    ['a cookie as a member', format('%CEL(request.headers.cookie)%'), true],
    ['a proof as a member', format('%TYPED_CEL(size(request.headers.dpop) > 0 ? request.headers.dpop : "")%'), true],
    ['the token of a proxy', format('%CEL(request.headers["proxy-authorization"])%'), true],
    ['all headers in an expression', format('%CEL(request.headers)%'), true],
    ['all headers, with spaces', format('%CEL( string( request . headers ) )%'), true],
    ['a certificate in an expression', format(`%CEL(request.headers['x-forwarded-client-cert'])%`), true],
    ['a certificate', format('%REQ(X-FORWARDED-CLIENT-CERT)%'), true],
    ['an expression that is too long to be read', format(`%CEL(${'"a" + '.repeat(200)}"a")%`), true],
    [
      'the token after a percent sign',
      format(`%CEL(request.headers['a'] + '%' + request.headers.authorization)%`),
      true,
    ],
    ['another header as a member, cut short', format('%CEL((request.headers.accept)):9% authorization'), false],
    ['another header as a member', format('%CEL(request.headers.accept)% authorization'), false],
    ['another value of the request', format('%CEL(request.path + request.method)%'), false],
    ['another header as an index, with spaces', format('%CEL( request.headers [ "x-a" ] )%'), false],
    ['a method of the headers', format('%CEL(request.headers.map(k, request.headers[k]))%'), true],
    ['a joined name', format('%CEL(request.headers["author" + "ization"])%'), true],
    ['an escaped name', format('%CEL(request.headers["\\x61uthorization"])%'), true],
    ['the headers as an index', format('%CEL(request["headers"])%'), true],
    ['the word alone', format('authorization'), false],
    ['a header by its name', { additional_request_headers_to_log: ['x-id', 'Authorization'] }, true],
    ['a header in a span', { custom_tags: [{ tag: 'a', request_header: { name: 'Cookie' } }] }, true],
    ['another header in a span', { custom_tags: [{ tag: 'a', request_header: { name: 'x-id' } }] }, false],
    ['a header in a list of texts', ['%REQ(:PATH)%', '%REQ(COOKIE)%'], true],
    ['deep inside', within(29, '%REQ(COOKIE)%'), true],
    ['nothing', undefined, false],
    ['numbers', [1, null, true], false],
  ])('of %s', (_what, value, isSecret) => {
    expect(namesSecret(value)).toBe(isSecret);
  });

  it('counts what is deeper or longer than any configuration', () => {
    expect(namesSecret(within(1_000, '%REQ(:PATH)%'))).toBe(true);
    expect(namesSecret('x'.repeat(65_537))).toBe(true);
    expect(namesSecret('x'.repeat(65_536))).toBe(false);
  });
});

describe('isOfHost', () => {
  it.each([
    ['unix:/run/remit/check.sock', true],
    ['unix:@remit', true],
    ['internal:inner', true],
    ['127.0.0.1:9470', true],
    ['127.255.255.254:80', true],
    ['[::1]:9470', true],
    ['localhost:9470', true],
    ['127.remit.evil.test:9470', false],
    ['127.0.0.1.evil.test:9470', false],
    ['localhost.evil.test:9470', false],
    ['10.0.0.1:9470', false],
    ['0.0.0.0:9470', false],
    ['[::]:9470', false],
    ['[::1:2]:9470', false],
    ['remit:9470', false],
    ['', false],
  ])('%s is of this host: %s', (endpoint, expected) => {
    expect(isOfHost(endpoint)).toBe(expected);
  });
});

describe('retryLevel', () => {
  it.each<[unknown, Level | null]>([
    [undefined, null],
    ['', null],
    [' , ', null],
    ['connect-failure', 'info'],
    ['connect-failure, refused-stream,reset-before-request', 'info'],
    ['connect-failure,5xx', 'error'],
    ['reset', 'error'],
    ['retriable-status-codes', 'error'],
    ['CONNECT-FAILURE', 'error'],
    [['5xx'], null],
  ])('of %j is %p', (value, level) => {
    expect(retryLevel(value)).toBe(level);
  });
});

const header = (key: string, value: string): object => ({ header: { key, value } });

describe('addedLevel', () => {
  it.each<[string, unknown, Level | null]>([
    ['no list', undefined, null],
    ['an empty list', [], null],
    ['a header of no meaning', [header('x-id', '1')], 'warning'],
    ['a token', [header('Authorization', 'Bearer x')], 'error'],
    ['a proof', [header('DPoP', 'x')], 'error'],
    ['a caller', [header('x-forwarded-client-cert', 'x')], 'error'],
    ['a path', [header(':path', '/x')], 'error'],
    ['a host', [header('Host', 'x')], 'error'],
    ['a header that begins like a host', [header('hostage', 'x')], 'warning'],
    ['another method', [header('X-HTTP-Method-Override', 'DELETE')], 'error'],
    ['another path', [header('x-original-url', '/x')], 'error'],
    ['a session', [header('mcp-session-id', 'x')], 'error'],
    ['a type of the body', [header('content-type', 'x')], 'error'],
    ['a header of the client under another name', [header('x-id', '%REQ(x-user)%')], 'error'],
    ['the same by the other command', [header('x-id', '%REQUEST_HEADER(x-user)%')], 'error'],
    ['a bad header behind others', [header('x-id', '1'), header('mcp-method', 'x')], 'error'],
  ])('of %s', (_what, value, level) => {
    expect(addedLevel(value)).toBe(level);
  });
});

describe('hedgeLevel', () => {
  it.each<[unknown, Level | null]>([
    [undefined, null],
    [{}, null],
    [{ initial_requests: 1 }, null],
    [{ initial_requests: 2 }, 'error'],
    [{ initial_requests: '2' }, 'error'],
    [{ hedge_on_per_try_timeout: true }, 'error'],
    [{ hedge_on_per_try_timeout: false }, null],
    [{ additional_request_chance: { numerator: 0 } }, null],
    [{ additional_request_chance: { numerator: 1, denominator: 'MILLION' } }, 'error'],
  ])('of %j is %p', (value, level) => {
    expect(hedgeLevel(value)).toBe(level);
  });
});

describe('upgradeLevel', () => {
  it.each<[unknown, Level]>([
    ['websocket', 'info'],
    ['WebSocket', 'info'],
    ['CONNECT', 'warning'],
    ['', 'warning'],
    [undefined, 'warning'],
  ])('of %j is %p', (value, level) => {
    expect(upgradeLevel(value)).toBe(level);
  });
});
