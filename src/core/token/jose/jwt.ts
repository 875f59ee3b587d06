import { hash, type KeyObject } from 'node:crypto';
import { deny, isDeny, type Deny } from '../../decision/decision.ts';
import { claimedIssuerOf } from '../claims.ts';
import { type CompactJws, compactJwsFrom, signatureProblem } from './compact-jws.ts';
import { isProblem } from '../../runtime/problem.ts';
import { strictJsonFrom } from './strict-json.ts';

/**
 * What an issuer is trusted with: `remit` issues task tokens, `external` access tokens of its own, `transaction` transaction
 * tokens. The rules of one kind never accept a token of another.
 */
export type IssuerKind = 'remit' | 'external' | 'transaction';

/** The keys of trusted issuers. */
export interface VerificationKeys {
  /**
   * The key to verify with, synchronously. Denies with `token.issuer` for an issuer that is not trusted with tokens of this
   * kind (default `remit`); `token.algorithm` for an algorithm it may not use; `token.signature` for an unknown key id;
   * `token.keys-unavailable` while its keys are not loaded. `keyId` is attacker input and is only ever compared.
   */
  keyFor(issuer: string, keyId: string | undefined, algorithm: string, kind?: IssuerKind): KeyObject | Deny;
}

/** A parsed JWT whose signature is not verified yet. */
export interface UnverifiedJwt {
  readonly jws: CompactJws;
  /** Any JSON value. */
  readonly claims: unknown;
  /** The `iss` claim. */
  readonly issuer: string;
  /** The key that has verified this very text before; none by default. */
  readonly verifiedBy?: KeyObject | null;
}

/**
 * Parses a compact JWT strictly. Denies as `compactJwsFrom` does, and with `token.malformed` for a payload that is not strict
 * JSON or names no issuer.
 */
export function unverifiedJwtFrom(compact: string, maxBytes: number): UnverifiedJwt | Deny {
  const jws = compactJwsFrom(compact, maxBytes);
  if (isDeny(jws)) return jws;
  const payload = strictJsonFrom(jws.payload);
  if (isProblem(payload)) return deny('token.malformed', `payload ${payload.problem}`);
  const issuer = claimedIssuerOf(payload.value);
  return isProblem(issuer) ? deny('token.malformed', issuer.problem) : { jws, claims: payload.value, issuer };
}

/**
 * The issuer's key that verifies the signature of a token of this kind; a denial if there is none. A verified signature is cached: the
 * same key does not verify it again.
 *
 * INVARIANT: until then the payload is used only to find its issuer.
 */
export function verifyingKey(
  { jws, issuer, verifiedBy = null }: UnverifiedJwt,
  keys: VerificationKeys,
  kind: IssuerKind,
): KeyObject | Deny {
  const key = keys.keyFor(issuer, jws.keyId ?? undefined, jws.algorithm, kind);
  return isDeny(key) || key === verifiedBy ? key : (signatureProblem(jws, key) ?? key);
}

/** base64url SHA-256 of a whole compact token, which records may contain instead of it. */
export const digestOfToken = (compact: string): string => hash('sha256', compact, 'base64url');
