import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { authorityFrom, methodFrom, targetFrom } from '../../../../src/sidecar/envoy/check/canonical.ts';
import { headerLineFrom } from '../../../../src/sidecar/envoy/check/header-line.ts';
import { headersFrom as headersOfLines } from '../../../../src/sidecar/envoy/check/headers.ts';
import { MESSAGE_LIMITS } from '../../../../src/sidecar/envoy/limits.ts';
import { pathsOf } from '../../../e2e/bypass-reading.ts';

/** The headers in these lines, pseudo-headers first. */
const headersFrom = (sent: readonly (readonly [string, string])[]) => {
  const headers = headersOfLines(sent.map(([name, value]) => headerLineFrom(name, value)));
  return isDeny(headers) ? headers : new Map([...headers.pseudo, ...headers.byName]);
};
const denial = (reason: string, detail: string) => expect.objectContaining({ kind: 'deny', reason, detail });
const lines = (count: number) => Array.from({ length: count }, (_, index) => [`x-${index}`, ''] as const);
const notCanonical = (detail: string) => denial('request.not-canonical', detail);

describe('methodFrom', () => {
  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'])('accepts %s', (method) => {
    expect(methodFrom(method)).toBe(method);
  });

  it.each(['get', 'Get', 'GET ', '', 'GE\u0000T', 'M-SEARCH', 'A'.repeat(33)])(
    'denies %j as another spelling',
    (method) => {
      expect(methodFrom(method)).toEqual(notCanonical('the method must be in upper-case letters'));
    },
  );

  it.each(['CONNECT', 'TRACE', 'BREW'])('denies %s as unsupported', (method) => {
    expect(methodFrom(method)).toEqual(denial('request.unsupported', `the method \`${method}\` is not supported`));
  });
});

describe('targetFrom', () => {
  it.each([
    ['/', { path: '/', segments: [], query: '' }],
    ['/?', { path: '/', segments: [], query: '' }],
    ['/v1/payments/42', { path: '/v1/payments/42', segments: ['v1', 'payments', '42'], query: '' }],
    ['/v1/', { path: '/v1/', segments: ['v1', ''], query: '' }],
    ['/a?b=/../;&c=?%00', { path: '/a', segments: ['a'], query: 'b=/../;&c=?%00' }],
    ['/a%20b/%C3%A9', { path: '/a%20b/%C3%A9', segments: ['a b', 'é'], query: '' }],
    [
      '/a?method=card&payment[method]=x&my_method',
      { path: '/a', segments: ['a'], query: 'method=card&payment[method]=x&my_method' },
    ],
    ['/a.b/..c/.../d..', { path: '/a.b/..c/.../d..', segments: ['a.b', '..c', '...', 'd..'], query: '' }],
  ])('reads %s', (text, target) => {
    expect(targetFrom(text)).toEqual(target);
  });

  it.each([
    ['', 'the path must start with `/`'],
    ['a', 'the path must start with `/`'],
    ['http://host/a', 'the path must start with `/`'],
    ['/a b', 'the path has a character that is not printable ASCII'],
    ['/a\u0000', 'the path has a character that is not printable ASCII'],
    ['/é', 'the path has a character that is not printable ASCII'],
    ['/a\u007f', 'the path has a character that is not printable ASCII'],
    ['/a?b\n', 'the path has a character that is not printable ASCII'],
    ['/a#b', 'the path has a fragment'],
    ['/a?b#c', 'the path has a fragment'],
    ['/a\\b', 'the path has a backslash'],
    ['//admin', 'the path has an empty segment'],
    ['/a//b', 'the path has an empty segment'],
    ['/admin;x', 'the path has a parameter'],
    ['/..;x=/a', 'the path has a parameter'],
    ['/a%', 'the path has an incomplete escape'],
    ['/a%2', 'the path has an incomplete escape'],
    ['/a%zz', 'the path has an incomplete escape'],
    ['/a%u002f', 'the path has an incomplete escape'],
    ['/a%2fb', 'the path has an escaped `/`, `\\`, `.` or `%`'],
    ['/a%2Fb', 'the path has an escaped `/`, `\\`, `.` or `%`'],
    ['/a%5cb', 'the path has an escaped `/`, `\\`, `.` or `%`'],
    ['/a%252fb', 'the path has an escaped `/`, `\\`, `.` or `%`'],
    ['/%2e%2E/b', 'the path has an escaped `/`, `\\`, `.` or `%`'],
    ['/%61', 'the path has an escape that is not needed'],
    ['/a%5Ab', 'the path has an escape that is not needed'],
    ['/a%37', 'the path has an escape that is not needed'],
    ['/a%7E', 'the path has an escape that is not needed'],
    ['/a%20/b', 'the path has a segment with a blank at its edge'],
    ['/%C2%A0', 'the path has a segment with a blank at its edge'],
    ['/%C2%A8', 'the path has a segment with a blank at its edge'],
    ['/a%3Bx', 'the path has an escaped `;`, `?` or `#`'],
    ['/a%3fx', 'the path has an escaped `;`, `?` or `#`'],
    ['/a%23x', 'the path has an escaped `;`, `?` or `#`'],
    ['/a%EF%BC%8Fb', 'the path has a letter that some take for `/`, `\\`, `.` or the like'],
    ['/%EF%BC%8E%EF%BC%8E/b', 'the path has a letter that some take for `/`, `\\`, `.` or the like'],
    ['/%E2%80%A5/b', 'the path has a letter that some take for `/`, `\\`, `.` or the like'],
    ['/a%E2%88%95b', 'the path has a letter that some take for `/`, `\\`, `.` or the like'],
    ['/a%C2%85b', 'the path has a letter that some take for `/`, `\\`, `.` or the like'],
    ['/a?_method=DELETE', 'the query names another method'],
    ['/a?b&%5FMethod=put', 'the query names another method'],
    ['/a?_met%68od=DELETE', 'the query names another method'],
    ['/a?[_method]=DELETE', 'the query names another method'],
    ['/a?%5B_method%5D=DELETE', 'the query names another method'],
    ['/a?_method[]=DELETE', 'the query names another method'],
    ['/a?_method%00x=DELETE', 'the query names another method'],
    ['/a?.method=DELETE', 'the query names another method'],
    ['/a?%20_method=DELETE', 'the query names another method'],
    ['/a?x;_method=DELETE', 'the query names another method'],
    ['/a?_HttpMethod=PATCH', 'the query names another method'],
    ['/a?X-HTTP-Method-Override=PUT', 'the query names another method'],
    ['/a%00b', 'the path has an escaped control character'],
    ['/a%0d%0ab', 'the path has an escaped control character'],
    ['/a%7F', 'the path has an escaped control character'],
    ['/a/../b', 'the path has a dot segment'],
    ['/a/./b', 'the path has a dot segment'],
    ['/a/..', 'the path has a dot segment'],
    ['/.', 'the path has a dot segment'],
    ['/a/..?b', 'the path has a dot segment'],
    ['/%ff', 'the escapes in the path are not UTF-8'],
    ['/%C0%AF', 'the escapes in the path are not UTF-8'],
  ])('denies %j', (text, detail) => {
    expect(targetFrom(text)).toEqual(notCanonical(detail));
  });

  it('denies the target of the whole server', () => {
    expect(targetFrom('*')).toEqual(denial('request.unsupported', 'the target `*` is not supported'));
  });

  it('denies one character over the limit', () => {
    const longest = `/${'a'.repeat(MESSAGE_LIMITS.targetChars - 1)}`;
    expect(targetFrom(longest)).toMatchObject({ path: longest });
    expect(targetFrom(`${longest}a`)).toEqual(denial('request.too-large', 'the path is longer than 8192 characters'));
  });

  it('gives segments that join to the path they came from, and never a dot or an empty segment in the middle', () => {
    const text = fc.array(fc.constantFrom('/', '.', '%', '2', 'e', 'f', 'a', ';', '\\', '?', '%2e', '%61'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(text, (parts) => {
        const target = targetFrom(`/${parts.join('')}`);
        if (isDeny(target)) return;
        expect(`/${target.segments.join('/')}`).toBe(decodeURIComponent(target.path));
        expect(target.segments.slice(0, -1)).not.toContain('');
        for (const segment of target.segments) expect(segment).not.toMatch(/^\.{1,2}$|[/\\\0]/);
        // The URL parser is not the reference, but where it agrees on the host it must agree on the path.
        expect(new URL(target.path, 'http://h').pathname).toBe(target.path);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('targetFrom, authorityFrom and headersFrom', () => {
  const escape = fc.nat(255).map((byte) => `%${byte.toString(16).padStart(2, '0')}`);
  const letter = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2 }).map((text) => {
    return encodeURIComponent(text.toWellFormed());
  });
  const syntax = fc.constantFrom(
    '/',
    '.',
    '..',
    ';',
    '\\',
    '?',
    '#',
    '%',
    '%2e',
    '%2F',
    '%c0%af',
    '%EF%BC%8F',
    '%252f',
    'a',
  );

  it('accept no path that a lax reader reads differently', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(syntax, escape, letter), { maxLength: 8 }), (parts) => {
        const text = `/${parts.join('')}`;
        const target = targetFrom(text);
        if (isDeny(target)) return;
        const [asIs = '', once, twice] = pathsOf(text);
        const whole = `/${target.segments.join('/')}`.replace(/(?<=.)\/$/, '');
        expect([once, twice]).toEqual([0, 1].map(() => whole.normalize('NFKC').toLowerCase()));
        expect(asIs.split('/')).toHaveLength(whole.split('/').length);
      }),
      { numRuns: 5_000 },
    );
  });

  it('accept no host that a lax reader reads differently', () => {
    const unit = fc.constantFrom(
      'a',
      'B',
      '.',
      ':',
      '1',
      '[',
      ']',
      '_',
      '@',
      '/',
      '\\',
      '#',
      '?',
      ',',
      ' ',
      '%2e',
      'é',
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        const authority = authorityFrom(text);
        if (isDeny(authority) || text.startsWith('[')) return;
        const [read = ''] = (text.split('@').at(-1) ?? '').split(/[/\\#?, ]/);
        expect(authority.host).toBe(read.toLowerCase().replace(/\.?(?::\d+)?$/, ''));
      }),
      { numRuns: 2_000 },
    );
  });

  it('accept no header that a lax reader reads as another or finds twice', () => {
    const name = fc.constantFrom(
      'Content-Length',
      'content_length',
      'host',
      'HOST',
      'x-a',
      'X_A',
      'dpop',
      'x-b ',
      ':path',
    );
    const value = fc.string({ unit: fc.constantFrom('a', ',', '\r', '\n', '\0', '\t', ':', ' '), maxLength: 4 });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 4 }), (sent) => {
        const headers = headersFrom(sent);
        if (isDeny(headers)) return;
        for (const [key, values] of headers) {
          expect(key).toMatch(/^[:a-z-]+$/);
          for (const each of values) expect(each).not.toMatch(/[\r\n\0]/);
          const same = sent.filter(([other]) => other.trim().toLowerCase().replaceAll('_', '-') === key);
          expect(values).toEqual(same.map(([, each]) => each));
          expect(['content-length', 'host', 'dpop', ':path'].includes(key) ? values.length : 1).toBe(1);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('authorityFrom', () => {
  it.each([
    ['api.acme.test', 'api.acme.test', null],
    ['API.Acme.Test', 'api.acme.test', null],
    ['api.acme.test.', 'api.acme.test', null],
    ['api.acme.test:8443', 'api.acme.test', 8443],
    ['api.acme.test.:8443', 'api.acme.test', 8443],
    ['127.0.0.1:1', '127.0.0.1', 1],
    ['[::1]', '[::1]', null],
    ['[2001:DB8::1]:443', '[2001:db8::1]', 443],
    ['my_service', 'my_service', null],
  ])('reads %s', (text, host, port) => {
    expect(authorityFrom(text)).toEqual({ host, port });
  });

  it.each([
    '',
    '.',
    'a..b',
    'a..',
    '.a',
    'user@a',
    'a,b',
    'a b',
    ' a',
    'a\u0000',
    'a:',
    'a:0',
    'a:08',
    'a:x',
    'a:1:2',
    '[::1',
    '::1',
    'a/b',
    'a%2eb',
    'é',
    'a:123456',
    'a\n',
  ])('denies %j', (text) => {
    expect(authorityFrom(text)).toEqual(notCanonical('the host must be a plain name or address with an optional port'));
  });

  it('denies a port out of range and a host over the limit', () => {
    expect(authorityFrom('a:65535')).toEqual({ host: 'a', port: 65_535 });
    expect(authorityFrom('a:65536')).toEqual(notCanonical('the port is out of range'));
    expect(authorityFrom('a'.repeat(262))).toEqual(
      denial('request.too-large', 'the host is longer than 261 characters'),
    );
  });

  it('never throws and is never slow', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', '.', ':', '1', '[', ']', '_', 'İ'), maxLength: 300 }),
        (text) => {
          const authority = authorityFrom(text);
          const host = isDeny(authority) ? '' : authority.host;
          expect(host).toBe(host.toLowerCase());
        },
      ),
    );
  });
});

describe('headersFrom', () => {
  it('keeps values in order under names in lower case', () => {
    const headers = headersFrom([
      ['Accept', 'a'],
      ['x-b', ''],
      ['accept', 'b, c'],
      ['constructor', 'x'],
      [':path', '/a,b'],
    ]);
    expect(headers).toEqual(
      new Map([
        ['accept', ['a', 'b, c']],
        ['x-b', ['']],
        ['constructor', ['x']],
        [':path', ['/a,b']],
      ]),
    );
  });

  it.each([
    'content-encoding',
    'content-length',
    'content-type',
    'dpop',
    'expect',
    'host',
    'mcp-method',
    'mcp-name',
    'mcp-protocol-version',
    'mcp-session-id',
    'transfer-encoding',
    'txn-token',
  ])('denies two of %s, in two lines or in one', (name) => {
    const detail = `the header \`${name}\` has more than one value`;
    expect(headersFrom([[name, 'a']])).toEqual(new Map([[name, ['a']]]));
    expect(
      headersFrom([
        [name, 'a'],
        [name.toUpperCase(), 'a'],
      ]),
    ).toEqual(notCanonical(detail));
    expect(headersFrom([[name, 'a,a']])).toEqual(notCanonical(detail));
  });

  it('denies a pseudo header twice', () => {
    expect(
      headersFrom([
        [':path', '/a'],
        [':path', '/b'],
      ]),
    ).toEqual(notCanonical('the header `:path` has more than one value'));
  });

  it('permits two of `authorization` and of `x-forwarded-client-cert`, which later stages check', () => {
    expect(
      headersFrom([
        ['authorization', 'a'],
        ['authorization', 'b'],
        ['x-forwarded-client-cert', 'a,b'],
      ]),
    ).toEqual(
      new Map([
        ['authorization', ['a', 'b']],
        ['x-forwarded-client-cert', ['a,b']],
      ]),
    );
  });

  it.each([
    ['upgrade', 'websocket'],
    ['upgrade', ''],
    [':protocol', 'websocket'],
    ['connection', 'Upgrade'],
    ['connection', 'keep-alive, UPGRADE'],
    ['connection', 'authorization, upgrade'],
    ['http2-settings', 'AAMAAABk'],
  ])('denies the tunnel of %s: %s', (name, value) => {
    expect(headersFrom([[name, value]])).toEqual(
      denial('request.unsupported', 'the request asks to upgrade the connection'),
    );
  });

  it.each(['close', 'Keep-Alive', 'TE, close', ''])('accepts `connection: %s`', (value) => {
    expect(headersFrom([['connection', value]])).toEqual(new Map([['connection', [value]]]));
  });

  it.each(['authorization', 'close, x-remit-decision', 'keep-alive,txn-token'])('denies `connection: %s`', (value) => {
    expect(headersFrom([['connection', value]])).toEqual(notCanonical('the header `connection` removes other headers'));
  });

  it.each(['mcp_name', 'x_forwarded_client_cert', 'content_length', '__proto__'])(
    'denies the underscore of %s',
    (name) => {
      expect(headersFrom([[name, 'a']])).toEqual(notCanonical('a header name has an underscore'));
    },
  );

  it.each([':status', ':paths', ':x'])('denies the pseudo header %s', (name) => {
    expect(headersFrom([[name, 'a']])).toEqual(notCanonical('a pseudo header is unknown'));
  });

  it.each(['', ':', 'a b', 'a:b', 'a\u0000', 'é', 'a\n'])('denies the name %j', (name) => {
    expect(headersFrom([[name, '']])).toEqual(notCanonical('a header name is not a token'));
  });

  it.each(['\u0000', 'a\r\nb: c', 'a\u007f', '\u001b['])('denies the value %j', (value) => {
    expect(headersFrom([['x-a', value]])).toEqual(notCanonical('the header `x-a` has a control character'));
  });

  it('accepts a tab and letters beyond ASCII', () => {
    expect(headersFrom([['x-a', 'a\té']])).toEqual(new Map([['x-a', ['a\té']]]));
  });

  it('denies one header and one character over the limits', () => {
    expect(isDeny(headersFrom(lines(MESSAGE_LIMITS.headers)))).toBe(false);
    expect(headersFrom(lines(MESSAGE_LIMITS.headers + 1))).toEqual(
      denial('request.too-large', 'more than 256 headers'),
    );
    const value = 'a'.repeat(MESSAGE_LIMITS.headerChars - 1);
    expect(isDeny(headersFrom([['b', value]]))).toBe(false);
    expect(headersFrom([['b', `${value}a`]])).toEqual(
      denial('request.too-large', 'headers of more than 65536 characters'),
    );
  });
});
