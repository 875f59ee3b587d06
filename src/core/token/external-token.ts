import type { KeyObject } from 'node:crypto';
import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { audience, name, scope } from './jose/claim-readers.ts';
import { signingInputOf } from './jose/compact-jws.ts';
import { type Confirmation, confirmation } from './proof/confirmation.ts';
import {
  digestOfToken,
  unverifiedJwtFrom,
  type UnverifiedJwt,
  type VerificationKeys,
  verifyingKey,
} from './jose/jwt.ts';
import { lifetimeProblem } from './lifetime.ts';
import { isProblem } from '../runtime/problem.ts';
import { absent, members, oneOrMore, optional, type Reader, seconds } from '../runtime/fields.ts';
import { useKeyOf } from './use-key.ts';

/** A verified access token of an external issuer. It says who calls and what an IAM lets it do; it names no task. */
export interface ExternalToken {
  readonly kind: 'external-token';
  readonly issuer: string;
  /** Its audience that is a resource guarded here. */
  readonly audience: string;
  readonly subject: string;
  /** `client_id`, or `azp` if that is absent. */
  readonly clientId: string | null;
  /** The tokens of `scope`, or of `scp` if that is absent. */
  readonly scope: readonly string[];
  /** Seconds since the Unix epoch. */
  readonly issuedAtSeconds: number;
  /** Seconds since the Unix epoch. */
  readonly expiresAtSeconds: number;
  /** The `jti` claim. */
  readonly tokenId: string | null;
  /**
   * The key by which uses are counted: `useKeyOf` issuer and `jti`. Without a `jti`, the digest of the signing input, because
   * an ES256 signature has two valid spellings.
   */
  readonly useKey: string;
  /** `null` for a bearer token. */
  readonly confirmation: Confirmation | null;
}

/** A `typ` that an issuer's access tokens may have; `absent` is a token without `typ`. */
export type ExternalTokenType = 'at+jwt' | 'JWT' | 'absent';

/** The rules for external tokens. */
export interface ExternalTokenRules {
  /** Accepted types of each external issuer; RFC 9068 requires `at+jwt`. */
  readonly types: ReadonlyMap<string, ReadonlySet<ExternalTokenType>>;
  /** Resource URIs this sidecar guards. A token must be for exactly one of them and may be for others elsewhere. */
  readonly audiences: ReadonlySet<string>;
  /** Longest time between `iat` and `exp`; 3600 by default. */
  readonly maxLifetimeSeconds: number;
  /** Tolerated clock skew, either way; 5 by default. */
  readonly clockSkewSeconds: number;
  /** Longest compact token; 8192 by default. */
  readonly maxBytes: number;
}

/**
 * Parses and verifies an external access token: an RFC 9068 token, or a plain JWT if its issuer is configured for those,
 * signed by a key of an external issuer, with `iss`, `sub`, `aud`, `iat` and `exp`, live at `nowMs` and for exactly one
 * resource guarded here. Refuses tokens of Remit issuers (`token.issuer`), security event tokens (`events`) and any `cnf` that
 * could not be checked. Denies as `verifyTaskToken` does. Never throws and fetches nothing. `bindingProblem` checks its binding
 * to the caller.
 *
 * @param nowMs milliseconds since the Unix epoch
 * @see RFC 9068 section 4, RFC 8725 sections 3.8 to 3.12, RFC 8417 section 4.7
 */
export function externalTokenFrom(
  compact: string,
  rules: ExternalTokenRules,
  keys: VerificationKeys,
  nowMs: number,
): ExternalToken | Deny {
  const jwt = unverifiedJwtFrom(compact, rules.maxBytes);
  if (isDeny(jwt)) return jwt;
  const signed = signedExternalClaims(jwt, rules, keys);
  return isDeny(signed) ? signed : liveExternalToken(signed.claims, rules, nowMs);
}

/** The claims of a verified external token. */
export interface ExternalClaims {
  readonly token: Omit<ExternalToken, 'audience'>;
  readonly audiences: readonly string[];
  /** Seconds since the Unix epoch; `null` if the token has no `nbf`. */
  readonly notBeforeSeconds: number | null;
}

/** The part of `externalTokenFrom` that does not depend on time: the claims, and the key that verified them. */
export function signedExternalClaims(
  jwt: UnverifiedJwt,
  { types: typesByIssuer }: Pick<ExternalTokenRules, 'types'>,
  keys: VerificationKeys,
): { readonly claims: ExternalClaims; readonly key: KeyObject } | Deny {
  const types = typesByIssuer.get(jwt.issuer);
  if (types === undefined) return deny('token.issuer', 'claim `iss` is not an issuer of external tokens');
  const type = typeOf(jwt.jws.type);
  if (type === null || !types.has(type)) {
    return deny('token.malformed', 'header member `typ` is not configured for its issuer');
  }
  const key = verifyingKey(jwt, keys, 'external');
  if (isDeny(key)) return key;
  const claims = externalClaims(jwt.claims);
  if (isProblem(claims)) return deny('token.malformed', claims.problem);
  const token = {
    kind: 'external-token',
    issuer: claims.iss,
    subject: claims.sub,
    clientId: claims.client_id ?? claims.azp,
    scope: claims.scope ?? claims.scp ?? [],
    issuedAtSeconds: claims.iat,
    expiresAtSeconds: claims.exp,
    tokenId: claims.jti,
    useKey: claims.jti === null ? digestOfToken(signingInputOf(jwt.jws.compact)) : useKeyOf(claims.iss, claims.jti),
    confirmation: claims.cnf,
  } as const;
  return { claims: { token, audiences: claims.aud, notBeforeSeconds: claims.nbf }, key };
}

/** The part of `externalTokenFrom` that is checked on every use: times and audience. */
export function liveExternalToken(
  { token, audiences, notBeforeSeconds }: ExternalClaims,
  rules: ExternalTokenRules,
  nowMs: number,
): ExternalToken | Deny {
  const dead = lifetimeProblem({ ...token, notBeforeSeconds }, rules, nowMs);
  if (dead !== null) return dead;
  const [guarded, ...others] = new Set(audiences.filter((resource) => rules.audiences.has(resource)));
  if (guarded === undefined) return deny('token.audience', 'claim `aud` is not a resource guarded here');
  if (others.length > 0) return deny('token.audience', 'claim `aud` names more than one resource guarded here');
  return { ...token, audience: guarded };
}

/** Names of each type; a `typ` without `/` implies the prefix `application/`. @see RFC 7515 section 4.1.9 */
const typesByName: ReadonlyMap<string, ExternalTokenType> = new Map([
  ['at+jwt', 'at+jwt'],
  ['application/at+jwt', 'at+jwt'],
  ['jwt', 'JWT'],
  ['application/jwt', 'JWT'],
]);

const typeOf = (type: string | null): ExternalTokenType | null =>
  type === null ? 'absent' : (typesByName.get(type.toLowerCase()) ?? null);

const MAX_SCOPES = 512;

const scopeLists = oneOrMore(scope, { min: 0, max: MAX_SCOPES });

/** Scopes as text, or as an array, which several issuers send. */
const scopes: Reader<readonly string[] | null> = (value) => {
  if (value === undefined) return null;
  const entries = scopeLists(value);
  return isProblem(entries) ? entries : entries.flat();
};

const externalClaims = members(
  {
    events: absent,
    iss: name,
    aud: audience,
    sub: name,
    client_id: optional(name),
    azp: optional(name),
    iat: seconds,
    nbf: optional(seconds),
    exp: seconds,
    jti: optional(name),
    scope: scopes,
    scp: scopes,
    cnf: optional(confirmation),
  },
  { noun: 'claim', others: 'ignored' },
);
