import type { KeyObject } from 'node:crypto';
import { isDeny } from '../decision/decision.ts';
import { digestOfToken, unverifiedJwtFrom, type VerificationKeys } from './jose/jwt.ts';
import type { TokenCache } from './token-cache.ts';
import { signedTaskClaims } from './verify.ts';

/** The key that signed a token. */
export interface SignedWith {
  readonly keyId: string;
  readonly algorithm: string;
  readonly publicKey: KeyObject;
}

/** What remembers issued tokens. */
export interface IssuedTokensOptions {
  /** The `iss` of the tokens. */
  readonly issuer: string;
  /** The keys by which this process verifies tokens. */
  readonly keys: VerificationKeys;
  readonly verified: Pick<TokenCache, 'set'>;
  /** Longest compact token that checks read. */
  readonly maxBytes: number;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
}

/**
 * Remembers tokens that this process has just signed as a first use would: their claims, parsed from the text by the same functions, and the key
 * that verifies them. Only the verification is left out, since the signature was made here. Times, audience, binding and task are judged on every
 * use.
 *
 * INVARIANT: a token is known by the digest of its whole text together with the key that would verify it, never by a claim. So it counts for no
 * other text, and not under a key that has been replaced, withdrawn, or is another key of the same id.
 */
export class IssuedTokens {
  readonly #options: IssuedTokensOptions;
  /** The signing key that a verifying key was found to belong to. */
  readonly #pairs = new WeakMap<KeyObject, KeyObject>();

  constructor(options: IssuedTokensOptions) {
    this.#options = options;
  }

  /** Notes a token that `with` has just signed. Without effect if that is not a key by which this process verifies. */
  note(token: string, { algorithm, keyId, publicKey }: SignedWith): void {
    const { issuer, keys, maxBytes, nowMs, verified } = this.#options;
    const key = keys.keyFor(issuer, keyId, algorithm, 'remit');
    if (isDeny(key) || !this.#isPair(key, publicKey)) return;
    const jwt = unverifiedJwtFrom(token, maxBytes);
    if (isDeny(jwt) || jwt.issuer !== issuer) return;
    const signed = signedTaskClaims({ ...jwt, verifiedBy: key }, keys);
    if (isDeny(signed) || signed.key !== key) return;
    const known = { kind: 'remit', issuer, keyId: jwt.jws.keyId ?? undefined, algorithm: jwt.jws.algorithm } as const;
    verified.set(digestOfToken(token), { ...known, ...signed }, nowMs());
  }

  #isPair(verifying: KeyObject, publicKey: KeyObject): boolean {
    if (this.#pairs.get(verifying) === publicKey) return true;
    if (!verifying.equals(publicKey)) return false;
    this.#pairs.set(verifying, publicKey);
    return true;
  }
}
