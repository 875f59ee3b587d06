import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../src/decision/decision.ts';
import { bearerFrom, MAX_AUTHORIZATION_CHARACTERS } from '../../src/token/authorization-header.ts';
import { denied } from './tokens.ts';

describe('bearerFrom', () => {
  it.each([
    ['Bearer a.b.c', 'a.b.c'],
    ['bearer a.b.c', 'a.b.c'],
    ['BEARER abc==', 'abc=='],
  ])('takes the token of `%s`', (value, token) => {
    expect(bearerFrom([value])).toBe(token);
  });

  const form = 'the `authorization` header must be `Bearer` and one token';
  it.each<[string, readonly string[], string, string]>([
    ['no header', [], 'token.missing', 'no `authorization` header'],
    ['an empty header', [''], 'token.missing', 'no `authorization` header'],
    ['another scheme', ['Basic YTpi'], 'token.missing', 'the `authorization` header has another scheme than `Bearer`'],
    ['two headers', ['Bearer a', 'Bearer b'], 'request.not-canonical', 'more than one `authorization` header'],
    ['two headers, one empty', ['', 'Bearer b'], 'request.not-canonical', 'more than one `authorization` header'],
    ['two joined', ['Bearer a, Bearer b'], 'request.not-canonical', 'a comma in the `authorization` header'],
    ['two joined tightly', ['Bearer a,Bearer b'], 'request.not-canonical', 'a comma in the `authorization` header'],
    ['DPoP', ['DPoP a.b.c'], 'token.proof', 'the `DPoP` scheme is not enabled'],
    ['dpop without a token', ['dpop'], 'token.proof', 'the `DPoP` scheme is not enabled'],
    ['no token', ['Bearer'], 'token.malformed', form],
    ['no token after the space', ['Bearer '], 'token.malformed', form],
    ['two spaces', ['Bearer  a'], 'token.malformed', form],
    ['a tab', ['Bearer\ta'], 'token.malformed', form],
    ['a space before', [' Bearer a'], 'token.malformed', form],
    ['a space after', ['Bearer a '], 'token.malformed', form],
    ['two tokens', ['Bearer a b'], 'token.malformed', form],
    ['a line break', ['Bearer a\r\n'], 'token.malformed', form],
    ['U+0000', ['Bearer a\0'], 'token.malformed', form],
    ['a letter that is not ASCII', ['Bearer ａ'], 'token.malformed', form],
    [
      'a huge one',
      [`Bearer ${'a'.repeat(MAX_AUTHORIZATION_CHARACTERS)}`],
      'token.malformed',
      'the `authorization` header is longer than 16384 bytes',
    ],
  ])('denies %s', (_name, values, reason, detail) => {
    expect(denied(bearerFrom(values))).toEqual([reason, detail]);
  });

  it('denies or gives a part of the value, for any values', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.string().map((s) => `Bearer ${s}`),
          ),
          { maxLength: 3 },
        ),
        (values) => {
          const token = bearerFrom(values);
          return (
            isDeny(token) || (values.length === 1 && /^[\w.~+/-]+=*$/.test(token) && `${values[0]}`.endsWith(token))
          );
        },
      ),
    );
  });
});
