import type { Forwarded } from './forwarded.ts';
import type { ForwardTarget } from './forward-target.ts';

/** How a request shows its token. */
export interface ShownToken {
  readonly authorization: string;
  /** The proof of the key that the token is bound to; absent if the token is not bound. */
  readonly dpop?: string;
}

/** The headers that show a token: as a bearer, or with a new proof for this very request. @param path of the request, with its query */
export function shownToken(
  token: string,
  { proofKey, target }: Pick<Forwarded, 'proofKey' | 'target'>,
  { method, path }: { readonly method: string; readonly path: string },
): ShownToken {
  if (proofKey === null) return { authorization: `Bearer ${token}` };
  const dpop = proofKey.proofFor({ method, url: provenUrl(target, path), token });
  return { authorization: `DPoP ${token}`, dpop };
}

/**
 * The URL of a call as Remit knows it: the resource (the server's audience), followed by the path of the call. If that path
 * begins with the end of the resource, such as `/mcp` of `https://tools.acme.test/mcp`, this part is written once. It is not the
 * URL that is connected to, which differs in a mesh.
 */
function provenUrl({ resource }: Pick<ForwardTarget, 'resource'>, path: string): string {
  const base = resource.replace(/\/$/, '');
  const [origin = base] = /^https?:\/\/[^/]+/.exec(base) ?? [];
  for (let at = origin.length; at !== -1 && at < base.length; at = base.indexOf('/', at + 1)) {
    const end = base.slice(at);
    if (path === end || path.startsWith(`${end}/`) || path.startsWith(`${end}?`)) return base.slice(0, at) + path;
  }
  return base + path;
}
