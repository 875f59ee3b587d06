import type { ForwardTarget } from '../forward-target.ts';

/**
 * Rewrites a URL in an answer of the upstream: a URL below the upstream's URL becomes a URL of the listener; any other is
 * unchanged, and gets no token. An `http:` URL of the same host counts, since servers behind TLS name themselves so.
 *
 * @param prefix path of the listener before that of the upstream: `/secret`, or `` on a Unix socket
 */
export function localReference(
  reference: string,
  { origin, base }: Pick<ForwardTarget, 'origin' | 'base'>,
  prefix: string,
): string {
  const path = pathAt(reference, new URL(origin).host);
  if (path === null || !path.startsWith(base)) return reference;
  const rest = path.slice(base.length);
  if (!/^(?:$|[/?#])/.test(rest)) return reference;
  return `${prefix}${rest}` || '/';
}

/** Path, query and fragment of a reference to `host`; `null` for another host or a relative path. */
function pathAt(reference: string, host: string): string | null {
  if (/^\/(?![/\\])/.test(reference)) return reference;
  if (!/^https?:\/\//i.test(reference) || !URL.canParse(reference)) return null;
  const url = new URL(reference);
  if (url.host !== host || url.username !== '' || url.password !== '') return null;
  return `${url.pathname}${url.search}${url.hash}`;
}
