import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import {
  base64url,
  certificateSha256,
  ed25519Key,
  es256Key,
  nowSeconds,
  rs256Key,
  type TestKey,
} from '../../builders/tokens.ts';
import { twinOf } from './twin.ts';

/** The draft of a token, with its verification keys. */
export interface Draft {
  readonly header: Record<string, unknown>;
  readonly claims: Record<string, unknown>;
  /** Changes to the encoded parts, and to the token. */
  readonly headerText: ((text: string) => string)[];
  readonly payloadBytes: ((bytes: Buffer) => Buffer)[];
  readonly compact: ((text: string) => string)[];
  /** The published key set. */
  jwks: Record<string, unknown>[];
  key: TestKey;
  signature: (input: string, key: TestKey) => Buffer;
}

/** A change of a token. */
export interface Change {
  readonly name: string;
  readonly to: (draft: Draft) => void;
}

export const keys = {
  es: es256Key('es'),
  other: es256Key('es'),
  second: es256Key('es-2'),
  ed: ed25519Key('ed'),
  rs: rs256Key('rs'),
  weak: rs256Key('weak', 1024),
  exponent3: ((): TestKey => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'e3', alg: 'RS256', use: 'sig' };
    return { algorithm: 'RS256', keyId: 'e3', privateKey, jwk };
  })(),
  p384: ((): TestKey => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'p384', alg: 'ES256', use: 'sig' };
    return { algorithm: 'ES256', keyId: 'p384', privateKey, jwk };
  })(),
};

const digestOf = (key: TestKey): 'sha256' | null => (key.algorithm === 'Ed25519' ? null : 'sha256');
const raw = (input: string, key: TestKey): Buffer =>
  sign(digestOf(key), Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
const der = (input: string, key: TestKey): Buffer =>
  sign(digestOf(key), Buffer.from(input), { key: key.privateKey, dsaEncoding: 'der' });

/** A valid token with these claims. */
export const draftOf = (claims: Readonly<Record<string, unknown>>, typ: string): Draft => ({
  header: { typ, alg: 'ES256', kid: 'es' },
  claims: structuredClone(claims),
  headerText: [],
  payloadBytes: [],
  compact: [],
  jwks: structuredClone([keys.es.jwk, keys.ed.jwk, keys.rs.jwk]),
  key: keys.es,
  signature: raw,
});

/** The token of a draft. */
export function tokenOf(draft: Draft): string {
  const header = draft.headerText.reduce((text, change) => change(text), JSON.stringify(draft.header));
  const payload = draft.payloadBytes.reduce<Buffer>(
    (bytes, change) => change(bytes),
    Buffer.from(JSON.stringify(draft.claims)),
  );
  const input = `${base64url(header)}.${base64url(payload)}`;
  const compact = `${input}.${base64url(draft.signature(input, draft.key))}`;
  return draft.compact.reduce((text, change) => change(text), compact);
}

/** Changes a part of a compact token: 0 the header, 1 the payload, 2 the signature. */
const part =
  (index: number, change: (text: string) => string) =>
  (compact: string): string =>
    compact
      .split('.')
      .map((text, at) => (at === index ? change(text) : text))
      .join('.');

const shown = (value: unknown): string => (value === undefined ? 'left out' : JSON.stringify(value).slice(0, 40));

const header = (name: string, value: unknown): Change => ({
  name: `header ${name} ${shown(value)}`,
  to: (draft) => void (draft.header[name] = value),
});
const claim = (name: string, value: unknown): Change => ({
  name: `claim ${name} ${shown(value)}`,
  to: (draft) => void (draft.claims[name] = value),
});
const payload = (name: string, change: (text: string) => string): Change => ({
  name: `payload ${name}`,
  to: (draft) => void draft.payloadBytes.push((bytes) => Buffer.from(change(bytes.toString('utf8')))),
});
const compact = (name: string, change: (text: string) => string): Change => ({
  name: `compact ${name}`,
  to: (draft) => void draft.compact.push(change),
});
const signature = (name: string, change: (bytes: Buffer) => Buffer): Change => ({
  name: `signature ${name}`,
  to: (draft) => {
    const before = draft.signature;
    draft.signature = (input, key) => change(before(input, key));
  },
});
const signedBy = (name: string, key: TestKey, jwk: 'published' | 'unknown'): Change => ({
  name: `signed by ${name}`,
  to: (draft) => {
    draft.key = key;
    draft.header['alg'] = key.algorithm;
    draft.header['kid'] = key.keyId;
    if (jwk === 'published') draft.jwks = [...draft.jwks.filter(({ kid }) => kid !== key.keyId), { ...key.jwk }];
  },
});
const jwk = (name: string, members: Readonly<Record<string, unknown>>): Change => ({
  name: `key with ${name}`,
  to: (draft) => {
    draft.jwks = draft.jwks.map((one) => (one['kid'] === draft.header['kid'] ? { ...one, ...members } : one));
  },
});
const hmacWith = (secret: string | Buffer): Draft['signature'] => {
  return (input) => createHmac('sha256', secret).update(input).digest();
};
const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const replaced = (text: string, at: number, by: string): string => text.slice(0, at) + by + text.slice(at + by.length);

/** Header members, keys, algorithms, encodings and claims that parsers are known to treat differently. */
export const changes: readonly Change[] = [
  { name: 'nothing', to: () => undefined },
  // Headers.
  ...[
    'none',
    'None',
    '',
    'HS256',
    'ES256K',
    'ES384',
    'EdDSA',
    'PS256',
    'RS256',
    'Ed25519',
    'es256',
    1,
    null,
    ['ES256'],
  ].map((alg) => header('alg', alg)),
  ...[undefined, null, '', 'unknown', 'ed', 'ES', 1, ['es'], 'k'.repeat(257), '__proto__', '../../es'].map((kid) =>
    header('kid', kid),
  ),
  ...[
    'JWT',
    'jwt',
    'AT+JWT',
    'application/at+jwt',
    'APPLICATION/AT+JWT',
    'secevent+jwt',
    'dpop+jwt',
    '',
    1,
    null,
    undefined,
  ].map((typ) => header('typ', typ)),
  ...[[], ['exp'], ['b64'], ['x'], 'b64', {}, null, ['b64', 'b64']].map((crit) => header('crit', crit)),
  ...[true, false, 'true', null].map((b64) => header('b64', b64)),
  { name: 'b64 true and critical', to: (draft) => void Object.assign(draft.header, { b64: true, crit: ['b64'] }) },
  { name: 'b64 false and critical', to: (draft) => void Object.assign(draft.header, { b64: false, crit: ['b64'] }) },
  header('zip', 'DEF'),
  header('cty', 'JWT'),
  header('jku', 'https://evil.test/jwks'),
  header('x5u', 'https://evil.test/cert'),
  header('x5c', ['MIIB']),
  header('x5t#S256', certificateSha256),
  header('unknown', { a: [1] }),
  {
    name: 'a key of its own in the header',
    to: (draft) => {
      draft.key = keys.other;
      draft.header['jwk'] = keys.other.jwk;
    },
  },
  ...['{"alg":"none",', '{"kid":"es","kid":"ed",', '{"x":1,"x":1,', ' {', '\uFEFF{', '[{'].map((begin): Change => ({
    name: `header text ${JSON.stringify(begin)}`,
    to: (draft) => void draft.headerText.push((text) => begin + text.slice(1)),
  })),
  { name: 'header not JSON', to: (draft) => void draft.headerText.push(() => 'x') },
  { name: 'header a list', to: (draft) => void draft.headerText.push((text) => `[${text}]`) },
  { name: 'header with more after it', to: (draft) => void draft.headerText.push((text) => `${text}{}`) },
  // Encodings.
  compact('with a fourth part', (text) => `${text}.`),
  compact('of two parts', (text) => text.slice(0, text.lastIndexOf('.'))),
  compact('with a space before it', (text) => ` ${text}`),
  compact('with a line after it', (text) => `${text}\n`),
  compact('without signature', (text) => `${text.slice(0, text.lastIndexOf('.'))}.`),
  ...[0, 1, 2].flatMap((index) => [
    compact(
      `with padding in part ${index}`,
      part(index, (text) => text + '='.repeat((4 - (text.length % 4)) % 4 || 4)),
    ),
    compact(
      `with a line break in part ${index}`,
      part(index, (text) => `${text.slice(0, 8)}\n${text.slice(8)}`),
    ),
    compact(
      `with a space in part ${index}`,
      part(index, (text) => `${text.slice(0, 8)} ${text.slice(8)}`),
    ),
    compact(
      `in plain Base64 in part ${index}`,
      part(index, (text) => text.replaceAll('-', '+').replaceAll('_', '/')),
    ),
    compact(`with bits after the end of part ${index}`, part(index, withTrailingBits)),
    compact(
      `with another letter in part ${index}`,
      part(index, (text) => replaced(text, 10, text[10] === 'A' ? 'B' : 'A')),
    ),
    compact(
      `cut in part ${index}`,
      part(index, (text) => text.slice(0, -1)),
    ),
    compact(
      `with a character beyond ASCII in part ${index}`,
      part(index, (text) => replaced(text, 9, 'é')),
    ),
  ]),
  // Signatures.
  compact('as its twin', twinOf),
  { name: 'signature in DER', to: (draft) => void (draft.signature = der) },
  signature('of zeros', (bytes) => Buffer.alloc(bytes.length)),
  signature('cut', (bytes) => bytes.subarray(0, -1)),
  signature('longer', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
  signature('with zeros before it', (bytes) => Buffer.concat([Buffer.alloc(1), bytes])),
  signature('with a bit changed', (bytes) => Buffer.from(bytes.map((byte, at) => (at === 5 ? byte ^ 1 : byte)))),
  // Keys.
  signedBy('an Ed25519 key', keys.ed, 'published'),
  signedBy('an RSA key', keys.rs, 'published'),
  signedBy('another key of the same id', keys.other, 'unknown'),
  signedBy('a key that is not published', keys.second, 'unknown'),
  signedBy('a second key', keys.second, 'published'),
  signedBy('an RSA key of 1,024 bits', keys.weak, 'published'),
  signedBy('an RSA key of exponent 3', keys.exponent3, 'published'),
  signedBy('a P-384 key that calls itself ES256', keys.p384, 'published'),
  {
    name: 'signed with the public key as a secret',
    to: (draft) => {
      draft.header['alg'] = 'HS256';
      draft.signature = hmacWith(JSON.stringify(keys.es.jwk));
    },
  },
  {
    name: 'signed with a secret that is published',
    to: (draft) => {
      draft.header['alg'] = 'HS256';
      draft.header['kid'] = 'oct';
      draft.jwks = [...draft.jwks, { kty: 'oct', k: base64url('secret'), kid: 'oct', alg: 'HS256' }];
      draft.signature = hmacWith('secret');
    },
  },
  { name: 'no key', to: (draft) => void (draft.jwks = []) },
  { name: 'two keys of one id', to: (draft) => void (draft.jwks = [...draft.jwks, { ...keys.other.jwk }]) },
  { name: 'two keys of one kind', to: (draft) => void (draft.jwks = [...draft.jwks, { ...keys.second.jwk }]) },
  { name: 'the same key twice', to: (draft) => void (draft.jwks = [...draft.jwks, { ...keys.es.jwk }]) },
  {
    name: 'one key alone',
    to: (draft) => void (draft.jwks = draft.jwks.filter(({ kid }) => kid === draft.header['kid'])),
  },
  { name: 'a weak key beside it', to: (draft) => void (draft.jwks = [...draft.jwks, { ...keys.weak.jwk }]) },
  {
    name: 'a private key beside it',
    to: (draft) =>
      void (draft.jwks = [...draft.jwks, { ...keys.second.privateKey.export({ format: 'jwk' }), kid: 'private' }]),
  },
  {
    name: 'an entry that is no key',
    to: (draft) => void (draft.jwks = [...draft.jwks, { kty: 'x' }]),
  },
  jwk('no kid', { kid: undefined }),
  jwk('no alg', { alg: undefined }),
  jwk('no use', { use: undefined }),
  jwk('another alg', { alg: 'ES384' }),
  jwk('an alg of another kind', { alg: 'RS256' }),
  jwk('the use of encryption', { use: 'enc' }),
  jwk('an empty use', { use: '' }),
  jwk('its use as a number', { use: 1 }),
  jwk('the operation of signing', { key_ops: ['sign'] }),
  jwk('the operation of verifying', { key_ops: ['verify'] }),
  jwk('the operation of verifying twice', { key_ops: ['verify', 'verify'] }),
  jwk('both operations', { key_ops: ['sign', 'verify'] }),
  jwk('operations of both uses', { key_ops: ['verify', 'encrypt'] }),
  jwk('operations that are none', { key_ops: 'verify' }),
  jwk('an operation as a number', { key_ops: ['verify', 1] }),
  jwk('no operation', { key_ops: [] }),
  jwk('an `ext` that is no boolean', { ext: 'true' }),
  jwk('an `ext`', { ext: false }),
  jwk('a secret half', { d: base64url('d'.repeat(32)) }),
  jwk('a certificate', { x5c: ['MIIB'] }),
  jwk('a coordinate that is longer', { x: `AA${String(keys.es.jwk['x'])}` }),
  jwk('a coordinate with padding', { x: `${String(keys.es.jwk['x'])}=` }),
  jwk('a coordinate of nothing', { x: '' }),
  jwk('a point that is not on the curve', { y: keys.es.jwk['x'] }),
  jwk('another curve', { crv: 'P-384' }),
  jwk('another type', { kty: 'RSA' }),
  jwk('its type in other case', { kty: 'ec' }),
  // Times.
  ...['exp', 'iat', 'nbf'].flatMap((name) =>
    [
      undefined,
      null,
      String(nowSeconds),
      nowSeconds + 0.5,
      1e300,
      -1,
      0,
      nowSeconds - 4_000,
      nowSeconds - 100,
      nowSeconds - 6,
      nowSeconds - 5,
      nowSeconds - 4,
      nowSeconds,
      nowSeconds + 5,
      nowSeconds + 6,
      nowSeconds + 61,
      nowSeconds + 1_000,
      nowSeconds + 100_000,
      [nowSeconds],
    ].map((value) => claim(name, value)),
  ),
  payload('with exp as 1e400', (text) => text.replace(/"exp":\d+/, '"exp":1e400')),
  payload('with exp as a fraction of zeros', (text) => text.replace(/"exp":(\d+)/, '"exp":$1.0')),
  payload('with exp in powers', (text) => text.replace(/"exp":(\d+)/, '"exp":$1e0')),
  payload('with iat as -0', (text) => text.replace(/"iat":\d+/, '"iat":-0')),
  // Claims.
  ...['iss', 'aud', 'sub', 'client_id', 'jti', 'txn', 'scope', 'cnf', 'act', 'events', 'authorization_details'].flatMap(
    (name) =>
      [undefined, null, '', 'x', 1, {}, [], ['x'], [''], 'x'.repeat(600), 'a\u0000b', 'a\ud800b', true].map((value) =>
        claim(name, value),
      ),
  ),
  ...['https://evil.test', 'https://remit.acme.test/', 'HTTPS://REMIT.ACME.TEST', 'https://idp.acme.test'].map((iss) =>
    claim('iss', iss),
  ),
  { name: 'its audience in a list', to: ({ claims }) => void (claims['aud'] = [claims['aud']].flat()) },
  {
    name: 'its audience among others',
    to: ({ claims }) => void (claims['aud'] = [claims['aud'], 'https://b.test'].flat()),
  },
  { name: 'its audience twice', to: ({ claims }) => void (claims['aud'] = [claims['aud'], claims['aud']].flat()) },
  { name: 'its audience beside a number', to: ({ claims }) => void (claims['aud'] = [claims['aud'], 1].flat()) },
  { name: 'its audience in a list of lists', to: ({ claims }) => void (claims['aud'] = [[claims['aud']]]) },
  claim('cnf', { 'x5t#S256': certificateSha256 }),
  claim('cnf', { jkt: certificateSha256 }),
  claim('cnf', { kid: 'x' }),
  claim('act', { sub: 'x' }),
  claim('may_act', { sub: 'x' }),
  claim('own', { a: ['b', { c: createHash('sha256').digest('hex') }] }),
  claim('own', nested(31)),
  claim('own', nested(40)),
  claim('own', 'x'.repeat(9_000)),
  claim('__proto__', { iss: 'x' }),
  payload('with a second iss', (text) => `{"iss":"https://evil.test",${text.slice(1)}`),
  payload('with a second exp', (text) => `{"exp":1,${text.slice(1)}`),
  payload('with a second member within', (text) => `{"own":{"a":1,"a":2},${text.slice(1)}`),
  payload('with a second name in escapes', (text) => `{"\\u0069ss":"https://evil.test",${text.slice(1)}`),
  payload('with its names in escapes', (text) => text.replace('"iss"', '"\\u0069ss"')),
  payload('with a byte order mark', (text) => `\uFEFF${text}`),
  payload('with white space around it', (text) => ` \n${text}\t`),
  payload('with more after it', (text) => `${text}{}`),
  payload('with a comma too many', (text) => text.replace(/\}$/, ',}')),
  payload('with a comment', (text) => text.replace('{', '{/**/')),
  payload('in a list', (text) => `[${text}]`),
  payload('as text', (text) => JSON.stringify(text)),
  payload('of nothing', () => ''),
  payload('of null', () => 'null'),
  {
    name: 'payload with a byte that is not UTF-8',
    to: (draft) =>
      void draft.payloadBytes.push((bytes) =>
        Buffer.concat([bytes.subarray(0, -1), Buffer.from(',"x":"'), Buffer.from([0xff]), Buffer.from('"}')]),
      ),
  },
  {
    name: 'payload in UTF-16',
    to: (draft) => void draft.payloadBytes.push((bytes) => Buffer.from(bytes.toString('utf8'), 'utf16le')),
  },
];

/** Sets the unused bits of the last character, where it has any. */
function withTrailingBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  if (text.length % 4 === 0 || text === '') return text;
  return text.slice(0, -1) + (alphabet[alphabet.indexOf(text.at(-1) ?? 'A') | 1] ?? 'A');
}
