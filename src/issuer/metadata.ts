import { AUTHORIZATION_DETAILS_TYPE } from '../token/authorization-details.ts';
import { jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';

/** Clients and sidecars ask again after this long; a new key must be published that much earlier. 5 minutes. */
const CACHE = { 'cache-control': 'public, max-age=300', pragma: '' };

/** `GET /.well-known/oauth-authorization-server`. @see RFC 8414 section 2, RFC 8705 section 3.3, RFC 9396 section 10 */
export const answerMetadata = (_request: IssuerRequest, { settings, signingKey }: IssuerServices): Reply =>
  jsonReply(
    200,
    {
      issuer: settings.url,
      token_endpoint: `${settings.url}/oauth/token`,
      jwks_uri: `${settings.url}/.well-known/jwks.json`,
      response_types_supported: [],
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['tls_client_auth'],
      authorization_details_types_supported: [AUTHORIZATION_DETAILS_TYPE],
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: { token_endpoint: `${settings.url}/oauth/token` },
      access_token_signing_alg_values_supported: [signingKey.algorithm],
    },
    CACHE,
  );

/** `GET /.well-known/jwks.json`: the keys that tokens are verified with. @see RFC 7517 section 5 */
export const answerJwks = (_request: IssuerRequest, { signingKey }: IssuerServices): Reply =>
  jsonReply(200, { keys: [signingKey.publicJwk] }, { ...CACHE, 'content-type': 'application/jwk-set+json' });
