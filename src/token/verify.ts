import type { KeyObject } from 'node:crypto';
import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { taskClaimsFrom, type TaskClaims, type TaskToken } from './claims.ts';
import { unverifiedJwtFrom, type UnverifiedJwt, type VerificationKeys, verifyingKey } from './jwt.ts';
import { lifetimeProblem } from './lifetime.ts';

export type { VerificationKeys };

/** What a task token must keep to here. */
export interface TokenRules {
  /** Resource URIs this sidecar guards; a token is for exactly one of them. */
  readonly audiences: ReadonlySet<string>;
  /** Longest time between `iat` and `exp`; 900 by default. */
  readonly maxLifetimeSeconds: number;
  /** How far clocks may differ, either way; 5 by default. */
  readonly clockSkewSeconds: number;
  /** Longest compact token; 8192 by default. */
  readonly maxBytes: number;
}

/** The media type of an access token; nothing else signed by the same issuer is one. @see RFC 9068 section 4 */
const TOKEN_TYPES: ReadonlySet<string | null> = new Set(['at+jwt', 'application/at+jwt']);

/**
 * The task token in a compact JWS: well formed, of the right type, signed by a key of the issuer it names, with every
 * claim of the profile, live at `nowMs` and for a resource guarded here. Each failure is a `Deny` with its own
 * `token.*` reason, whose detail names the header member or claim and never its value. Never throws, and fetches nothing.
 * That the caller is the one it is bound to is `bindingProblem`'s to say, that its task is active `taskPermits`'s.
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
  return isDeny(jwt) ? jwt : verifiedTaskToken(jwt, rules, keys, nowMs);
}

/** `verifyTaskToken` for a token that is already taken apart. */
export function verifiedTaskToken(
  jwt: UnverifiedJwt,
  rules: TokenRules,
  keys: VerificationKeys,
  nowMs: number,
): TaskToken | Deny {
  const signed = signedTaskClaims(jwt, keys);
  return isDeny(signed) ? signed : liveTaskToken(signed.claims, rules, nowMs);
}

/** What `verifiedTaskToken` finds that does not change with time: the claims, and the key that verified them. */
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

/** A denial with `token.expired` of a token that is sound but for its time: what its task has come to can still be asked. */
export interface ExpiredToken extends Deny {
  readonly expired: TaskToken;
}

/** Whether a denial is that of a task token whose time is over, and nothing else is wrong with it. */
export const isExpired = (credential: Deny): credential is ExpiredToken => 'expired' in credential;

/** What `verifiedTaskToken` judges anew on every use: times and audience. */
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
