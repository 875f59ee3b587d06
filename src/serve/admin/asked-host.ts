import { isIP } from 'node:net';
import type { IncomingHttpHeaders } from 'node:http';

/** The answer to a request that a page of another site may have sent. */
export interface Refused {
  readonly status: 403 | 421;
  readonly text: string;
}

/**
 * Protects against cross-site requests: why a request is refused, or `null`. With DNS rebinding, a site that points its name at
 * this address becomes same-origin with it. `Host` must therefore be a name that no such site can have: an IP address,
 * `localhost`, or one of `hosts`; else 421. An `Origin` other than the request's own is 403.
 *
 * @param hosts names that the operator gave this server, in lower case
 * @see RFC 9110 sections 7.2 and 7.4, RFC 6454
 */
export function crossSiteProblem(
  { host, origin }: Pick<IncomingHttpHeaders, 'host' | 'origin'>,
  hosts: ReadonlySet<string>,
): Refused | null {
  const name = hostNameIn(host ?? '');
  if (name === null || !(isIP(name) !== 0 || name === 'localhost' || hosts.has(name))) {
    return { status: 421, text: 'the host of the request is not a name of this server: add it to `admin.hosts`' };
  }
  return origin === undefined || origin.toLowerCase() === `http://${host?.toLowerCase()}`
    ? null
    : { status: 403, text: 'requests of pages of another origin are refused' };
}

/** The host in a `Host` header, lower case, without port; `null` if it is malformed. */
function hostNameIn(header: string): string | null {
  const [, ipv6, name] = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::\d{1,5})?$/.exec(header) ?? [];
  return ipv6 ?? name?.toLowerCase() ?? null;
}
