import type { KeyObject } from 'node:crypto';
import { type CryptoKey, SignJWT } from 'jose';
import type { TrustDomain } from '../identity/spiffe-id.ts';
import type { SignatureAlgorithm } from './jose/algorithms.ts';
import { MAX_TRANSACTION_TOKEN_SECONDS, TRANSACTION_TOKEN_TYPE, type TransactionFacts } from './transaction-token.ts';

/** Random bytes in a `jti`. */
const TOKEN_ID_BYTES = 16;

/** What the signer needs. */
export interface TransactionTokenSignerOptions {
  /** A key that signs no other kind of token. Its public half is published under `keyId`. */
  readonly key: {
    readonly keyId: string;
    readonly algorithm: SignatureAlgorithm;
    readonly privateKey: CryptoKey | KeyObject;
  };
  /** `iss` of the tokens. */
  readonly issuer: string;
  /** `aud` of the tokens. */
  readonly trustDomain: TrustDomain;
  /** Lifetime of a token, whole seconds from 1 to 60. */
  readonly ttlSeconds: number;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** Signs the transaction token of one allowed call, in compact form. Rejects only if signing fails. */
export type TransactionTokenSigner = (facts: TransactionFacts) => Promise<string>;

/**
 * A signer of transaction tokens, which tell the services behind an allowed call which task it belongs to. They contain no
 * access token and no arguments, and are never a credential.
 *
 * @throws RangeError for a lifetime outside 1 to 60 s, which is a bug of the caller
 * @see draft-ietf-oauth-transaction-tokens section 6
 */
export function transactionTokenSigner(options: TransactionTokenSignerOptions): TransactionTokenSigner {
  const { issuer, key, nowMs, randomBytes, trustDomain, ttlSeconds } = options;
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > MAX_TRANSACTION_TOKEN_SECONDS) {
    throw new RangeError(`the lifetime of a transaction token must be 1 to ${MAX_TRANSACTION_TOKEN_SECONDS} s`);
  }
  return (facts) => {
    const issuedAtSeconds = Math.floor(nowMs() / 1000);
    const claims = {
      iss: issuer,
      aud: trustDomain,
      ...claimsOf(facts),
      iat: issuedAtSeconds,
      exp: issuedAtSeconds + ttlSeconds,
      jti: Buffer.from(randomBytes(TOKEN_ID_BYTES)).toString('base64url'),
    };
    return new SignJWT(claims)
      .setProtectedHeader({ typ: TRANSACTION_TOKEN_TYPE, alg: key.algorithm, kid: key.keyId })
      .sign(key.privateKey);
  };
}

const claimsOf = ({ argsDigest, requestIp, traceparent, ...facts }: TransactionFacts) => ({
  txn: facts.taskId,
  sub: facts.subject,
  req_wl: facts.agent,
  scope: facts.scope.length === 0 ? facts.action : facts.scope.join(' '),
  tctx: {
    action: facts.action,
    resource: facts.resource,
    token_digest: facts.tokenDigest,
    ...(argsDigest === null ? {} : { args_digest: argsDigest }),
  },
  rctx: {
    ...(requestIp === null ? {} : { req_ip: requestIp }),
    ...(traceparent === null ? {} : { traceparent }),
  },
});
