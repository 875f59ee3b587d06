import { deny, isDeny, type Deny } from '../decision/decision.ts';
import type { SpiffeId, TrustDomain } from '../identity/spiffe-id.ts';
import { name, scope, spiffeId, taskId, tokenId } from './jose/claim-readers.ts';
import { digestOfToken, verifyingKey, unverifiedJwtFrom, type VerificationKeys } from './jose/jwt.ts';
import { lifetimeProblem } from './lifetime.ts';
import { isProblem } from '../runtime/problem.ts';
import { members, optional, type Reader, seconds, text } from '../runtime/fields.ts';

/** Longest lifetime of a transaction token, in seconds. */
export const MAX_TRANSACTION_TOKEN_SECONDS = 60;

/** The `typ` of transaction tokens, which no other token has. */
export const TRANSACTION_TOKEN_TYPE = 'txntoken+jwt';

/** What one allowed call does, for the services behind its upstream. */
export interface TransactionFacts {
  /** `txn`: the task. */
  readonly taskId: string;
  /** base64url SHA-256 of the `jti` of the call's task token. It expires with that token. */
  readonly tokenDigest: string;
  /** `sub`: the delegating user, or the agent itself. */
  readonly subject: string;
  /** `req_wl`: the calling workload. */
  readonly agent: SpiffeId;
  /** Id of the action in the catalog. */
  readonly action: string;
  /** URI of the resource the call goes to. */
  readonly resource: string;
  /** Digest of the arguments, never the arguments; `null` if not known. */
  readonly argsDigest: string | null;
  /** Scope of the task token; the action if that is empty. */
  readonly scope: readonly string[];
  /** W3C trace context of the call; `null` if there is none. */
  readonly traceparent: string | null;
  /** Client IP address of the call; `null` if not known. */
  readonly requestIp: string | null;
}

/** A verified transaction token. It says which task a call belongs to; it proves nothing about the sender. */
export interface TransactionToken extends TransactionFacts {
  readonly kind: 'transaction-token';
  readonly issuer: string;
  readonly keyId: string;
  /** `aud`: the trust domain it is for. */
  readonly trustDomain: string;
  /** Seconds since the Unix epoch. */
  readonly issuedAtSeconds: number;
  /** Seconds since the Unix epoch. */
  readonly expiresAtSeconds: number;
  /** The `jti` claim. */
  readonly tokenId: string;
  /** base64url SHA-256 of the whole compact token, which records may contain instead of it. */
  readonly digest: string;
}

/** The rules for transaction tokens. */
export interface TransactionTokenRules {
  readonly trustDomain: TrustDomain;
  /** Tolerated clock skew, either way; 5 by default. */
  readonly clockSkewSeconds: number;
  /** Longest compact token; 8192 by default. */
  readonly maxBytes: number;
}

/**
 * Parses and verifies a transaction token: of its own type, signed by a key that its issuer has only for transaction tokens,
 * for this trust domain, live at `nowMs`, with a lifetime of at most 60 s. Denies with the `token.*` reasons of
 * `verifyTaskToken`. Never throws and fetches nothing. It is not a credential: it is not bound to a caller and can be replayed.
 *
 * @param nowMs milliseconds since the Unix epoch
 * @see draft-ietf-oauth-transaction-tokens sections 6 and 7
 */
export function transactionTokenFrom(
  compact: string,
  rules: TransactionTokenRules,
  keys: VerificationKeys,
  nowMs: number,
): TransactionToken | Deny {
  const jwt = unverifiedJwtFrom(compact, rules.maxBytes);
  if (isDeny(jwt)) return jwt;
  const { keyId, type } = jwt.jws;
  if (type !== TRANSACTION_TOKEN_TYPE) {
    return deny('token.malformed', `header member \`typ\` must be \`${TRANSACTION_TOKEN_TYPE}\``);
  }
  if (keyId === null) return deny('token.malformed', 'header member `kid` is required');
  const key = verifyingKey(jwt, keys, 'transaction');
  if (isDeny(key)) return key;
  const claims = transactionClaims(jwt.claims);
  if (isProblem(claims)) return deny('token.malformed', claims.problem);
  const lifetime = { issuedAtSeconds: claims.iat, expiresAtSeconds: claims.exp, notBeforeSeconds: null };
  const limits = { ...rules, maxLifetimeSeconds: MAX_TRANSACTION_TOKEN_SECONDS };
  const dead = lifetimeProblem(lifetime, limits, nowMs);
  if (dead !== null) return dead;
  if (claims.aud !== rules.trustDomain) return deny('token.audience', 'claim `aud` is not the trust domain');
  return {
    kind: 'transaction-token',
    issuer: claims.iss,
    keyId,
    trustDomain: claims.aud,
    taskId: claims.txn,
    subject: claims.sub,
    agent: claims.req_wl,
    action: claims.tctx.action,
    resource: claims.tctx.resource,
    tokenDigest: claims.tctx.token_digest,
    argsDigest: claims.tctx.args_digest,
    scope: claims.scope,
    traceparent: claims.rctx?.traceparent ?? null,
    requestIp: claims.rctx?.req_ip ?? null,
    issuedAtSeconds: claims.iat,
    expiresAtSeconds: claims.exp,
    tokenId: claims.jti,
    digest: digestOfToken(compact),
  };
}

const requiredScope: Reader<readonly string[]> = (value) =>
  value === undefined ? { problem: 'is required' } : scope(value);

const word = text({ max: 2048 });

const transactionContext = members(
  { action: word, resource: word, token_digest: word, args_digest: optional(word) },
  { others: 'ignored' },
);

const requesterContext = members({ traceparent: optional(word), req_ip: optional(word) }, { others: 'ignored' });

const transactionClaims = members(
  {
    iss: name,
    aud: name,
    txn: taskId,
    sub: name,
    req_wl: spiffeId,
    scope: requiredScope,
    tctx: transactionContext,
    rctx: optional(requesterContext),
    iat: seconds,
    exp: seconds,
    jti: tokenId,
  },
  { noun: 'claim', others: 'ignored' },
);
