import { h2Request, type RawRequest } from './bypass-wire.ts';

/** One way to make an upstream read another call than the one that is checked. */
export interface Shape {
  readonly name: string;
  /** The request, with a token that permits reading one payment and nothing else. */
  readonly request: (token: string, mark: string) => RawRequest;
}

type Fields = readonly (readonly [name: string, value: string])[];

interface Parts {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  /** Raw lines, after the standard ones. */
  readonly lines?: readonly string[];
  readonly body?: string;
  readonly version?: string;
  readonly hangsUp?: boolean;
}

const READ = '/v1/payments/p-1';
const HOST = 'payments.acme.test';
const REFUND = '/v1/payments/p-1/refund';
const SMUGGLED = `POST ${REFUND} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 0\r\n\r\n`;

const h1 = (name: string, parts: Parts): Shape => ({
  name,
  request: (token, mark) => {
    const { method = 'GET', target = READ, host = HOST, lines = [], body = '', version = 'HTTP/1.1', hangsUp } = parts;
    const head = [
      `${method} ${target} ${version}`,
      `Host: ${host}`,
      `Authorization: Bearer ${token}`,
      `X-Shape: ${mark}`,
      ...lines.map((line) => line.replaceAll('TOKEN', token)),
    ];
    const bytes = Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
    return { protocol: 'http/1.1', bytes, ...(hangsUp === undefined ? {} : { hangsUp }) };
  },
});

const h2 = (name: string, fields: Fields, body?: string): Shape => ({
  name: `HTTP/2: ${name}`,
  request: (token, mark) => {
    const given = new Set(fields.map(([field]) => field));
    const usual: Fields = [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':authority', HOST],
      [':path', READ],
    ];
    const pseudo = [
      ...usual.filter(([field]) => !given.has(field)),
      ...fields.filter(([field]) => field.startsWith(':')),
    ];
    const plain = fields.filter(([field]) => !field.startsWith(':'));
    const all: Fields = [...pseudo, ['authorization', `Bearer ${token}`], ['x-shape', mark], ...plain];
    return { protocol: 'h2', bytes: h2Request(all, body) };
  },
});

const paths: readonly (readonly [name: string, target: string])[] = [
  ['dot segment back into another route', '/v1/payments/p-1/x/../refund'],
  ['dot segments out of the tree', '/v1/payments/../../admin'],
  ['dot segment at the end', '/v1/payments/p-1/..'],
  ['single dot segment', '/v1/payments/./p-1'],
  ['doubled slash at the front', '//admin'],
  ['doubled slash and a host', '//evil.test/v1/payments/p-1'],
  ['doubled slash within', '/v1//payments/p-1'],
  ['slash at the end', '/v1/payments/p-1/'],
  ['escaped slash', '/v1/payments/p-1%2frefund'],
  ['escaped slash in upper case', '/v1/payments/p-1%2Frefund'],
  ['escaped backslash', '/v1/payments/p-1%5crefund'],
  ['backslash', '/v1/payments/p-1\\refund'],
  ['escaped dots', '/v1/payments/%2e%2e/%2e%2e/admin'],
  ['half-escaped dots', '/v1/payments/.%2e/admin'],
  ['escaped dots and slash', '/v1/payments/..%2f..%2fadmin'],
  ['escaped twice', '/v1/payments/p-1%252frefund'],
  ['dots escaped twice', '/v1/payments/%252e%252e/admin'],
  ['parameter of a segment', '/v1/payments/p-1;x=1'],
  ['dots with a parameter', '/v1/payments/..;x=/admin'],
  ['dots with a parameter and no value', '/v1/payments/..;/admin'],
  ['escaped parameter', '/v1/payments/..%3b/admin'],
  ['escaped NUL', '/v1/payments/p-1%00'],
  ['escaped NUL before the rest', '/v1/payments/p-1/refund%00.json'],
  ['fragment', '/v1/payments/p-1#/refund'],
  ['fragment before the query', '/v1/payments/p-1#?x'],
  ['escaped fragment', '/admin%23/../v1/payments/p-1'],
  ['escaped question mark', '/v1/payments/p-1%3f/refund'],
  ['overlong slash', '/v1/payments/p-1%c0%afrefund'],
  ['overlong dots', '/v1/payments/%c0%ae%c0%ae/admin'],
  ['overlong slash of three bytes', '/v1/payments/p-1%e0%80%afrefund'],
  ['fullwidth slash', '/v1/payments/p-1%ef%bc%8frefund'],
  ['fullwidth dots', '/v1/payments/%ef%bc%8e%ef%bc%8e/admin'],
  ['two-dot leader', '/v1/payments/%e2%80%a5/admin'],
  ['division slash', '/v1/payments/p-1%e2%88%95refund'],
  ['escape of IIS', '/v1/payments/p-1%u002frefund'],
  ['incomplete escape', '/v1/payments/p-1%2'],
  ['escape with invalid digits', '/v1/payments/p-1%zz'],
  ['escaped line break', '/v1/payments/p-1%0d%0aX-Injected:%201'],
  ['escaped tab', '/v1/payments/p-1%09'],
  ['C1 control character', '/v1/payments/p-1%c2%85'],
  ['bytes beyond ASCII', '/v1/payments/p-1\xff'],
  ['raw fullwidth slash', '/v1/payments/p-1\xef\xbc\x8frefund'],
  ['tab in the target', '/v1/payments/p-1\t/refund'],
  ['space in the target', '/v1/payments/p-1 /refund'],
  ['NUL in the target', '/v1/payments/p-1\0/refund'],
  ['no slash', 'admin'],
  ['empty target', ''],
  ['star', '*'],
  ['path in upper case', '/V1/PAYMENTS/P-1/REFUND'],
  ['absolute form', `http://${HOST}${REFUND}`],
  ['absolute form of another host', `https://files.acme.test${READ}`],
  ['absolute form with a user', `http://${HOST}@evil.test${READ}`],
  ['absolute form without a path', `http://${HOST}?/../admin`],
  ['absolute form of another scheme', `file:///${READ}`],
  ['authority form', `${HOST}:443`],
  ['escaped letters, which mean the same call', '/v1/%70ayments/p-1'],
  ['exclamation mark', '/v1/payments/p-1!'],
  ['query that looks like a path', '/v1/payments/p-1?/../refund'],
  ['query with a method', '/v1/payments/p-1?_method=DELETE'],
  ['query with an escaped method', '/v1/payments/p-1?a=b&%5fmethod=POST'],
  ['two question marks', '/v1/payments/p-1??/refund'],
  ['query with a method whose name is half escaped', '/v1/payments/p-1?_met%68od=DELETE'],
  ['query with a method in brackets', '/v1/payments/p-1?[_method]=DELETE'],
  ['query with a method as a list', '/v1/payments/p-1?_method%5B%5D=DELETE'],
  ['query with a method cut at NUL', '/v1/payments/p-1?_method%00x=DELETE'],
  ['query with a method as PHP mangles it', '/v1/payments/p-1?.method=DELETE'],
  ['query with a method after a blank', '/v1/payments/p-1?+_method=DELETE'],
  ['query with the parameter of the path', '/v1/payments/p-1?id=p-2'],
  ['query with the parameter of the path in brackets', '/v1/payments/p-1?[id]=p-2'],
  ['another route', REFUND],
  ['another route beside the parameter', '/v1/payments/export'],
  ['another route in upper case', '/v1/payments/EXPORT'],
  ['another route in both cases', '/v1/payments/Export'],
  ['another route with an extension', '/v1/payments/export.json'],
  ['another route in upper case with an extension', '/v1/payments/EXPORT.JSON'],
  ['another route with a dot at its end', '/v1/payments/export.'],
  ['another server of the host', '/v1/payments/vault'],
  ['another server of the host, below its path', '/v1/payments/vault/x'],
  ['another server of the host in upper case', '/v1/payments/VAULT'],
  ['another server of the host in both cases', '/v1/payments/Vault'],
  ['another server of the host with an extension', '/v1/payments/vault.json'],
  ['another server of the host with a verb', '/v1/payments/vault:read'],
  ['another server of the host with a slash at the end', '/v1/payments/VAULT/'],
  ['another server of the host after dot segments', '/v1/payments/p-1/../vault'],
  ['another server of the host after escaped dot segments', '/v1/payments/p-1/%2e%2e/VAULT'],
  ['another server of the host after a doubled slash', '/v1/payments//vault'],
  ['another server of the host with an escaped slash', '/v1/payments%2fvault'],
  ['another server of the host with an escaped slash in its path', '/v1/payments/vault%2Fx'],
  ['another server of the host in escaped letters', '/v1/payments/%76ault'],
  ['another server of the host in escaped capitals', '/v1/payments/%56AULT'],
  ['another server of the host in fullwidth letters', '/v1/payments/%ef%bd%96ault'],
  ['another server of the host with a parameter', '/v1/payments/vault;x=1'],
  ['another server of the host with NUL', '/v1/payments/vault%00'],
  ['out of another server of the host', '/v1/payments/vault/../p-1'],
  ['out of another server of the host, escaped', '/v1/payments/vault/%2e%2e/p-1'],
  ['another route with a verb', '/v1/payments/export:run'],
  ['another route in fullwidth letters', '/v1/payments/%ef%bc%a5xport'],
  ['verb of the parameter', '/v1/payments/p-1:export'],
  ['extension of the parameter', '/v1/payments/p-1.json'],
];

const methods: readonly string[] = ['get', 'Get', 'gET', 'PoSt', 'POST', 'TRACE', 'TRACK', 'BREW', 'GET\t', 'PROPFIND'];

const hosts: readonly (readonly [name: string, host: string])[] = [
  ['in upper case', 'PAYMENTS.ACME.TEST'],
  ['with a port', `${HOST}:443`],
  ['with an invalid port', `${HOST}:x`],
  ['with an empty port', `${HOST}:`],
  ['with a trailing dot', `${HOST}.`],
  ['with a user', `user@${HOST}`],
  ['as a user', `${HOST}@files.acme.test`],
  ['in a list', `${HOST}, files.acme.test`],
  ['with a path', `${HOST}/admin`],
  ['with a fragment', `${HOST}#.evil.test`],
  ['escaped', 'payments%2eacme.test'],
  ['empty', ''],
  ['of another server', 'files.acme.test'],
  ['of nobody', 'admin.acme.test'],
  ['with a backslash', `${HOST}\\@files.acme.test`],
];

const headers: readonly (readonly [name: string, lines: readonly string[]])[] = [
  ['second host', ['Host: files.acme.test']],
  ['folded line', ['X-A: b', ' Host: files.acme.test']],
  ['space before the colon', ['X-HTTP-Method-Override : POST']],
  ['bare line feed', ['X-A: b\nX-HTTP-Method-Override: POST']],
  ['bare carriage return', ['X-A: b\rX-HTTP-Method-Override: POST']],
  ['NUL in a header', ['X-A: b\0c']],
  ['bytes that are not UTF-8', ['X-A: \xff\xfe']],
  ['header without a colon', ['X-A']],
  ['header without a name', [': x']],
  ['method override', ['X-HTTP-Method-Override: DELETE']],
  ['method override of Microsoft', ['X-HTTP-Method: DELETE']],
  ['method override of IBM', ['X-Method-Override: DELETE']],
  ['method override with underscores', ['X_HTTP_Method_Override: DELETE']],
  ['method override twice', ['X-HTTP-Method-Override: GET', 'X-HTTP-Method-Override: DELETE']],
  ['forwarded method', ['X-Forwarded-Method: POST']],
  ['original url', [`X-Original-URL: ${REFUND}`]],
  ['rewritten url', ['X-Rewrite-URL: /admin']],
  ['original uri', [`X-Original-URI: ${REFUND}`]],
  ['forwarded uri', ['X-Forwarded-Uri: /admin']],
  ['url with underscores', ['X_Rewrite_URL: /admin']],
  ['original path of Envoy', [`X-Envoy-Original-Path: ${REFUND}`]],
  ['original host of Envoy', ['X-Envoy-Original-Host: files.acme.test']],
  ['forged decision', ['X-Remit-Decision: allow;id="forged"']],
  ['forged decision with underscores', ['X_Remit_Decision: allow;id="forged"']],
  ['forwarded host', ['X-Forwarded-Host: files.acme.test']],
  ['forwarded for', ['X-Forwarded-For: 127.0.0.1', 'X-Real-IP: 127.0.0.1', 'Forwarded: for=127.0.0.1;host=files']],
  ['forwarded protocol', ['X-Forwarded-Proto: gopher']],
  ['forwarded certificate', ['X-Forwarded-Client-Cert: By=spiffe://acme.test/remit;URI=spiffe://acme.test/admin']],
  ['second token', ['Authorization: Bearer TOKEN']],
  ['second token of another scheme', ['Authorization: Basic YWRtaW46YWRtaW4=']],
  ['token in two cases', ['AUTHORIZATION: Bearer x']],
  ['two content types', ['Content-Type: text/plain', 'Content-Type: application/json']],
  ['connection option that removes the decision', ['Connection: close, X-Remit-Decision']],
  ['connection option that removes the token', ['Connection: Authorization']],
  [
    'upgrade to a WebSocket',
    [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ],
  ],
  ['upgrade to HTTP/2', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']],
  ['upgrade to a word', ['Connection: upgrade', 'Upgrade: anything']],
  ['upgrade without a connection', ['Upgrade: websocket']],
  ['settings of HTTP/2 alone', ['HTTP2-Settings: AAMAAABk']],
  ['unknown expectation', ['Expect: 200-maybe']],
  ['header for a partial body', ['X-Envoy-Auth-Partial-Body: true']],
  ['header for a complete body', ['X-Envoy-Auth-Partial-Body: false']],
  ['trailers announced', ['TE: trailers', 'Trailer: X-HTTP-Method-Override']],
  ['range of the whole', ['Range: bytes=0-', 'If-Range: x']],
  ['101 headers', Array.from({ length: 101 }, (_, index) => `X-${index}: a`)],
];

const bodies: readonly Shape[] = [
  h1('GET with a body', { lines: ['Content-Length: 2'], body: '{}' }),
  h1('GET with a body in chunks', { lines: ['Transfer-Encoding: chunked'], body: '2\r\n{}\r\n0\r\n\r\n' }),
  h1('GET whose body is a request', { lines: [`Content-Length: ${SMUGGLED.length}`], body: SMUGGLED }),
  h1('a request after the request', { body: SMUGGLED }),
  h1('a request after an announced nothing', { lines: ['Content-Length: 0'], body: SMUGGLED }),
  h1('length and chunks', {
    lines: [`Content-Length: ${5 + SMUGGLED.length}`, 'Transfer-Encoding: chunked'],
    body: `0\r\n\r\n${SMUGGLED}`,
  }),
  h1('chunks and a short length', {
    lines: ['Transfer-Encoding: chunked', 'Content-Length: 4'],
    body: `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  }),
  h1('two lengths', { lines: ['Content-Length: 0', `Content-Length: ${SMUGGLED.length}`], body: SMUGGLED }),
  h1('two lengths in one line', { lines: [`Content-Length: 0, ${SMUGGLED.length}`], body: SMUGGLED }),
  h1('length with a sign', { lines: ['Content-Length: +0'], body: SMUGGLED }),
  h1('length in hexadecimal', { lines: ['Content-Length: 0x0'], body: SMUGGLED }),
  h1('length with an underscore', { lines: [`Content_Length: ${SMUGGLED.length}`], body: SMUGGLED }),
  h1('length with a space', { lines: [`Content-Length : ${SMUGGLED.length}`], body: SMUGGLED }),
  ...['xchunked', 'chunked, identity', 'identity', 'chunked\x0b', '"chunked"', 'gzip, chunked', ' \tchunked'].map(
    (coding) =>
      h1(`transfer encoding ${JSON.stringify(coding)}`, {
        lines: [`Transfer-Encoding:${coding}`],
        body: `0\r\n\r\n${SMUGGLED}`,
      }),
  ),
  h1('transfer encoding twice', {
    lines: ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
    body: `0\r\n\r\n${SMUGGLED}`,
  }),
  h1('chunk extension with a line feed', {
    lines: ['Transfer-Encoding: chunked'],
    body: `0;\nx\r\n\r\n${SMUGGLED}`,
  }),
  h1('chunk length beyond 64 bits', {
    lines: ['Transfer-Encoding: chunked'],
    body: `10000000000000000\r\n\r\n${SMUGGLED}`,
  }),
  h1('trailer that overrides', {
    lines: ['Transfer-Encoding: chunked', 'Trailer: X-HTTP-Method-Override'],
    body: '0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n',
  }),
  h1('body cut short', { lines: ['Content-Length: 100'], body: '{', hangsUp: true }),
  h1('chunks cut short', { lines: ['Transfer-Encoding: chunked'], body: '5\r\nab', hangsUp: true }),
  h1('compressed body', { lines: ['Content-Encoding: gzip', 'Content-Length: 2'], body: '\x1f\x8b' }),
  h1('encoding without a body', { lines: ['Content-Encoding: br'] }),
  h1('CONNECT', { method: 'CONNECT', target: `${HOST}:443` }),
  h1('CONNECT with a path', { method: 'CONNECT', target: READ }),
  h1('HTTP/1.0', { version: 'HTTP/1.0' }),
  h1('HTTP/0.9', { version: '' }),
  h1('HTTP/1.1 in lower case', { version: 'http/1.1' }),
  h1('HTTP/9.9', { version: 'HTTP/9.9' }),
  h1('words after the target', { version: `HTTP/1.1 ${REFUND} HTTP/1.1` }),
];

const http2: readonly Shape[] = [
  h2('a plain read', []),
  h2('method in lower case', [[':method', 'get']]),
  h2('method with a request in it', [[':method', `POST ${REFUND} HTTP/1.1\r\nx: GET`]]),
  h2('path with a request in it', [[':path', `${READ} HTTP/1.1\r\nx-http-method-override: POST\r\nx: `]]),
  h2('path with a space', [[':path', `${READ} /refund`]]),
  h2('path with a fragment', [[':path', `${READ}#/refund`]]),
  h2('path with a backslash', [[':path', '/v1/payments/p-1\\refund']]),
  h2('path without a slash', [[':path', 'admin']]),
  h2('empty path', [[':path', '']]),
  h2('two paths', [
    [':path', READ],
    [':path', REFUND],
  ]),
  h2('two methods', [
    [':method', 'GET'],
    [':method', 'POST'],
  ]),
  h2('two authorities', [
    [':authority', HOST],
    [':authority', 'files.acme.test'],
  ]),
  h2('a host beside the authority', [['host', 'files.acme.test']]),
  h2('the same host beside the authority', [['host', HOST]]),
  h2('an authority with a user', [[':authority', `x@${HOST}`]]),
  h2('an authority with a path', [[':authority', `${HOST}/admin?`]]),
  h2('another scheme', [[':scheme', 'gopher']]),
  h2('a scheme with a url in it', [[':scheme', `https://${HOST}/admin?`]]),
  h2('an unknown pseudo header', [[':x', 'a']]),
  h2('a status', [[':status', '200']]),
  h2('CONNECT with a path', [[':method', 'CONNECT']]),
  h2('CONNECT with a protocol', [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
  ]),
  h2('a name in upper case', [['X-HTTP-Method-Override', 'POST']]),
  h2('a name with a line break', [['x-a: b\r\nx-http-method-override', 'POST']]),
  h2('a value with a line break', [['x-a', 'b\r\nx-http-method-override: POST']]),
  h2('a value with a request in it', [['x-a', `b\r\n\r\n${SMUGGLED}`]]),
  h2('chunks', [['transfer-encoding', 'chunked']], `0\r\n\r\n${SMUGGLED}`),
  h2('a length that is short', [['content-length', '0']], SMUGGLED),
  h2('a length that is long', [['content-length', '9999']], '{}'),
  h2('a connection header', [['connection', 'x-remit-decision']]),
  h2('GET with a body', [], '{}'),
  h2('method override', [['x-http-method-override', 'DELETE']]),
];

/** The shapes, taken from advisories of proxies, authorization servers and upstreams. */
export const shapes: readonly Shape[] = [
  ...paths.map(([name, target]) => h1(`path: ${name}`, { target })),
  ...methods.map((method) => h1(`method: ${JSON.stringify(method)}`, { method })),
  ...hosts.map(([name, host]) => h1(`host ${name}`, { host })),
  ...headers.map(([name, lines]) => h1(`header: ${name}`, { lines })),
  ...bodies,
  ...http2,
];
