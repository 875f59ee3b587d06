import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { cutText, shownText, staticSecretsIn } from '../../../../src/core/action/secrets/static-secret.ts';
import type { StaticSecret } from '../../../../src/core/action/secrets/static-secret.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { costRatio } from '../../../costs.ts';

const nowMs = Date.UTC(2026, 10, 24, 12);
const nowSeconds = nowMs / 1000;
const HOUR = 3600;

const search = { nowMs, digestOf: (secret: string) => `keyed:${createHash('sha256').update(secret).digest('hex')}` };

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: unknown): string => `${base64url({ alg: 'ES256' })}.${base64url(claims)}.c2ln`;
const eternal = jwt({ sub: 'ci' });
const short = jwt({ sub: 'ci', exp: nowSeconds + 300 });
const github = `ghp_${'aB3'.repeat(12)}`;

const inHeaders = (headers: Readonly<Record<string, string>>): readonly StaticSecret[] =>
  staticSecretsIn(
    { headers: new Map(Object.entries(headers).map(([name, value]) => [name, [value]])), query: '', segments: [] },
    search,
  );
const inQuery = (query: string): readonly StaticSecret[] =>
  staticSecretsIn({ headers: new Map(), query, segments: [] }, search);
const inPath = (...segments: string[]): readonly StaticSecret[] =>
  staticSecretsIn({ headers: new Map(), query: '', segments }, search);
const seen = (secrets: readonly StaticSecret[]) =>
  secrets.map(({ kind, where, name }) => `${kind} in ${where} ${name}`);

const shapes: readonly (readonly [kind: string, secret: string])[] = [
  ['jwt', eternal],
  ['jwt', jwt({ exp: nowSeconds + 24 * HOUR + 1 })],
  ['jwt', jwt({ exp: '1' })],
  ['aws-access-key', 'AKIAIOSFODNN7EXAMPLE'],
  ['github-token', github],
  ['github-token', `github_pat_${'A1'.repeat(11)}_${'b2'.repeat(29)}`],
  ['gitlab-token', `glpat-${'x1'.repeat(10)}`],
  ['slack-token', `xoxb-${'1'.repeat(12)}-${'a'.repeat(24)}`],
  ['stripe-key', `sk_live_${'a1'.repeat(12)}`],
  ['sk-key', `sk-proj-${'a1'.repeat(20)}`],
  ['google-api-key', `AIza${'a'.repeat(35)}`],
  ['npm-token', `npm_${'a1'.repeat(18)}`],
  ['hugging-face-token', `hf_${'a'.repeat(34)}`],
  ['sendgrid-key', `SG.${'a'.repeat(22)}.${'b'.repeat(43)}`],
];

const shown = (text: string): string => shownText(text, (secret) => `<${secret.length}>`);

describe('shownText', () => {
  it.each<[string, string, string]>([
    ['a key in a path', `/v1/${github}/x`, `/v1/<${github.length}>/x`],
    ['a password below its name in a query', '/v1?password[value]=hunter2', '/v1?password[value]=<7>'],
    ['a password of a user in a query', '/v1?user%5Bpassword%5D=hunter2', '/v1?user%5Bpassword%5D=<7>'],
    ['a JWT of a short life, as a task token is', `/v1/${short}`, `/v1/<${short.length}>`],
    [
      'two secrets, the first of them twice',
      `/${github}/${eternal}/${github}`,
      `/<${github.length}>/<${eternal.length}>/<${github.length}>`,
    ],
    ['a key in the query of a URI', `https://a.test/x?b=1&api_key=hunter2`, `https://a.test/x?b=1&api_key=<7>`],
    ['a password in a URI', 'postgres://me:hunter2@db.test/x', 'postgres://me:<7>@db.test/x'],
    ['a password with an `@` in it', 'postgres://me:hunt@er2@db.test/x', 'postgres://me:<8>@db.test/x'],
    ['the second of two passwords', 'a://me@x/b://me:hunter2@db', 'a://me@x/b://me:<7>@db'],
    ['a password behind a scheme that was cut', '://me:hunter2@db.test', '://me:<7>@db.test'],
    ['a key that is encoded, of which no part is shown', `/v1/ghp%5f${'aB3'.repeat(12)}`, `<${github.length + 6}>`],
    ['a key in a message', `no route matches \`GET /v1/${github}\``, `no route matches \`GET /v1/<${github.length}>\``],
    ['nothing of the kind', '/v1/payments/p-1?x=1', '/v1/payments/p-1?x=1'],
  ])('puts a digest in the place of %s', (_name, text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  it('shows no secret, at any place and in any number', () => {
    const secret = fc.constantFrom(github, eternal, short);
    const piece = fc.oneof(secret, fc.constantFrom('v1', 'a.b', '', 'x%20y', 'é', 'a?b', 'k=v', '@', ':'));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.constantFrom('/', '&', '?', '/x?y='), (pieces, between) => {
        const text = shown(pieces.join(between));
        for (const one of [github, eternal, short]) expect(text).not.toContain(one);
      }),
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: anyCharacter }), (text) => void shown(text)));
  });

  it('never truncates within a credential', () => {
    expect(cutText(`/v1/${eternal}`, 20)).toBe('(not shown: it contains a credential)');
    expect(cutText(`/v1/${'x'.repeat(40)}`, 20)).toBe(`/v1/${'x'.repeat(16)}`);
    expect(cutText(`/${github}`, 200)).toBe(`/${github}`);
  });
});

describe('staticSecretsIn', () => {
  it('finds secrets in path segments, and names the segment', () => {
    expect(seen(inPath('v1', github, 'x'))).toEqual(['github-token in path segment 2']);
    expect(seen(inPath(eternal))).toEqual(['jwt in path segment 1']);
    expect(seen(inPath('v1', short, 'p-1'))).toEqual([]);
  });

  it.each(shapes)('finds a %s at every place: %s', (kind, secret) => {
    expect(seen(inHeaders({ authorization: `Bearer ${secret}` }))).toEqual([`${kind} in header authorization`]);
    expect(seen(inHeaders({ 'x-api-key': secret }))).toEqual([`${kind} in header x-api-key`]);
    expect(seen(inHeaders({ cookie: `a=b; session=${secret}; c=d` }))).toEqual([`${kind} in header cookie`]);
    expect(seen(inHeaders({ 'x-of-ours': `"${secret}"` }))).toEqual([`${kind} in header x-of-ours`]);
    expect(seen(inQuery(`a=b&q=${encodeURIComponent(secret)}`))).toEqual([`${kind} in query q`]);
    expect(seen(inQuery(secret))).toEqual([`${kind} in query ?`]);
    expect(new Set([...inHeaders({ 'x-api-key': secret }), ...inQuery(`q=${secret}`)].map((s) => s.digest)).size).toBe(
      1,
    );
  });

  it.each([
    ['basic', { authorization: 'Basic dXNlcjpwYXNz' }, 'basic in header authorization'],
    ['basic of a proxy', { 'proxy-authorization': 'basic dXNlcjpwYXNz' }, 'basic in header proxy-authorization'],
    ['another scheme', { authorization: 'ApiKey 12345' }, 'api-key in header authorization'],
    [
      'a signature that names a key',
      { authorization: 'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/x' },
      'aws-access-key in header authorization',
    ],
    ['x-api-key', { 'x-api-key': 'hunter2' }, 'api-key in header x-api-key'],
    ['api-key', { 'api-key': 'hunter2' }, 'api-key in header api-key'],
    ['x-auth-token', { 'x-auth-token': 'hunter2' }, 'api-key in header x-auth-token'],
    ['private-token', { 'private-token': 'hunter2' }, 'api-key in header private-token'],
    ['a private key', { 'x-pem': '-----BEGIN EC PRIVATE KEY-----MHcC' }, 'private-key in header x-pem'],
  ])('finds %s by its place', (_name, headers, expected) => {
    expect(seen(inHeaders(headers))).toEqual([expected]);
  });

  it.each([
    ['api_key=hunter2', 'api-key in query api_key'],
    ['API-KEY=hunter2', 'api-key in query api-key'],
    ['access%5Ftoken=hunter2', 'api-key in query access_token'],
    ['x=1&password=hunter2', 'api-key in query password'],
    ['key=a1b2c3d4e5f6a7b8c9d0', 'api-key in query key'],
    ['token=a1b2c3d4e5f6a7b8c9d0', 'api-key in query token'],
  ])('finds the parameter in %s', (query, expected) => {
    expect(seen(inQuery(query))).toEqual([expected]);
  });

  it.each([
    ['a short-lived token', { authorization: `Bearer ${short}`, 'x-access-token': short, cookie: `s=${short}` }, ''],
    ['a token that has expired', { authorization: `Bearer ${jwt({ exp: 1 })}` }, ''],
    ['a proof of possession', { dpop: jwt({ iat: nowSeconds, htm: 'GET' }) }, ''],
    ['an opaque token, which the token stage refuses', { authorization: 'Bearer secret' }, ''],
    ['the answer to a challenge', { authorization: 'Negotiate YIIZ' }, ''],
    ['ids and traces', { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, 'idempotency-key': 'k-1' }, ''],
    ['pages and objects', {}, 'key=photos/1.png&token=2&page_token=a1b2c3d4e5f6a7b8c9d0e1'],
    ['empty values', { 'x-api-key': '', authorization: 'Basic ' }, 'api_key=&access_token'],
  ])('lets %s be', (_name, headers, query) => {
    const given = new Map(Object.entries(headers).map(([name, value]): [string, string[]] => [name, [value]]));
    expect(staticSecretsIn({ headers: given, query, segments: [] }, search)).toEqual([]);
  });

  it.each([
    'sk-learn-getting-started-guide',
    'xoxo-greeting-cards-2026',
    'sk-Learn-Iris-part2-of-10',
    'glpat-rotation-how-to-for-teams',
    'github_pat_documentation_for_beginners',
    'SG.getting-started-guide.introduction-to-things',
  ])('takes words with the prefix of a key for words (issue 37, point 21): %s', (words) => {
    expect([...inPath(words), ...inHeaders({ 'x-title': words }), ...inQuery(`q=${words}`)]).toEqual([]);
  });

  it.each([
    ['slack-token', 'xoxp-2026-1234567890-abcdef'],
    ['slack-token', 'xoxe-greeting-4f9a1c77be20'],
    ['sk-key', `sk-ant-api03-${'x'.repeat(40)}`],
    ['sk-key', 'sk-getting-started-9f8e7d6c5b4a'],
    ['sk-key', `sk-${'abcdefghij'.repeat(4)}`],
    ['gitlab-token', 'glpat-xYz-AbC-dEfGhIjK_lMn'],
  ])('takes for a %s what no words spell: %s', (kind, key) => {
    expect(seen(inPath(key))).toEqual([`${kind} in path segment 1`]);
  });

  it('returns only digests of a secret', () => {
    const secrets = [
      ...inHeaders({ 'x-api-key': github, authorization: 'Basic dXNlcjpwYXNz' }),
      ...inQuery(`${github}=1`),
    ];
    expect(secrets).toHaveLength(3);
    expect(JSON.stringify(secrets)).not.toMatch(/ghp_|dXNl/i);
    for (const { digest, sha256 } of secrets) {
      expect(digest).toMatch(/^keyed:[0-9a-f]{64}$/);
      expect(sha256).toMatch(/^sha-256:[A-Za-z0-9_-]{43}$/);
    }
  });

  it.each([
    ['words', 'eyJ.'],
    ['one word', 'eyJa'],
    ['keys', `${github} `],
    ['a key without an end', 'sk-'.padEnd(2_048, 'a')],
    ['beginnings of a private key', '-----BEGIN A '],
  ])('looks through %s in time that grows as they do, and finds 16 secrets at most', (_name, piece) => {
    const lookingThrough = (bytes: number, times: number) => () => {
      const value = piece.repeat(bytes / piece.length);
      for (let n = 0; n < times; n += 1) {
        const { length } = inHeaders({ 'x-api-key': value, cookie: value });
        if (length > 16) throw new Error(`${length} secrets`);
      }
    };
    expect(costRatio(lookingThrough(1_048_576, 1), lookingThrough(65_536, 16))).toBeLessThan(4);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), fc.string({ unit: anyCharacter }), (value, query) => {
        staticSecretsIn(
          {
            headers: new Map([
              ['authorization', [value]],
              ['x', [value]],
            ]),
            query,
            segments: [value, query],
          },

          search,
        );
      }),
    );
  });
});
