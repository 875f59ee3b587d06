import { describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import type { DecodedCheckRequest } from '../../../../src/sidecar/envoy/check/check-request.ts';
import { DecodedHeader } from '../../../../src/sidecar/envoy/check/decoded-header.ts';
import { checkFactsFrom } from '../../../../src/sidecar/envoy/check/request.ts';
import { must } from '../../../builders/must.ts';

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const http = { method: 'GET', path: '/v1/a?b=c', host: 'API.test:8443', scheme: 'https' };
const pseudo = { ':method': 'GET', ':path': '/v1/a?b=c', ':authority': 'API.test:8443', ':scheme': 'https' };

type Headers = Readonly<Record<string, string>>;
const asMap = (headers: Headers, over: object = {}): DecodedCheckRequest => ({
  attributes: { request: { http: { ...http, headers, ...over } } },
});
const asList = (
  headers: readonly (readonly [string, string | Uint8Array])[],
  over: object = {},
): DecodedCheckRequest => {
  const entries = headers.map(([key, value]) => new DecodedHeader({ key, raw_value: Buffer.from(value) }));
  return { attributes: { request: { http: { ...http, header_map: { headers: entries }, ...over } } } };
};
const shapes = [
  ['headers', (headers: Headers, over?: object) => asMap(headers, over)],
  ['header_map', (headers: Headers, over?: object) => asList(Object.entries(headers), over)],
] as const;
const denial = (reason: string, detail: string) => expect.objectContaining({ kind: 'deny', reason, detail });

const withPeer = (source: object, namespace = 'remit'): DecodedCheckRequest => {
  const fields = { peer_certificate: { stringValue: 'PEM' } };
  const metadata_context = { filter_metadata: { [namespace]: { fields } } };
  return { attributes: { ...asMap(pseudo).attributes, source, metadata_context } };
};

describe('checkFactsFrom', () => {
  it.each(shapes)('reads a call with headers in the form `%s`', (_shape, request) => {
    const source = {
      principal: 'spiffe://acme.test/a',
      certificate: 'PEM',
      address: { socket_address: { address: '10.0.0.1', port_value: 5 } },
    };
    const headers = { ...pseudo, authorization: 'Bearer x', 'x-request-id': 'r-1', traceparent };
    const { attributes } = request({ ...headers, 'x-forwarded-client-cert': 'By=a' });
    expect(checkFactsFrom({ attributes: { ...attributes, source } }, traceparent)).toEqual({
      peer: { principal: 'spiffe://acme.test/a', certificate: 'PEM', xfcc: ['By=a'] },
      call: {
        method: 'GET',
        scheme: 'https',
        host: 'api.test',
        port: 8443,
        path: '/v1/a',
        segments: ['v1', 'a'],
        query: 'b=c',
        headers: new Map([
          ['authorization', ['Bearer x']],
          ['x-request-id', ['r-1']],
          ['traceparent', [traceparent]],
          ['x-forwarded-client-cert', ['By=a']],
        ]),
        body: null,
        requestId: 'r-1',
      },
      trace: { parent: traceparent, application: traceparent },
      sourceAddress: '10.0.0.1',
      sourcePort: 5,
    });
  });

  it('keeps repeated headers separate if they arrive separately', () => {
    const facts = checkFactsFrom(
      asList([
        ['authorization', 'Bearer a'],
        ['Authorization', 'Bearer b'],
      ]),
      null,
    );
    expect(facts).toMatchObject({ call: { headers: new Map([['authorization', ['Bearer a', 'Bearer b']]]) } });
    const merged = checkFactsFrom(asMap({ authorization: 'Bearer a,Bearer b' }), null);
    expect(merged).toMatchObject({ call: { headers: new Map([['authorization', ['Bearer a,Bearer b']]]) } });
  });

  it('reads a header of `header_map` with `value` instead of `raw_value`', () => {
    const header_map = {
      headers: [new DecodedHeader({ key: 'x-a', value: 'b' }), new DecodedHeader({ key: 'x-empty' })],
    };
    const facts = checkFactsFrom({ attributes: { request: { http: { ...http, header_map } } } }, null);
    expect(facts).toMatchObject({
      call: {
        headers: new Map([
          ['x-a', ['b']],
          ['x-empty', ['']],
        ]),
      },
    });
  });

  it.each([
    ['null', {}],
    ['no attributes', { attributes: {} }],
    ['no request', { attributes: { source: {} } }],
    ['a TCP connection', { attributes: { request: {} } }],
  ])('denies %s', (_name, request) => {
    expect(checkFactsFrom(request, null)).toEqual(denial('request.unsupported', 'the request is not HTTP'));
  });

  it.each([
    [
      'both forms of headers',
      { headers: { a: 'b' }, header_map: { headers: [new DecodedHeader({ key: 'a' })] } },
      'both `headers` and `header_map` are set',
    ],
    ['neither shape', { headers: {}, header_map: { headers: [] } }, '`headers` or `header_map` must be set'],
    [
      'a header with two values',
      { header_map: { headers: [new DecodedHeader({ key: 'a', value: 'b', raw_value: Buffer.from('b') })] } },
      'a header has two values',
    ],
    [
      'both forms of bodies',
      { headers: { a: 'b' }, body: 'a', raw_body: Buffer.from('a') },
      'both `body` and `raw_body` are set',
    ],
  ])('denies %s', (_name, over, detail) => {
    expect(checkFactsFrom({ attributes: { request: { http: { ...http, ...over } } } }, null)).toEqual(
      denial('request.malformed', detail),
    );
  });

  it.each([
    ['a header value that is not UTF-8', asList([['x-a', Buffer.from([0xff])]]), 'a header value is not UTF-8'],
    ['a NUL in a header', asMap({ 'x-a': '\0' }), 'the header `x-a` has a control character'],
    ['a path unlike `:path`', asMap({ ':path': '/other' }), 'the header `:path` differs from the request'],
    ['a method unlike `:method`', asMap({ ':method': 'POST' }), 'the header `:method` differs from the request'],
    [
      'a host unlike `:authority`',
      asMap({ ':authority': 'api.test' }),
      'the header `:authority` differs from the request',
    ],
    ['another `host` header', asMap({ host: 'other' }), 'the header `host` differs from the request'],
    ['an invalid scheme', asMap({ a: '' }, { scheme: 'HTTPS' }), 'the scheme is not http or https'],
    ['no scheme', asMap({ a: '' }, { scheme: '' }), 'the scheme is not http or https'],
    ['no method', asMap({ a: '' }, { method: '' }), 'the method must be in upper-case letters'],
    ['no path', asMap({ a: '' }, { path: '' }), 'the path must start with `/`'],
    ['no host', asMap({ a: '' }, { host: '' }), 'the host must be a plain name or address with an optional port'],
    [
      'a `!` that may replace a byte',
      asMap({ a: '' }, { path: '/a!' }),
      'the path has a `!`, which in this form also stands for a byte that was replaced',
    ],
  ])('denies %s', (_name, request, detail) => {
    expect(checkFactsFrom(request, null)).toEqual(denial('request.not-canonical', detail));
  });

  it('accepts a `!` if the raw bytes are known, and in a query', () => {
    expect(checkFactsFrom(asList([['a', '']], { path: '/a!' }), null)).toMatchObject({ call: { path: '/a!' } });
    expect(checkFactsFrom(asMap({ a: '' }, { path: '/a?b!' }), null)).toMatchObject({ call: { query: 'b!' } });
  });

  it.each([
    ['principal', { principal: 'spiffe://a\0' }],
    ['certificate', { certificate: '\0' }],
  ])('denies a NUL in the %s', (_name, source) => {
    const request = { attributes: { ...asMap({ a: 'b' }).attributes, source } };
    expect(checkFactsFrom(request, null)).toEqual(denial('request.not-canonical', 'the peer has a NUL character'));
  });

  it('denies a certificate that is too long', () => {
    const request = { attributes: { ...asMap({ a: 'b' }).attributes, source: { certificate: 'a'.repeat(32_769) } } };
    expect(checkFactsFrom(request, null)).toEqual(
      denial('request.too-large', 'a certificate of more than 32768 characters'),
    );
  });

  it.each(shapes)('denies an upgrade and CONNECT in `%s`', (_shape, request) => {
    expect(checkFactsFrom(request({ upgrade: 'websocket', connection: 'upgrade' }), null)).toMatchObject({
      reason: 'request.unsupported',
    });
    expect(checkFactsFrom(request({ ':method': 'CONNECT' }, { method: 'CONNECT', path: '' }), null)).toMatchObject({
      reason: 'request.unsupported',
    });
  });

  const inspected = { 'x-envoy-auth-partial-body': 'false' };
  it.each([
    ['as bytes', { raw_body: Buffer.from('{"a":1}') }, Buffer.from('{"a":1}')],
    ['as text', { body: '{"é":1}' }, Buffer.from('{"é":1}')],
    ['and is empty', {}, Buffer.alloc(0)],
  ])('returns a body that arrived %s', (_name, over, body) => {
    const facts = checkFactsFrom(asMap(inspected, { method: 'POST', ...over }), null);
    expect(Buffer.from((!isDeny(facts) && facts.call.body) || 'none')).toEqual(
      body.length === 0 ? Buffer.alloc(0) : body,
    );
  });

  it.each([
    ['null of a gRPC message that came as text, in which numbers were replaced', { body: '!!' }, null],
    ['a gRPC message that came as bytes', { raw_body: Buffer.from([255]) }, [255]],
  ])('returns %s', (_name, over, body) => {
    const headers = { ...inspected, 'content-type': 'application/grpc+proto' };
    const facts = must(checkFactsFrom(asMap(headers, { method: 'POST', ...over }), null));
    expect(facts.call.body && [...facts.call.body]).toEqual(body);
  });

  const posted = { method: 'POST' };
  it.each<readonly [string, Headers, object, string, string]>([
    ['a GET whose body was seen', inspected, { body: 'a' }, 'request.not-canonical', 'a GET request has content'],
    ['a GET with a length', { 'content-length': '5' }, {}, 'request.not-canonical', 'a GET request has content'],
    [
      'a HEAD in chunks',
      { 'transfer-encoding': 'chunked' },
      { method: 'HEAD' },
      'request.not-canonical',
      'a HEAD request has content',
    ],
    [
      'two lengths',
      { 'content-length': '5,5' },
      posted,
      'request.not-canonical',
      'the header `content-length` has more than one value',
    ],
    [
      'a length with a sign',
      { 'content-length': '+5' },
      posted,
      'request.not-canonical',
      'the `content-length` must be a number',
    ],
    [
      'a length in hexadecimal',
      { 'content-length': '0x5' },
      posted,
      'request.not-canonical',
      'the `content-length` must be a number',
    ],
    [
      'a length beside chunks',
      { 'content-length': '5', 'transfer-encoding': 'chunked' },
      posted,
      'request.not-canonical',
      'there is a `content-length` beside `transfer-encoding`',
    ],
    [
      'two transfer encodings',
      { 'transfer-encoding': 'gzip, chunked' },
      posted,
      'request.not-canonical',
      'the header `transfer-encoding` has more than one value',
    ],
    [
      'a transfer encoding of another name',
      { 'transfer-encoding': 'xchunked' },
      posted,
      'request.not-canonical',
      'the `transfer-encoding` must be `chunked`',
    ],
    [
      'a truncated body',
      { ...inspected, 'content-length': '9' },
      { ...posted, body: '{}' },
      'request.body-incomplete',
      'the body and its `content-length` differ in length',
    ],
    [
      "a body that was inspected by the caller's claim",
      { ...inspected, 'content-length': '9' },
      posted,
      'request.body-incomplete',
      'the body and its `content-length` differ in length',
    ],
    [
      'a body longer than announced',
      { ...inspected, 'content-length': '1' },
      { ...posted, body: '{}' },
      'request.body-incomplete',
      'the body and its `content-length` differ in length',
    ],
    ['a compressed body', { 'content-encoding': 'gzip' }, posted, 'request.unsupported', 'the body is compressed'],
    [
      'a body compressed by an unknown encoding',
      { 'content-encoding': '' },
      posted,
      'request.unsupported',
      'the body is compressed',
    ],
    [
      'a body compressed twice',
      { 'content-encoding': 'identity, br' },
      posted,
      'request.not-canonical',
      'the header `content-encoding` has more than one value',
    ],
    [
      'an expectation that is unknown',
      { expect: '200-ok' },
      posted,
      'request.unsupported',
      'the `expect` header must be `100-continue`',
    ],
  ])('denies %s', (_name, headers, over, reason, detail) => {
    for (const [, request] of shapes) {
      expect(checkFactsFrom(request(headers, over), null)).toEqual(denial(reason, detail));
    }
  });

  it.each<readonly [string, Headers, object]>([
    ['a length of null on a GET', { 'content-length': '0' }, {}],
    ['chunks', { ...inspected, 'transfer-encoding': 'Chunked' }, { ...posted, body: '{}' }],
    ['the announced length', { ...inspected, 'content-length': '3' }, { ...posted, body: 'é!' }],
    ['a DELETE with a body', { ...inspected, 'content-length': '2' }, { method: 'DELETE', body: '{}' }],
    ['a length if no body is seen', { 'content-length': '3' }, posted],
    ['a body that is not compressed', { 'content-encoding': 'Identity' }, posted],
    ['an expectation that is known', { expect: '100-Continue' }, posted],
  ])('accepts %s', (_name, headers, over) => {
    for (const [, request] of shapes) expect(isDeny(checkFactsFrom(request(headers, over), null))).toBe(false);
  });

  it.each([
    ['x-http-method-override', 'DELETE', 'method'],
    ['x-http-method', 'get', 'method'],
    ['x-method-override', '', 'method'],
    ['x-original-method', 'POST', 'method'],
    ['x-forwarded-method', 'POST', 'method'],
    ['x-original-url', '/admin', 'path'],
    ['x-original-uri', '/v1/a', 'path'],
    ['x-rewrite-url', '/v1/a?b=c&d', 'path'],
    ['x-forwarded-uri', '//v1/a?b=c', 'path'],
  ])('denies %s that differs from the request', (name, value, what) => {
    const same = what === 'method' ? http.method : http.path;
    for (const [, request] of shapes) {
      expect(checkFactsFrom(request({ [name]: value }), null)).toEqual(
        denial('request.not-canonical', `the header \`${name}\` names another ${what}`),
      );
      expect(checkFactsFrom(request({ [name]: same }), null)).toMatchObject({ call: { method: 'GET' } });
    }
    const twice = asList([
      [name, same],
      [name, value],
    ]);
    expect(checkFactsFrom(twice, null)).toMatchObject({ reason: 'request.not-canonical' });
  });

  it('returns no body if Envoy does not report it as complete', () => {
    expect(checkFactsFrom(asMap({ a: '' }, { body: 'a' }), null)).toMatchObject({ call: { body: null } });
  });

  it.each(['true', '', 'FALSE', 'false,false'])('denies a partial body: %j', (value) => {
    expect(checkFactsFrom(asMap({ 'x-envoy-auth-partial-body': value }, { body: 'a' }), null)).toEqual(
      denial('request.body-incomplete', 'a part of the body was sent to the check'),
    );
  });

  it('denies a body that reaches the limit, which Envoy may report as complete', () => {
    const rules = { partialBodyBytes: 4 };
    expect(checkFactsFrom(asMap(inspected, { ...posted, body: 'abc' }), null, rules)).toMatchObject({
      call: { method: 'POST' },
    });
    expect(checkFactsFrom(asMap(inspected, { ...posted, body: 'abcd' }), null, rules)).toEqual(
      denial(
        'request.body-incomplete',
        'the body reaches the limit of 4 bytes, and no `content-length` says that it ends there',
      ),
    );
  });

  // Issue 14: a complete body of exactly the limit was denied.
  it.each([
    ['that is announced', { 'content-length': '4' }, true],
    ['that is announced as longer', { 'content-length': '5' }, false],
    ['that is announced as shorter', { 'content-length': '3' }, false],
    ['that is announced in another spelling', { 'content-length': '04' }, false],
    ['that comes in chunks', { 'transfer-encoding': 'chunked' }, false],
  ])('treats a body of exactly the limit %s as complete: %j', (_name, headers, isWhole) => {
    const facts = checkFactsFrom(asMap({ ...inspected, ...headers }, { ...posted, body: 'abcd' }), null, {
      partialBodyBytes: 4,
    });
    if (isWhole) expect(facts).toMatchObject({ call: { body: Buffer.from('abcd') } });
    else expect(facts).toMatchObject({ kind: 'deny', reason: 'request.body-incomplete' });
  });

  it.each([
    ['another version, longer', `${traceparent}-x`],
    ['upper case', traceparent.toUpperCase()],
    ['no trace', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
    ['no span', `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`],
    ['the invalid version', `ff${traceparent.slice(2)}`],
  ])('leaves out a traceparent with %s', (_name, text) => {
    expect(checkFactsFrom(asMap({ traceparent: text }), text)).toMatchObject({
      trace: { parent: null, application: null },
    });
  });

  describe('with the certificate in the metadata', () => {
    const rules = { partialBodyBytes: null, certificateFrom: 'metadata' } as const;
    const principal = 'spiffe://acme.test/a';

    it('reads it there, and nowhere else', () => {
      expect(checkFactsFrom(withPeer({ principal }), null, rules)).toMatchObject({ peer: { certificate: 'PEM' } });
      expect(checkFactsFrom(withPeer({ principal }), null)).toMatchObject({ peer: { certificate: '' } });
      expect(checkFactsFrom(withPeer({ principal }, 'other'), null, rules)).toMatchObject({
        peer: { certificate: '' },
      });
    });

    it('denies a certificate beside it', () => {
      expect(checkFactsFrom(withPeer({ principal, certificate: 'PEM' }), null, rules)).toEqual(
        denial('identity.conflict', 'the peer certificate was sent, though it is configured to be in the metadata'),
      );
    });
  });

  it.each([
    ['its whole size', { size: 3 }, 'abc'],
    ['no size', {}, null],
    ['another size', { size: 4 }, null],
    ['the size of a partial body', { size: -1 }, null],
  ])('takes a body without a mark for whole with %s alone', (_name, size, expected) => {
    const facts = checkFactsFrom(asMap(pseudo, { ...size, method: 'GET', raw_body: Buffer.from('abc') }), null);
    const post = { ...pseudo, ':method': 'POST' };
    const posted = checkFactsFrom(asMap(post, { ...size, method: 'POST', raw_body: Buffer.from('abc') }), null);
    if (expected === null) {
      expect(posted).toEqual(denial('request.body-incomplete', 'a part of the body was sent to the check'));
    } else expect(posted).toMatchObject({ call: { body: Buffer.from(expected) } });
    expect(isDeny(facts)).toBe(true);
  });

  it('denies a partial body that is marked as a whole body', () => {
    const headers = { ...pseudo, 'x-envoy-auth-partial-body': 'false' };
    expect(checkFactsFrom(asMap(headers, { size: -1, raw_body: Buffer.from('abc') }), null)).toEqual(
      denial('request.body-incomplete', 'a part of the body was sent to the check'),
    );
  });

  it('leaves out invalid or repeated identifiers and addresses', () => {
    const twice = asList([
      ['traceparent', traceparent],
      ['traceparent', traceparent],
      ['x-request-id', 'a b'],
    ]);
    const source = { address: { socket_address: { address: 'name' } } };
    expect(checkFactsFrom({ attributes: { ...twice.attributes, source } }, null)).toMatchObject({
      call: { requestId: null },
      trace: { parent: null, application: null },
      sourceAddress: null,
      sourcePort: null,
    });
  });
});
