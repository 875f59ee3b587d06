import type { Catalog } from '../action/catalog.ts';

/**
 * The audience that a `resource` names. A URL without a path is the same with `/` after it, and some clients write it so; no two servers of a
 * catalog differ in that alone. Anything else is as it was sent.
 *
 * @see RFC 3986 section 6.2.3, RFC 8707 section 2
 */
export function audienceFrom(
  resource: string | null,
  { serversByAudience }: Pick<Catalog, 'serversByAudience'>,
): string | null {
  const [, origin, slash] = /^(https?:\/\/[^/?#]+)(\/?)$/.exec(resource ?? '') ?? [];
  if (resource === null || origin === undefined || serversByAudience.has(resource)) return resource;
  const other = slash === '' ? `${origin}/` : origin;
  return serversByAudience.has(other) ? other : resource;
}
