import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { credentialFrom, MAX_AUTHORIZATION_CHARACTERS } from '../../../src/core/token/authorization-header.ts';
import { digestOfToken } from '../../../src/core/token/jose/jwt.ts';
import { denied } from '../../builders/tokens.ts';

describe('credentialFrom', () => {
  it.each([
    ['Bearer a.b.c', 'Bearer', 'a.b.c'],
    ['bearer a.b.c', 'Bearer', 'a.b.c'],
    ['BEARER abc==', 'Bearer', 'abc=='],
    ['DPoP a.b.c', 'DPoP', 'a.b.c'],
    ['dpop a.b.c', 'DPoP', 'a.b.c'],
    ['DPOP Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU', 'DPoP', 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'],
  ])('takes the token of `%s`', (value, scheme, token) => {
    expect(credentialFrom([value])).toEqual({ scheme, token, digest: digestOfToken(token) });
  });

  const form = 'the `authorization` header must be `Bearer` or `DPoP` and one token';
  const another = 'the `authorization` header has another scheme than `Bearer` and `DPoP`';
  it.each<[string, readonly string[], string, string]>([
    ['no header', [], 'token.missing', 'no `authorization` header'],
    ['an empty header', [''], 'token.missing', 'no `authorization` header'],
    ['another scheme', ['Basic YTpi'], 'token.missing', another],
    ['a scheme of Object.prototype', ['__proto__ a'], 'token.missing', another],
    ['two headers', ['Bearer a', 'Bearer b'], 'request.not-canonical', 'more than one `authorization` header'],
    [
      'a header of each scheme',
      ['Bearer a', 'DPoP a'],
      'request.not-canonical',
      'more than one `authorization` header',
    ],
    ['two headers, one empty', ['', 'Bearer b'], 'request.not-canonical', 'more than one `authorization` header'],
    ['two joined', ['Bearer a, DPoP b'], 'request.not-canonical', 'a comma in the `authorization` header'],
    ['two joined tightly', ['Bearer a,Bearer b'], 'request.not-canonical', 'a comma in the `authorization` header'],
    ['DPoP without a token', ['DPoP'], 'token.malformed', form],
    ['no token', ['Bearer'], 'token.malformed', form],
    ['no token after the space', ['Bearer '], 'token.malformed', form],
    ['two spaces', ['DPoP  a'], 'token.malformed', form],
    ['a tab', ['Bearer\ta'], 'token.malformed', form],
    ['a space before', [' Bearer a'], 'token.malformed', form],
    ['a space after', ['Bearer a '], 'token.malformed', form],
    ['two tokens', ['Bearer a b'], 'token.malformed', form],
    ['a line break', ['Bearer a\r\n'], 'token.malformed', form],
    ['U+0000', ['Bearer a\0'], 'token.malformed', form],
    ['a letter that is not ASCII', ['Bearer ａ'], 'token.malformed', form],
    [
      'a huge header',
      [`Bearer ${'a'.repeat(MAX_AUTHORIZATION_CHARACTERS)}`],
      'token.malformed',
      'the `authorization` header is longer than 16384 bytes',
    ],
  ])('denies %s', (_name, values, reason, detail) => {
    expect(denied(credentialFrom(values))).toEqual([reason, detail]);
  });

  it('denies, or returns a part of the value, for any values', () => {
    const value = fc.oneof(
      fc.string(),
      fc.tuple(fc.constantFrom('Bearer', 'DPoP', 'x'), fc.string()).map((parts) => parts.join(' ')),
    );
    fc.assert(
      fc.property(fc.array(value, { maxLength: 3 }), (values) => {
        const read = credentialFrom(values);
        if (isDeny(read)) return true;
        return values.length === 1 && /^[\w.~+/-]+=*$/.test(read.token) && values[0] === `${read.scheme} ${read.token}`;
      }),
    );
  });
});
