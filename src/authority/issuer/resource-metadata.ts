import type { Server } from '../../core/action/catalog/catalog.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { AUTHORIZATION_DETAILS_TYPE } from '../../core/token/authorization-details.ts';
import { CACHE, dpopAlgorithms, scopesSupported } from './metadata.ts';
import { oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';

/**
 * The URL of a server's metadata, for `resource_metadata` in a `WWW-Authenticate` challenge.
 *
 * @param issuerUrl an `https:` URL without a trailing slash
 * @param port that the client called; `null` for that of the audience
 * @see RFC 9728 sections 3.1 and 5.1
 */
export function resourceMetadataUrl(issuerUrl: string, { id }: Pick<Server, 'id'>, port: number | null = null): string {
  const { origin, pathname } = new URL(issuerUrl);
  const at = port === null ? '' : `:${port}`;
  return `${origin}/.well-known/oauth-protected-resource${pathname.replace(/\/$/, '')}/${id}${at}`;
}

/**
 * `GET /.well-known/oauth-protected-resource/{server}`: the protected resource metadata of a catalog server. The issuer serves
 * it, because servers behind Envoy need not know about Remit. With `:{port}` after it, the resource is the audience at that port:
 * clients refuse metadata of another origin than they called.
 *
 * @see RFC 9728 section 2, RFC 9396 section 10
 */
export function answerResourceMetadata({ serverId }: IssuerRequest, services: IssuerServices): Reply {
  const { policies } = services;
  if (isDeny(policies)) return errorReply(oauthError('temporarily_unavailable', 'no policies are loaded', policies));
  const [id = '', port] = serverId.split(':');
  const server = policies.catalog.servers.get(id);
  const resource = server === undefined ? null : audienceAt(server.audience, port);
  if (server === undefined || resource === null) return errorReply(oauthError('not_found', 'no such path'));
  return jsonReply(
    200,
    {
      resource,
      authorization_servers: [services.settings.url],
      ...scopesSupported([...policies.catalog.actions.values()].filter((action) => action.server === server)),
      bearer_methods_supported: ['header'],
      authorization_details_types_supported: [AUTHORIZATION_DETAILS_TYPE],
      tls_client_certificate_bound_access_tokens: true,
      ...dpopAlgorithms(services.proofs !== null),
    },
    CACHE,
  );
}

/** The audience with this port. It ends in a slash only if the audience does. `null` if the port is not a valid number. */
function audienceAt(audience: string, port: string | undefined): string | null {
  if (port === undefined) return audience;
  if (Number(port) > MAX_PORT) return null;
  const url = new URL(audience);
  url.port = port;
  return url.pathname === '/' && !audience.endsWith('/') && url.search === '' ? url.origin : url.href;
}

const MAX_PORT = 65_535;
