import { describe, expect, it } from '@jest/globals';
import { fieldNamedAs, fieldOf } from '../../../src/sidecar/http2/header-field.ts';
import { areTrailers, contentLengthOf, requestHeadFrom } from '../../../src/sidecar/http2/request-head.ts';

type Line = readonly [name: string, value: string];

const head = (...lines: readonly Line[]) => requestHeadFrom(lines.map(([name, value]) => fieldOf(name, value)));
const PSEUDO: readonly Line[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/a'],
];
const whole = (...lines: readonly Line[]) => head(...PSEUDO, ...lines);

describe('requestHeadFrom', () => {
  it('returns method, path and headers, with repeated headers joined', () => {
    const lines: readonly Line[] = [
      ['a', '1'],
      ['b', ''],
      ['a', '2'],
      ['cookie', 'c=1'],
      ['te', 'trailers'],
      ['cookie', 'd=2'],
      ['__proto__', 'x'],
    ];
    expect(whole([':authority', 'x'], ...lines)).toEqual({
      method: 'POST',
      path: '/a',
      headers: new Map([
        ['a', '1, 2'],
        ['b', ''],
        ['cookie', 'c=1; d=2'],
        ['te', 'trailers'],
        ['__proto__', 'x'],
      ]),
    });
  });

  it.each<[string, ReturnType<typeof head>]>([
    ['nothing', head()],
    ['no method', head([':scheme', 'http'], [':path', '/'])],
    ['no scheme', head([':method', 'GET'], [':path', '/'])],
    ['no path', head([':method', 'GET'], [':scheme', 'http'])],
    ['an empty path', head([':method', 'GET'], [':scheme', 'http'], [':path', ''])],
    ['a tunnel', head([':method', 'CONNECT'], [':authority', 'a:1'])],
    ['a pseudo header twice', whole([':path', '/b'])],
    ['a pseudo header after a header', head([':method', 'GET'], [':scheme', 'http'], ['a', 'b'], [':path', '/'])],
    ['a pseudo-header of responses', whole([':status', '200'])],
    ['an unknown pseudo-header', whole([':protocol', 'websocket'])],
    ['only a colon for a name', whole([':', 'a'])],
    ['an empty name', whole(['', 'a'])],
    ['a name with a capital', whole(['Name', 'a'])],
    ['a name with a blank', whole(['na me', 'a'])],
    ['a name with a colon', whole(['na:me', 'a'])],
    ['a name with a line in it', whole(['na\nme', 'a'])],
    ['a name with a byte over 127', whole(['na\xe9', 'a'])],
    ['a value with a line feed', whole(['a', 'b\nc: d'])],
    ['a value with a carriage return', whole(['a', 'b\rc'])],
    ['a value with a NUL', whole(['a', 'b\0c'])],
    ['a value that begins with a blank', whole(['a', ' b'])],
    ['a value that ends with a tab', whole(['a', 'b\t'])],
    ['a line feed in a pseudo header', head([':method', 'GET\n'], [':scheme', 'http'], [':path', '/'])],
    ['a header of a connection', whole(['connection', 'close'])],
    ['a proxy’s header of a connection', whole(['proxy-connection', 'close'])],
    ['chunks', whole(['transfer-encoding', 'chunked'])],
    ['an upgrade', whole(['upgrade', 'h2c'])],
    ['a keep-alive', whole(['keep-alive', '1'])],
    ['another value than trailers in `te`', whole(['te', 'trailers, gzip'])],
  ])('finds a request with %s malformed', (_name, found) => {
    expect(found).toBeNull();
  });

  it('finds a field malformed that refers to a malformed name', () => {
    const fields = PSEUDO.map(([name, value]) => fieldOf(name, value));
    expect(requestHeadFrom([...fields, fieldNamedAs(fieldOf('Name', 'a'), 'b')])).toBeNull();
    expect(requestHeadFrom([...fields, fieldNamedAs(fieldOf('name', ' a'), 'b')])?.headers.get('name')).toBe('b');
    expect(requestHeadFrom([...fields, fieldNamedAs(fieldOf('name', 'a'), ' b')])).toBeNull();
  });
});

describe('areTrailers', () => {
  it.each<[string, readonly Line[], boolean]>([
    ['nothing', [], true],
    ['headers', [['a', 'b']], true],
    ['a pseudo header', [[':path', '/']], false],
    ['a malformed name', [['A', 'b']], false],
    ['a malformed value', [['a', 'b\n']], false],
  ])('judges %s', (_name, lines, are) => {
    expect(areTrailers(lines.map(([name, value]) => fieldOf(name, value)))).toBe(are);
  });
});

describe('contentLengthOf', () => {
  it.each([
    ['0', 0],
    ['007', 7],
    ['999999999999999', 999_999_999_999_999],
    ['1000000000000000', 'malformed'],
    ['', 'malformed'],
    ['-1', 'malformed'],
    ['+1', 'malformed'],
    ['1e3', 'malformed'],
    ['0x10', 'malformed'],
    ['5, 5', 'malformed'],
    ['5 ', 'malformed'],
    ['５', 'malformed'],
  ])('of `%s` is %s', (text, length) => {
    expect(contentLengthOf({ method: 'GET', path: '/', headers: new Map([['content-length', text]]) })).toBe(length);
  });

  it('is `null` if it is absent', () => {
    expect(contentLengthOf({ method: 'GET', path: '/', headers: new Map() })).toBeNull();
  });
});
