import type { KeyObject } from 'node:crypto';
import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { taskClaimsFrom, type TaskClaims, type TaskToken } from './claims.ts';
import { unverifiedJwtFrom, type UnverifiedJwt, type VerificationKeys, verifyingKey } from './jose/jwt.ts';
import { lifetimeProblem } from './lifetime.ts';

export type { VerificationKeys };

/** The rules for task tokens. */
export interface TokenRules {
  /** Resource URIs this sidecar guards; a token must be for exactly one of them. */
  readonly audiences: ReadonlySet<string>;
  /** Longest time between `iat` and `exp`; 900 by default. */
  readonly maxLifetimeSeconds: number;
  /** Tolerated clock skew, either way; 5 by default. */
  readonly clockSkewSeconds: number;
  /** Longest compact token; 8192 by default. */
  readonly maxBytes: number;
}

/** Accepted `typ` values. Nothing else that the issuer signs is an access token. @see RFC 9068 section 4 */
const TOKEN_TYPES: ReadonlySet<string | null> = new Set(['at+jwt', 'application/at+jwt']);

/**
 * Parses and verifies a task token: well formed, of the right type, signed by a key of the issuer it names, with every claim of
 * the profile, live at `nowMs` and for a resource guarded here. Each failure has its own `token.*` reason, whose detail names
 * the header member or claim, never its value. Never throws and fetches nothing. `bindingProblem` checks its binding to the
 * caller, `taskPermits` its task.
 *
 * @param nowMs milliseconds since the Unix epoch
 * @see RFC 9068 section 4, RFC 8725
 */
export function verifyTaskToken(
  compact: string,
  rules: TokenRules,
  keys: VerificationKeys,
  nowMs: number,
): TaskToken | Deny {
  const jwt = unverifiedJwtFrom(compact, rules.maxBytes);
  if (isDeny(jwt)) return jwt;
  const signed = signedTaskClaims(jwt, keys);
  return isDeny(signed) ? signed : liveTaskToken(signed.claims, rules, nowMs);
}

/** The part of `verifyTaskToken` that does not depend on time: the claims, and the key that verified them. */
export function signedTaskClaims(
  jwt: UnverifiedJwt,
  keys: VerificationKeys,
): { readonly claims: TaskClaims; readonly key: KeyObject } | Deny {
  const { keyId, type } = jwt.jws;
  if (!TOKEN_TYPES.has(type)) return deny('token.malformed', 'header member `typ` must be `at+jwt`');
  if (keyId === null) return deny('token.malformed', 'header member `kid` is required');
  const key = verifyingKey(jwt, keys, 'remit');
  if (isDeny(key)) return key;
  const claims = taskClaimsFrom(jwt.claims, { keyId });
  return isDeny(claims) ? claims : { claims, key };
}

/** The `token.expired` denial of an otherwise valid token, with which the state of its task can still be reported. */
export interface ExpiredToken extends Deny {
  readonly expired: TaskToken;
}

/** Whether the denial is that of a task token that has expired and is valid otherwise. */
export const isExpired = (credential: Deny): credential is ExpiredToken => 'expired' in credential;

/** The part of `verifyTaskToken` that is checked on every use: times and audience. */
export function liveTaskToken(
  { token, notBeforeSeconds }: TaskClaims,
  rules: TokenRules,
  nowMs: number,
): TaskToken | Deny | ExpiredToken {
  const dead = lifetimeProblem({ ...token, notBeforeSeconds }, rules, nowMs);
  if (dead !== null) {
    const isOver = dead.reason === 'token.expired' && rules.audiences.has(token.audience);
    return isOver ? { ...dead, expired: token } : dead;
  }
  return rules.audiences.has(token.audience)
    ? token
    : deny('token.audience', 'claim `aud` is not a resource guarded here');
}
