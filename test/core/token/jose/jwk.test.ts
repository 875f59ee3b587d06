import { describe, expect, it } from '@jest/globals';
import { calculateJwkThumbprint } from 'jose';
import { jwkFrom } from '../../../../src/core/token/jose/jwk.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { bareJwk, rfc9449 } from '../proofs.ts';
import { ed25519Key, es256Key, rs256Key } from '../../../builders/tokens.ts';

const thumbprintOf = (jwk: unknown): unknown => {
  const read = jwkFrom(jwk);
  return isProblem(read) ? read : read.usable?.thumbprint;
};

describe('jwkFrom gives the thumbprint', () => {
  it.each([
    [
      'of RFC 7638 section 3.1',
      {
        kty: 'RSA',
        n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
        e: 'AQAB',
        alg: 'RS256',
        kid: '2011-04-29',
      },
      'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
    ],
    [
      'of RFC 8037 appendix A.3',
      { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
    ],
    ['of RFC 9449 section 6.1', rfc9449.jwk, rfc9449.thumbprint],
  ])('%s', (_name, jwk, expected) => {
    expect(thumbprintOf(jwk)).toBe(expected);
  });

  it.each([es256Key(), ed25519Key(), rs256Key()])('that jose gives, for $algorithm', async (key) => {
    expect(thumbprintOf(key.jwk)).toBe(await calculateJwkThumbprint(bareJwk(key)));
  });
});
