import type { ExternalTokenRules } from '../../../src/core/token/external-token.ts';
import type { IssuerKind } from '../../../src/core/token/jose/jwt.ts';
import { KeyRing } from '../../../src/core/token/jose/keys.ts';
import { audience, issuer, jwksOf, nowSeconds, signed, type TestKey } from '../../builders/tokens.ts';
import { stillPorts } from '../../builders/still-ports.ts';

/** An IAM beside Remit. */
export const externalIssuer = 'https://iam.acme.test';

export const externalRules: ExternalTokenRules = {
  types: new Map([[externalIssuer, new Set(['at+jwt', 'JWT', 'absent'] as const)]]),
  audiences: new Set([audience, 'https://ledger.acme.test']),
  maxLifetimeSeconds: 3600,
  clockSkewSeconds: 5,
  maxBytes: 8192,
};

/** The claims of a valid external token. */
export const externalClaims = {
  iss: externalIssuer,
  aud: audience,
  sub: 'alice',
  client_id: 'portal',
  iat: nowSeconds - 10,
  exp: nowSeconds + 1_800,
  jti: 'token-1',
  scope: 'read write',
};

/** A valid external token with changed claims and header members; `undefined` omits one. */
export const externalToken = (
  key: TestKey,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
): string =>
  signed(
    key,
    JSON.stringify({ typ: 'at+jwt', alg: key.algorithm, kid: key.keyId, ...header }),
    JSON.stringify({ ...externalClaims, ...claims }),
  );

const issuers: Readonly<Record<IssuerKind, string>> = {
  remit: issuer,
  external: externalIssuer,
  transaction: 'https://txn.acme.test',
};

/** A key ring with the given issuers and static keys. */
export const mixedRing = (keys: Partial<Readonly<Record<IssuerKind, TestKey>>>): KeyRing =>
  new KeyRing(
    (['remit', 'external', 'transaction'] as const).flatMap((kind) => {
      const key = keys[kind];
      if (key === undefined) return [];
      return [
        {
          issuer: issuers[kind],
          kind,
          algorithms: [key.algorithm],
          source: { kind: 'static' as const, jwks: jwksOf(key) },
        },
      ];
    }),
    {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: (name, problem) => {
        throw new Error(`${name}: ${problem}`);
      },
    },
  );
