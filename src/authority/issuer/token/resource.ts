import type { Catalog } from '../../../core/action/catalog/catalog.ts';

/**
 * The audience that a `resource` names. A URL without a path equals the URL with `/`, which some clients send; no two servers of a catalog
 * differ only in that. A URL with another port names the server that differs only in the port: a host of the catalog is the same at each
 * port, and clients must ask for the URL that they call. Anything else is kept as sent.
 *
 * @see RFC 3986 section 6.2.3, RFC 8707 section 2
 */
export function audienceFrom(
  resource: string | null,
  { serversByAudience }: Pick<Catalog, 'serversByAudience'>,
): string | null {
  if (resource === null || serversByAudience.has(resource)) return resource;
  const [, origin, slash] = /^(https?:\/\/[^/?#]+)(\/?)$/.exec(resource) ?? [];
  const other = slash === '' ? `${origin}/` : origin;
  if (other !== undefined && serversByAudience.has(other)) return other;
  const place = portless(resource);
  if (place === null) return resource;
  const [only, ...more] = Array.from(serversByAudience.keys()).filter((audience) => portless(audience) === place);
  return only === undefined || more.length > 0 ? resource : only;
}

/** A URL without its port, and without the slash of no path; `null` for a text that is not an `https` URL. */
function portless(url: string): string | null {
  const [, host, rest = ''] = /^(https:\/\/(?:\[[\da-f:.]+\]|[^/?#:[\]]+))(?::\d{1,5})?([/?#].*)?$/i.exec(url) ?? [];
  return host === undefined ? null : `${host}${rest === '/' ? '' : rest}`;
}
