import { createHash } from 'node:crypto';
import type { CryptoKey } from 'jose';
import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { claimedIssuerOf, taskClaimsFrom, type TaskClaims, type TaskToken } from './claims.ts';
import { compactJwsFrom, verifiedPayloadFrom } from './compact-jws.ts';
import { isProblem } from './members.ts';
import { strictJsonFrom } from './strict-json.ts';

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

/** The keys of trusted issuers. */
export interface VerificationKeys {
  /**
   * The key to verify with, at once and without waiting. `token.issuer` for an issuer that is not trusted,
   * `token.algorithm` for one it may not use, `token.signature` for a key id it does not have,
   * `token.keys-unavailable` while its keys are not held. `keyId` is attacker input and is only ever compared.
   */
  keyFor(issuer: string, keyId: string | undefined, algorithm: string): CryptoKey | Deny;
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
export async function verifyTaskToken(
  compact: string,
  rules: TokenRules,
  keys: VerificationKeys,
  nowMs: number,
): Promise<TaskToken | Deny> {
  const jws = compactJwsFrom(compact, rules.maxBytes);
  if (isDeny(jws)) return jws;
  if (!TOKEN_TYPES.has(jws.type)) return deny('token.malformed', 'header member `typ` must be `at+jwt`');
  if (jws.keyId === null) return deny('token.malformed', 'header member `kid` is required');

  // INVARIANT: before the signature is verified, the payload is believed in one thing only, whose keys to try.
  const payload = strictJsonFrom(jws.payload);
  if (isProblem(payload)) return deny('token.malformed', `payload ${payload.problem}`);
  const issuer = claimedIssuerOf(payload.value);
  if (isProblem(issuer)) return deny('token.malformed', issuer.problem);
  const key = keys.keyFor(issuer, jws.keyId, jws.algorithm);
  if (isDeny(key)) return key;
  const verified = await verifiedPayloadFrom(jws, key);
  if (isDeny(verified)) return verified;

  const digest = createHash('sha256').update(compact).digest('base64url');
  const claims = taskClaimsFrom(payload.value, { keyId: jws.keyId, digest });
  if (isDeny(claims)) return claims;
  return ruleProblem(claims, rules, nowMs) ?? claims.token;
}

function ruleProblem({ token, notBeforeSeconds }: TaskClaims, rules: TokenRules, nowMs: number): Deny | null {
  const now = nowMs / 1000;
  const { clockSkewSeconds: skew, maxLifetimeSeconds } = rules;
  const { issuedAtSeconds, expiresAtSeconds } = token;
  if (now >= expiresAtSeconds + skew) return deny('token.expired', 'claim `exp` has passed');
  if (now < issuedAtSeconds - skew) return deny('token.not-yet-valid', 'claim `iat` is in the future');
  if (notBeforeSeconds !== null && now < notBeforeSeconds - skew) {
    return deny('token.not-yet-valid', 'claim `nbf` is in the future');
  }
  if (expiresAtSeconds <= issuedAtSeconds) return deny('token.lifetime', 'claim `exp` must be later than `iat`');
  if (expiresAtSeconds - issuedAtSeconds > maxLifetimeSeconds) {
    return deny('token.lifetime', `claim \`exp\` must be within ${maxLifetimeSeconds} s of \`iat\``);
  }
  if (!rules.audiences.has(token.audience)) {
    return deny('token.audience', 'claim `aud` is not a resource guarded here');
  }
  return null;
}
