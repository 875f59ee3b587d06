/** The tokens whose signature this process knows: verified by its checks, or signed by its issuer. */
import type { SigningKey } from '../../authority/issuer/keys/signing-key.ts';
import { IssuedTokens } from '../../core/token/issued-tokens.ts';
import type { KeyRing } from '../../core/token/jose/keys.ts';
import { TokenCache } from '../../core/token/token-cache.ts';
import type { Parts } from '../parts.ts';

/** Longest token that checks read. */
export const MAX_TOKEN_BYTES = 8_192;
const TOKENS_CACHED = { tokens: 16_384, signatures: 131_072 };

/** The cache of verified tokens, counted. */
export function verifiedTokens({ metrics }: Parts): TokenCache {
  const counters = {
    hit: metrics.cacheRequests.of({ cache: 'token', result: 'hit' }),
    signature: metrics.cacheRequests.of({ cache: 'token', result: 'signature' }),
    miss: metrics.cacheRequests.of({ cache: 'token', result: 'miss' }),
  };
  const cache = new TokenCache(TOKENS_CACHED, (result) => counters[result].inc());
  metrics.beforeScrape(() => metrics.cacheEntries.of({ cache: 'token' }).set(cache.size));
  return cache;
}

/** Notes the tokens that the issuer of this process signs; `undefined` if it has none. */
export function signedTokens(
  { config: { issuer }, ports: { nowMs } }: Parts,
  { keys, verified }: { readonly keys: KeyRing; readonly verified: TokenCache },
): ((token: string, key: SigningKey) => void) | undefined {
  if (issuer === null) return undefined;
  const issued = new IssuedTokens({ issuer: issuer.url, keys, verified, maxBytes: MAX_TOKEN_BYTES, nowMs });
  return (token, key) => issued.note(token, key);
}
