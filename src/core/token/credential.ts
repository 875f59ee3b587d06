import { deny, isDeny, ofRemit, type Deny } from '../decision/decision.ts';
import type { TaskToken } from './claims.ts';
import {
  type ExternalToken,
  type ExternalTokenRules,
  liveExternalToken,
  signedExternalClaims,
} from './external-token.ts';
import {
  digestOfToken,
  type IssuerKind,
  type UnverifiedJwt,
  unverifiedJwtFrom,
  type VerificationKeys,
} from './jose/jwt.ts';
import type { TokenCache, VerifiedToken } from './token-cache.ts';
import { claimedIssuer } from './jose/claimed-issuer.ts';
import { liveTaskToken, signedTaskClaims, type TokenRules } from './verify.ts';

/** No token: the caller's SPIFFE ID is its only credential. */
export interface WorkloadIdentity {
  readonly kind: 'workload-identity';
}

/** The credential of a caller without a token. */
export const workloadIdentity: WorkloadIdentity = Object.freeze({ kind: 'workload-identity' });

/** The credential of a call. Cedar sees its kind as `credential.kind`. */
export type Credential = TaskToken | ExternalToken | WorkloadIdentity;

/** The rules for tokens of each kind. */
export interface CredentialRules {
  readonly task: TokenRules;
  readonly external: ExternalTokenRules;
}

/** The keys of trusted issuers, and which kind of issuer each is. */
export interface CredentialKeys extends VerificationKeys {
  /** `undefined` for an issuer that is not trusted. */
  kindOf(issuer: string): IssuerKind | undefined;
  /** Whether a key is in use for task tokens now. */
  isHeld(issuer: string, keyId: string): boolean;
}

/** The inputs of `tokenCredentialFrom`. */
export interface TokenLookUp {
  readonly keys: CredentialKeys;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly verified?: TokenCache;
  /** Digest of the whole token, if already computed. */
  readonly digest?: string;
}

/**
 * Parses a compact JWS into a verified task token or external token. The configured kind of its issuer alone decides which
 * rules apply, and keys of one kind never verify tokens of the other, so neither can pass as the other. Denies as
 * `verifyTaskToken` and `externalTokenFrom` do, and with `token.issuer` for an untrusted issuer; the smaller `maxBytes`
 * applies. The signature of a token that the `verified` cache knows is not checked again while its key is held; times and audience
 * are checked on every use.
 */
export function tokenCredentialFrom(
  compact: string,
  rules: CredentialRules,
  { keys, nowMs, verified, digest: known }: TokenLookUp,
): TaskToken | ExternalToken | Deny {
  const maxBytes = Math.min(rules.task.maxBytes, rules.external.maxBytes);
  // Too long to be a token: do not even hash it.
  const digest = verified === undefined || compact.length > maxBytes ? null : (known ?? digestOfToken(compact));
  const held = digest === null ? null : (verified?.get(digest, (token) => isHeld(token, keys)) ?? null);
  if (held !== null) return live(held, rules, nowMs);
  const jwt = unverifiedJwtFrom(compact, maxBytes);
  if (isDeny(jwt)) return keys.kindOf(claimedIssuer(compact, maxBytes) ?? '') === 'remit' ? ofRemit(jwt) : jwt;
  const verifiedBy = digest === null ? null : (verified?.verifiedBy(digest) ?? null);
  const signed = signedToken({ ...jwt, verifiedBy }, rules, keys);
  if (isDeny(signed)) return keys.kindOf(jwt.issuer) === 'remit' ? ofRemit(signed) : signed;
  const credential = live(signed, rules, nowMs);
  if (digest !== null && !isDeny(credential)) verified?.set(digest, signed, nowMs);
  return credential;
}

function signedToken(jwt: UnverifiedJwt, { external }: CredentialRules, keys: CredentialKeys): VerifiedToken | Deny {
  const { issuer, jws } = jwt;
  const { algorithm } = jws;
  const keyId = jws.keyId ?? undefined;
  const kind = keys.kindOf(issuer);
  if (kind === 'remit') {
    const signed = signedTaskClaims(jwt, keys);
    return isDeny(signed) ? signed : { kind, issuer, keyId, algorithm, key: signed.key, claims: signed.claims };
  }
  if (kind === 'external') {
    const signed = signedExternalClaims(jwt, external, keys);
    return isDeny(signed) ? signed : { kind, issuer, keyId, algorithm, key: signed.key, claims: signed.claims };
  }
  const unknown = kind === undefined ? keys.keyFor(issuer, keyId, algorithm) : null;
  return unknown !== null && isDeny(unknown) ? unknown : deny('token.issuer', 'claim `iss` is not a trusted issuer');
}

const isHeld = ({ kind, issuer, keyId, algorithm, key }: VerifiedToken, keys: CredentialKeys): boolean =>
  keys.kindOf(issuer) === kind && keys.keyFor(issuer, keyId, algorithm, kind) === key;

function live(token: VerifiedToken, rules: CredentialRules, nowMs: number): TaskToken | ExternalToken | Deny {
  if (token.kind !== 'remit') return liveExternalToken(token.claims, rules.external, nowMs);
  const task = liveTaskToken(token.claims, rules.task, nowMs);
  return isDeny(task) ? ofRemit(task) : task;
}
