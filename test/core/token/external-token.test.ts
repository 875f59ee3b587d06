import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { externalTokenFrom } from '../../../src/core/token/external-token.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { useKeyOf } from '../../../src/core/token/use-key.ts';
import {
  externalClaims,
  externalIssuer as iam,
  externalRules as rules,
  externalToken,
  mixedRing,
} from './external-tokens.ts';
import {
  audience,
  certificateSha256,
  denied,
  es256Key,
  issuer,
  mint,
  nowMs,
  nowSeconds,
} from '../../builders/tokens.ts';
import { twinOf } from './twin.ts';

const remitKey = es256Key('remit-1');
const iamKey = es256Key('iam-1');
const ring = mixedRing({ remit: remitKey, external: iamKey });

const answerTo = async (token: string, keys: KeyRing = ring) => denied(externalTokenFrom(token, rules, keys, nowMs));

const useKeyFrom = (compact: string): unknown => {
  const token = externalTokenFrom(compact, rules, ring, nowMs);
  return isDeny(token) ? token : token.useKey;
};

describe('externalTokenFrom accepts', () => {
  it('an RFC 9068 access token', async () => {
    const token = externalToken(iamKey);
    expect(await answerTo(token)).toEqual({
      kind: 'external-token',
      issuer: iam,
      audience,
      subject: 'alice',
      clientId: 'portal',
      scope: ['read', 'write'],
      issuedAtSeconds: nowSeconds - 10,
      expiresAtSeconds: nowSeconds + 1_800,
      tokenId: 'token-1',
      useKey: useKeyOf(iam, 'token-1'),
      confirmation: null,
    });
  });

  it('the twin of a token (r, n-s), with the same use key', () => {
    for (const jti of ['token-1', undefined]) {
      const token = externalToken(iamKey, { jti });
      expect(useKeyFrom(token)).toMatch(/^[\w-]{43}$/);
      expect(useKeyFrom(twinOf(token))).toBe(useKeyFrom(token));
    }
    expect(useKeyFrom(externalToken(iamKey, { scope: 'other' }))).toBe(useKeyOf(iam, 'token-1'));
    expect(useKeyFrom(externalToken(iamKey, { jti: undefined }))).not.toBe(
      useKeyFrom(externalToken(iamKey, { jti: undefined, scope: 'other' })),
    );
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, Record<string, unknown>]>([
    ['a plain JWT of an issuer configured for those', {}, { typ: 'JWT' }, {}],
    ['the long form of its type', {}, { typ: 'application/at+jwt' }, {}],
    ['a token without a type, of an issuer configured for those', {}, { typ: undefined }, {}],
    ['a key id left out if there is one key', {}, { kid: undefined }, {}],
    ['more audiences, one of them guarded here', { aud: ['https://a.test', audience, 'portal'] }, {}, { audience }],
    ['an audience that is named twice', { aud: [audience, audience] }, {}, { audience }],
    ['no client', { client_id: undefined }, {}, { clientId: null }],
    ['an authorised party', { client_id: undefined, azp: 'portal-2' }, {}, { clientId: 'portal-2' }],
    ['no scope and no identifier', { scope: undefined, jti: undefined }, {}, { scope: [], tokenId: null }],
    ['scopes in an array', { scope: undefined, scp: ['a', 'b'] }, {}, { scope: ['a', 'b'] }],
    ['scopes of text in `scp`', { scope: undefined, scp: 'a b' }, {}, { scope: ['a', 'b'] }],
    ['no scopes in an array', { scope: [] }, {}, { scope: [] }],
    ['the longest life', { exp: nowSeconds - 10 + 3_600 }, {}, {}],
    [
      'a certificate',
      { cnf: { 'x5t#S256': certificateSha256 } },
      {},
      { confirmation: { kind: 'x5t#S256', thumbprint: certificateSha256 } },
    ],
    [
      'a DPoP key',
      { cnf: { jkt: certificateSha256 } },
      {},
      { confirmation: { kind: 'jkt', thumbprint: certificateSha256 } },
    ],
    ['claims of its own', { roles: ['admin'], txn: 'x', remit_intent: 1 }, {}, {}],
  ])('%s', async (_name, claims, header, expected) => {
    expect(await answerTo(externalToken(iamKey, claims, header))).toMatchObject({
      kind: 'external-token',
      ...expected,
    });
  });
});

describe('externalTokenFrom denies', () => {
  const type = 'header member `typ` is not configured for its issuer';

  it.each<[string, Record<string, unknown>, string, string]>([
    ...['sub', 'aud', 'iat', 'exp'].map((name): [string, Record<string, unknown>, string, string] => [
      `no ${name}`,
      { [name]: undefined },
      'token.malformed',
      `claim \`${name}\` is required`,
    ]),
    [
      'an audience elsewhere',
      { aud: 'https://a.test' },
      'token.audience',
      'claim `aud` is not a resource guarded here',
    ],
    ['no audience', { aud: [] }, 'token.audience', 'claim `aud` is not a resource guarded here'],
    [
      'two audiences guarded here',
      { aud: [audience, 'https://ledger.acme.test'] },
      'token.audience',
      'claim `aud` names more than one resource guarded here',
    ],
    ['a token that has expired', { exp: nowSeconds - 5 }, 'token.expired', 'claim `exp` has passed'],
    ['a token of the future', { iat: nowSeconds + 6 }, 'token.not-yet-valid', 'claim `iat` is in the future'],
    ['a token that is not valid yet', { nbf: nowSeconds + 6 }, 'token.not-yet-valid', 'claim `nbf` is in the future'],
    [
      'a token that lives too long',
      { exp: nowSeconds - 10 + 3_601 },
      'token.lifetime',
      'claim `exp` must be within 3600 s of `iat`',
    ],
    [
      'a binding that could not be checked',
      { cnf: { kid: 'k' } },
      'token.malformed',
      'claim `cnf` has an unknown member `kid`',
    ],
    ['a binding of null', { cnf: null }, 'token.malformed', 'claim `cnf` must be an object'],
    ['an event', { events: {} }, 'token.malformed', 'claim `events` must not be present'],
    [
      'a scope of another form',
      { scope: 'a  b' },
      'token.malformed',
      'claim `scope` must be scope tokens separated by single spaces',
    ],
    ['another issuer', { iss: 'https://evil.test' }, 'token.issuer', 'claim `iss` is not an issuer of external tokens'],
    ['the issuer of Remit', { iss: issuer }, 'token.issuer', 'claim `iss` is not an issuer of external tokens'],
    [
      'an issuer of Object.prototype',
      { iss: '__proto__' },
      'token.issuer',
      'claim `iss` is not an issuer of external tokens',
    ],
  ])('%s', async (_name, claims, reason, detail) => {
    expect(await answerTo(externalToken(iamKey, claims))).toEqual([reason, detail]);
  });

  it.each(['txntoken+jwt', 'secevent+jwt', 'logout+jwt', 'dpop+jwt', 'wit+jwt', 'oauth-id-jag+jwt', 'jose', ''])(
    'type %s',
    async (typ) => {
      const answer = await answerTo(externalToken(iamKey, {}, { typ }));
      const empty = 'header member `typ` must be a string of 1 to 256 characters';
      expect(answer).toEqual(['token.malformed', typ === '' ? `header ${empty.slice('header '.length)}` : type]);
    },
  );

  it.each(['JWT', undefined])('type %s of an issuer not configured for it', async (typ) => {
    const strict = { ...rules, types: new Map([[iam, new Set(['at+jwt'] as const)]]) };
    const answer = externalTokenFrom(externalToken(iamKey, {}, { typ }), strict, ring, nowMs);
    expect(denied(answer)).toEqual(['token.malformed', type]);
  });

  it('a key that its issuer does not have', async () => {
    expect(await answerTo(externalToken(remitKey, {}, { kid: 'iam-1' }))).toEqual([
      'token.signature',
      'the signature does not verify with the key of its issuer',
    ]);
  });

  it('a task token of Remit, even if its issuer were configured as external by mistake', async () => {
    const mistaken = { ...rules, types: new Map([[issuer, new Set(['at+jwt'] as const)]]) };
    expect(denied(externalTokenFrom(mint(remitKey), mistaken, ring, nowMs))).toEqual([
      'token.issuer',
      'claim `iss` is not an issuer of external tokens',
    ]);
  });

  it('or accepts consistently a valid token with one claim changed to any JSON', async () => {
    const name = fc.constantFrom(...Object.keys(externalClaims), 'azp', 'scp', 'cnf', 'nbf', 'events');
    await fc.assert(
      fc.asyncProperty(name, fc.jsonValue(), async (claim, value) => {
        const answer = externalTokenFrom(externalToken(iamKey, { [claim]: value }), rules, ring, nowMs);
        return isDeny(answer) ? answer.reason.startsWith('token.') : answer.kind === 'external-token';
      }),
      { numRuns: 300 },
    );
  });
});
