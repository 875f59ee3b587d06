import { deny, type Deny } from '../decision/decision.ts';

/** The instants of a token, seconds since the Unix epoch. */
export interface Lifetime {
  readonly issuedAtSeconds: number;
  readonly expiresAtSeconds: number;
  /** `null` if the token has no `nbf`. */
  readonly notBeforeSeconds: number | null;
}

/**
 * Why a token is not live or lives too long: `token.expired`, `token.not-yet-valid`, `token.lifetime`; `null` if it is live.
 *
 * @param rules `maxLifetimeSeconds` between `iat` and `exp`; `clockSkewSeconds` of tolerated clock skew, either way
 * @param nowMs milliseconds since the Unix epoch
 */
export function lifetimeProblem(
  { issuedAtSeconds, expiresAtSeconds, notBeforeSeconds }: Lifetime,
  rules: { readonly maxLifetimeSeconds: number; readonly clockSkewSeconds: number },
  nowMs: number,
): Deny | null {
  const now = nowMs / 1000;
  const { clockSkewSeconds: skew, maxLifetimeSeconds } = rules;
  if (!(now < expiresAtSeconds + skew)) return deny('token.expired', 'claim `exp` has passed');
  if (now < issuedAtSeconds - skew) return deny('token.not-yet-valid', 'claim `iat` is in the future');
  if (notBeforeSeconds !== null && now < notBeforeSeconds - skew) {
    return deny('token.not-yet-valid', 'claim `nbf` is in the future');
  }
  if (expiresAtSeconds <= issuedAtSeconds) return deny('token.lifetime', 'claim `exp` must be later than `iat`');
  return expiresAtSeconds - issuedAtSeconds > maxLifetimeSeconds
    ? deny('token.lifetime', `claim \`exp\` must be within ${maxLifetimeSeconds} s of \`iat\``)
    : null;
}
