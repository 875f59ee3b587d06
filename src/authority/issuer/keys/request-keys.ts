/** Withholds the reply of an endpoint if a key that verified a token of the request was revoked meanwhile. */
import { isDeny } from '../../../core/decision/decision.ts';
import { oauthError } from '../oauth-error.ts';
import { errorReply } from '../reply.ts';
import type { IssuerRoute } from '../routes.ts';
import type { TokenKeys } from './signing-keys.ts';

/**
 * Wraps an endpoint: its reply is withheld if a key that verified a token of the request was revoked while the request waited for the state.
 * INVARIANT: nothing is awaited between the last look at the keys and the reply.
 */
export const withKeysOfNow =
  (endpoint: IssuerRoute): IssuerRoute =>
  async (request, services) => {
    const { keys, stillVerify } = requestKeys(services.signingKeys);
    const reply = await endpoint(request, { ...services, signingKeys: keys });
    return stillVerify() ? reply : errorReply(oauthError('temporarily_unavailable', 'keys were revoked meanwhile'));
  };

/** The keys for a request, and whether each that has verified a token of it still does. */
function requestKeys(keys: TokenKeys): { readonly keys: TokenKeys; readonly stillVerify: () => boolean } {
  const used: (readonly [keyId: string | undefined, algorithm: string])[] = [];
  return {
    keys: {
      problem: () => keys.problem(),
      current: () => keys.current(),
      jwks: () => keys.jwks(),
      maxAgeSeconds: keys.maxAgeSeconds,
      verificationKey: (keyId, algorithm) => {
        const key = keys.verificationKey(keyId, algorithm);
        if (!isDeny(key)) used.push([keyId, algorithm]);
        return key;
      },
    },
    stillVerify: () => used.every(([keyId, algorithm]) => !isDeny(keys.verificationKey(keyId, algorithm))),
  };
}
