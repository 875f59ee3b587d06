import { deny, isDeny, type Deny } from '../decision/decision.ts';
import type { TaskToken } from './claims.ts';
import {
  type ExternalToken,
  type ExternalTokenRules,
  liveExternalToken,
  signedExternalClaims,
} from './external-token.ts';
import { digestOfToken, type IssuerKind, type UnverifiedJwt, unverifiedJwtFrom, type VerificationKeys } from './jwt.ts';
import type { TokenCache, VerifiedToken } from './token-cache.ts';
import { liveTaskToken, signedTaskClaims, type TokenRules } from './verify.ts';

/** No token at all: the caller's SPIFFE ID is its only credential. */
export interface WorkloadIdentity {
  readonly kind: 'workload-identity';
}

/** The credential of a caller that carries no token. */
export const workloadIdentity: WorkloadIdentity = Object.freeze({ kind: 'workload-identity' });

/** What a call is made with; Cedar reads its kind as `credential.kind`. */
export type Credential = TaskToken | ExternalToken | WorkloadIdentity;

/** What a token of each kind must keep to here. */
export interface CredentialRules {
  readonly task: TokenRules;
  readonly external: ExternalTokenRules;
}

/** The keys of trusted issuers, with what each is trusted with. */
export interface CredentialKeys extends VerificationKeys {
  /** `undefined` for an issuer that is not trusted. */
  kindOf(issuer: string): IssuerKind | undefined;
}

/** What a token is looked up with. */
export interface TokenLookUp {
  readonly keys: CredentialKeys;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly verified?: TokenCache;
  /** Of the whole token, where that is known. */
  readonly digest?: string;
}

/**
 * The task token or external token in a compact JWS. Which rules apply follows from what its issuer is trusted with, and
 * from nothing else in the token; keys of one kind never verify the other, so a token cannot be taken for what it is not.
 * Denies as `verifyTaskToken` and `externalTokenFrom` do, `token.issuer` for an issuer that is not trusted; the smaller of
 * the two `maxBytes` holds. A token whose signature `verified` remembers is not verified again while the key is held; its
 * times and its audience are judged on every use.
 */
export function tokenCredentialFrom(
  compact: string,
  rules: CredentialRules,
  { keys, nowMs, verified, digest: known }: TokenLookUp,
): TaskToken | ExternalToken | Deny {
  const maxBytes = Math.min(rules.task.maxBytes, rules.external.maxBytes);
  // What is too long is no token, and is not even hashed.
  const digest = verified === undefined || compact.length > maxBytes ? null : (known ?? digestOfToken(compact));
  const held = digest === null ? null : (verified?.get(digest, (token) => isHeld(token, keys)) ?? null);
  if (held !== null) return live(held, rules, nowMs);
  const jwt = unverifiedJwtFrom(compact, maxBytes);
  if (isDeny(jwt)) return jwt;
  const signed = signedToken(jwt, rules, keys);
  if (isDeny(signed)) return signed;
  const credential = live(signed, rules, nowMs);
  if (digest !== null && !isDeny(credential)) verified?.set(digest, signed);
  return credential;
}

function signedToken(jwt: UnverifiedJwt, { external }: CredentialRules, keys: CredentialKeys): VerifiedToken | Deny {
  const { issuer, jws } = jwt;
  const by = { issuer, keyId: jws.keyId ?? undefined, algorithm: jws.algorithm };
  const kind = keys.kindOf(issuer);
  if (kind === 'remit') {
    const signed = signedTaskClaims(jwt, keys);
    return isDeny(signed) ? signed : { kind, ...by, ...signed };
  }
  if (kind === 'external') {
    const signed = signedExternalClaims(jwt, external, keys);
    return isDeny(signed) ? signed : { kind, ...by, ...signed };
  }
  return deny('token.issuer', 'claim `iss` is not a trusted issuer');
}

const isHeld = ({ kind, issuer, keyId, algorithm, key }: VerifiedToken, keys: CredentialKeys): boolean =>
  keys.kindOf(issuer) === kind && keys.keyFor(issuer, keyId, algorithm, kind) === key;

const live = (token: VerifiedToken, rules: CredentialRules, nowMs: number): TaskToken | ExternalToken | Deny =>
  token.kind === 'remit'
    ? liveTaskToken(token.claims, rules.task, nowMs)
    : liveExternalToken(token.claims, rules.external, nowMs);
