import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { forbiddenSecret, passingHeaders } from '../../../../src/core/action/secrets/excepted-secret.ts';
import { sha256Of, staticSecretsIn } from '../../../../src/core/action/secrets/static-secret.ts';
import type { StaticSecretException } from '../../../../src/core/action/secrets/static-secret-exception.ts';
import { es256Key, mint } from '../../../builders/tokens.ts';

const nowMs = Date.UTC(2026, 10, 24, 12);
const untilMs = Date.UTC(2026, 10, 25);
const digestOf = (secret: string): string => `keyed:${secret.length}:${secret.at(-1)}`;

type Headers = Readonly<Record<string, string | readonly string[]>>;

const callWith = (headers: Headers, query = '') => ({
  headers: new Map(Object.entries(headers).map(([name, values]) => [name, [values].flat()])),
  query,
});
const secretsIn = (headers: Headers, query = '') =>
  staticSecretsIn({ ...callWith(headers, query), segments: [] }, { nowMs, digestOf });
const exceptionFor = (over: Partial<StaticSecretException>): StaticSecretException => ({
  digest: null,
  header: null,
  owner: 'team payments',
  untilMs,
  place: { file: 'actions.yaml', line: 1, column: 1 },
  ...over,
});

const basicOf = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

describe('forbiddenSecret', () => {
  const [secret] = secretsIn({ 'x-api-key': 'hunter2' });
  if (secret === undefined) throw new Error('no secret');
  const exception = exceptionFor({ header: 'x-api-key' });

  it.each([
    ['no exception', [], nowMs, secret],
    ['the exception of its header', [exception], nowMs, null],
    ['the exception of its digest', [exceptionFor({ digest: secret.digest })], nowMs, null],
    ['the exception of its SHA-256', [exceptionFor({ digest: sha256Of('hunter2') })], nowMs, null],
    ['the last moment of its last day', [exception], untilMs - 1, null],
    ['the day after', [exception], untilMs, secret],
    ['the exception of another header', [{ ...exception, header: 'api-key' }], nowMs, secret],
    ['the exception of another secret', [{ ...exception, digest: 'sha-256:x' }], nowMs, secret],
  ])('by %s', (_name, exceptions, atMs, expected) => {
    expect(forbiddenSecret([secret], { exceptions, nowMs: atMs })).toBe(expected);
  });

  it('does not apply the exception of a header to a parameter', () => {
    const now = { exceptions: [{ ...exception, header: 'api_key' }], nowMs };
    expect(forbiddenSecret(secretsIn({}, 'api_key=1'), now)).not.toBeNull();
  });

  it('stops the call if the search reached its limit', () => {
    const now = { exceptions: [exception], nowMs };
    const key = `sk-${'a1'.repeat(20)} `;
    expect(forbiddenSecret(secretsIn({ 'x-api-key': key.repeat(15) }), now)).toBeNull();
    expect(forbiddenSecret(secretsIn({ 'x-api-key': key.repeat(16) }, 'api_key=hunter2'), now)).not.toBeNull();
  });
});

describe('passingHeaders', () => {
  const taskToken = mint(es256Key());
  const longLived = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.e30.c2ln`;
  const anywhere = [exceptionFor({ header: 'authorization' }), exceptionFor({ header: 'proxy-authorization' })];
  const passing = (headers: Headers, exceptions: readonly StaticSecretException[] = anywhere, atMs = nowMs) =>
    passingHeaders(callWith(headers), secretsIn(headers), { exceptions, nowMs: atMs });

  it.each<[string, string]>([
    ['a password', basicOf('reports:hunter2')],
    ['a key of another scheme', 'ApiKey hunter2'],
    ['a key that stands as a token', `Bearer sk-${'a1'.repeat(20)}`],
    ['a token without an end', `Bearer ${longLived}`],
    ['a signature that names a key', 'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/x, Signature=ab'],
  ])('are those that hold %s by an exception, until it ends', (_name, value) => {
    expect(passing({ authorization: value })).toEqual(['authorization']);
    expect(passing({ 'proxy-authorization': value })).toEqual(['proxy-authorization']);
    expect(passing({ authorization: value }, anywhere, untilMs)).toEqual([]);
    expect(passing({ authorization: value }, [])).toEqual([]);
    expect(passing({ authorization: value }, [exceptionFor({ header: 'x-api-key' })])).toEqual([]);
  });

  it('are those whose secret an exception names', () => {
    const named = [exceptionFor({ digest: sha256Of('hunter2') })];
    expect(passing({ authorization: 'ApiKey hunter2' }, named)).toEqual(['authorization']);
    expect(passing({ authorization: 'ApiKey hunter3' }, named)).toEqual([]);
  });

  it.each<[string, Headers]>([
    ['nothing', {}],
    ['a task token', { authorization: `Bearer ${taskToken}` }],
    ['a task token under another scheme', { authorization: `ApiKey ${taskToken}` }],
    ['a task token as Basic', { authorization: `Basic ${taskToken}` }],
    ['a task token as the password of Basic', { authorization: basicOf(`x-access-token:${taskToken}`) }],
    ['a password, and a task token behind it', { authorization: `Basic dXNlcjpwYXNz, Bearer ${taskToken}` }],
    ['a key, and a task token behind it', { authorization: `Bearer sk-${'a1'.repeat(20)},${taskToken}` }],
    [
      'a password, and a task token in a second value',
      { authorization: ['Basic dXNlcjpwYXNz', `Bearer ${taskToken}`] },
    ],
    ['a token without an end, and a task token', { authorization: `Bearer ${longLived} ${taskToken}` }],
  ])('never are those with %s', (_name, headers) => {
    expect(passing(headers)).toEqual([]);
  });

  it('are no other headers', () => {
    const headers = { dpop: longLived, 'x-forwarded-client-cert': `By=a;Hash=${longLived}`, 'x-api-key': 'hunter2' };
    const exceptions = Object.keys(headers).map((header) => exceptionFor({ header }));
    expect(passing(headers, exceptions)).toEqual([]);
  });

  it('exclude a task token in another header', () => {
    const headers = { authorization: `Bearer ${taskToken}`, 'proxy-authorization': 'Basic dXNlcjpwYXNz' };
    expect(passing(headers)).toEqual(['proxy-authorization']);
  });

  it('never contain a task token, in any surroundings', () => {
    const scheme = fc.constantFrom('', 'Basic ', 'Bearer ', 'DPoP ', 'ApiKey ', 'Signature ');
    const separator = fc.constantFrom(' ', ',', ', ', ';', '=', '"', ':', '/', '\t');
    const secret = fc.constantFrom('hunter2', longLived, `sk-${'a1'.repeat(20)}`, 'AKIAIOSFODNN7EXAMPLE');
    fc.assert(
      fc.property(scheme, fc.array(secret, { maxLength: 3 }), separator, fc.nat(3), (start, secrets, between, at) => {
        const value = start + secrets.toSpliced(at, 0, taskToken).join(between);
        expect(passing({ authorization: value, 'proxy-authorization': value })).toEqual([]);
      }),
    );
  });
});
