import type { CatalogAction } from '../../core/action/catalog/catalog.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { AUTHORIZATION_DETAILS_TYPE } from '../../core/token/authorization-details.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import { JWKS_MAX_AGE_SECONDS } from './keys/key-schedule.ts';
import { oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { MAX_INTENT_ACTIONS } from './token/intent-entries.ts';
import { grantTypes } from './token/token-request.ts';

/** Caching of metadata and keys for 5 minutes. A new key must be published at least that long before it signs. */
export const CACHE = cacheFor(JWKS_MAX_AGE_SECONDS);

function cacheFor(seconds: number) {
  return { 'cache-control': `public, max-age=${seconds}`, pragma: '' };
}

/**
 * `GET /.well-known/oauth-authorization-server`: the metadata of this issuer, with supported features only.
 *
 * @see RFC 8414 section 2, RFC 8705 section 3.3, RFC 9396 section 10, RFC 9449 section 5.1
 */
export function answerMetadata(_request: IssuerRequest, services: IssuerServices): Reply {
  const { policies, proofs, settings, signingKeys } = services;
  const endpoints = {
    token_endpoint: `${settings.url}/oauth/token`,
    introspection_endpoint: `${settings.url}/oauth/introspect`,
    revocation_endpoint: `${settings.url}/oauth/revoke`,
  };
  return jsonReply(
    200,
    {
      issuer: settings.url,
      authorization_endpoint: `${settings.url}/oauth/authorize`,
      ...endpoints,
      jwks_uri: `${settings.url}/.well-known/jwks.json`,
      ...(isDeny(policies) ? {} : scopesSupported(policies.catalog.actions.values())),
      response_types_supported: [],
      code_challenge_methods_supported: ['S256'],
      grant_types_supported: grantTypes,
      token_endpoint_auth_methods_supported: ['tls_client_auth'],
      introspection_endpoint_auth_methods_supported: ['tls_client_auth'],
      revocation_endpoint_auth_methods_supported: ['tls_client_auth'],
      authorization_details_types_supported: [AUTHORIZATION_DETAILS_TYPE],
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: endpoints,
      ...dpopAlgorithms(proofs !== null),
      access_token_signing_alg_values_supported: [...new Set(signingKeys.jwks().keys.map(({ alg }) => alg))],
    },
    CACHE,
  );
}

/** Most scopes in metadata: a client that asks for all of them asks for a single intent. */
const MAX_SCOPES = MAX_INTENT_ACTIONS;

/** Scopes are ids of actions. No member for none, or for more than an intent can have. */
export function scopesSupported(actions: Iterable<Pick<CatalogAction, 'id'>>): {
  readonly scopes_supported?: readonly string[];
} {
  const ids = Array.from(actions, ({ id }) => id);
  return ids.length === 0 || ids.length > MAX_SCOPES ? {} : { scopes_supported: ids };
}

/**
 * `GET /oauth/authorize`: refuses every request. MCP SDKs accept no metadata without this endpoint, nor without PKCE, though no grant of this
 * issuer uses either. Never redirects: no `redirect_uri` is registered.
 *
 * @see RFC 6749 section 4.1.2.1
 */
export const answerAuthorization = (): Reply =>
  errorReply(
    oauthError(
      'unsupported_response_type',
      'nobody signs in here: agents ask the token endpoint with their certificate',
    ),
  );

/** The accepted algorithms of DPoP proofs; no member if DPoP is not enabled. */
export const dpopAlgorithms = (
  isEnabled: boolean,
): { readonly dpop_signing_alg_values_supported?: readonly string[] } =>
  isEnabled ? { dpop_signing_alg_values_supported: [...defaultProofRules.algorithms] } : {};

/** `GET /.well-known/jwks.json`: the public keys for verifying tokens. @see RFC 7517 section 5 */
export const answerJwks = (_request: IssuerRequest, { signingKeys }: IssuerServices): Reply =>
  jsonReply(200, signingKeys.jwks(), {
    ...cacheFor(signingKeys.maxAgeSeconds),
    'content-type': 'application/jwk-set+json',
  });

/** `GET /transactions/jwks.json`: the public key for verifying transaction tokens only. */
export const answerTransactionJwks = (_request: IssuerRequest, { transactions }: IssuerServices): Reply =>
  transactions === undefined
    ? errorReply(oauthError('not_found', 'transaction tokens are not enabled'))
    : jsonReply(200, transactions.jwks, { ...CACHE, 'content-type': 'application/jwk-set+json' });
