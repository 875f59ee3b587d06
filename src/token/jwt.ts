import { hash, type KeyObject } from 'node:crypto';
import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { claimedIssuerOf } from './claims.ts';
import { type CompactJws, compactJwsFrom, signatureProblem } from './compact-jws.ts';
import { isProblem } from './members.ts';
import { strictJsonFrom } from './strict-json.ts';

/**
 * What an issuer is trusted with: `remit` issues task tokens, `external` access tokens of its own kind, `transaction`
 * transaction tokens. The rules of one never accept a token of another.
 */
export type IssuerKind = 'remit' | 'external' | 'transaction';

/** The keys of trusted issuers. */
export interface VerificationKeys {
  /**
   * The key to verify with, at once and without waiting. `token.issuer` for an issuer that is not trusted, or not with
   * tokens of this kind (`remit` where none is named); `token.algorithm` for an algorithm it may not use,
   * `token.signature` for a key id it does not have, `token.keys-unavailable` while its keys are not held. `keyId` is
   * attacker input and is only ever compared.
   */
  keyFor(issuer: string, keyId: string | undefined, algorithm: string, kind?: IssuerKind): KeyObject | Deny;
}

/** A signed JWT taken apart, its signature not verified yet. */
export interface UnverifiedJwt {
  readonly jws: CompactJws;
  /** JSON of any form. */
  readonly claims: unknown;
  /** The `iss` claim. */
  readonly issuer: string;
}

/**
 * The parts of a compact JWT, read strictly; `compactJwsFrom` says how it denies, and `token.malformed` is a payload that
 * is not strict JSON or names no issuer.
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
 * The key that the signature of a token verifies with, which its issuer has for tokens of this kind; else why the token may
 * not be believed.
 *
 * INVARIANT: before that, the payload is believed in one thing only, whose keys to try.
 */
export function verifyingKey(
  { jws, issuer }: UnverifiedJwt,
  keys: VerificationKeys,
  kind: IssuerKind,
): KeyObject | Deny {
  const key = keys.keyFor(issuer, jws.keyId ?? undefined, jws.algorithm, kind);
  return isDeny(key) ? key : (signatureProblem(jws, key) ?? key);
}

/** Base64url SHA-256 of a whole compact token: what a record may hold in its place. */
export const digestOfToken = (compact: string): string => hash('sha256', compact, 'base64url');
