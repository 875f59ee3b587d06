import type { Problem } from '../../runtime/problem.ts';
import { withoutEnd } from '../../runtime/without-end.ts';

/** Longest URI accepted, in characters. */
export const MAX_TARGET_URI_CHARACTERS = 8192;

const MAX_PORT = 65_535;
const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['https', 443],
  ['http', 80],
]);

/** Scheme, host, port and path of an `http` or `https` URI. User information does not match. */
const URI =
  /^(https?):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{0,5}))?((?:\/(?:[^?#%\\]|%[0-9a-f]{2})*)?)(?:\?[^#]*)?(?:#.*)?$/i;

/**
 * Normalises the URI of a request, without query and fragment, so that equal targets compare equal: lower-case scheme and host,
 * no default port, upper-case percent-encodings and none of unreserved characters, no dot segments, `/` for an empty path. The
 * problem, as a clause, is anything but an absolute `http` or `https` URI in ASCII without user information.
 *
 * @see RFC 9449 section 4.3, RFC 3986 sections 6.2.2 and 6.2.3
 */
export function targetUriFrom(text: string): string | Problem {
  if (text.length > MAX_TARGET_URI_CHARACTERS) return { problem: `is longer than ${MAX_TARGET_URI_CHARACTERS} bytes` };
  const [, scheme = '', host = '', portText = '', path = ''] =
    (/^[\x21-\x7e]*$/.test(text) ? URI.exec(text) : null) ?? [];
  const port = portText === '' ? null : Number(portText);
  if (host === '' || (port !== null && (port === 0 || port > MAX_PORT))) {
    return { problem: 'must be an absolute `http` or `https` URI' };
  }
  const authority = port === null || port === DEFAULT_PORTS.get(scheme.toLowerCase()) ? host : `${host}:${port}`;
  return `${scheme}://${authority}`.toLowerCase() + withoutDotSegments(withPlainEncodings(path));
}

/**
 * The target of a call with `path`, by the URL under which callers know the server. Never by the host that the call names,
 * which the caller chooses.
 *
 * @param externalUrl such as `https://gateway.acme.test/agents`; its path is prepended
 * @param path raw, starting with `/`, without query
 */
export const targetUriOf = (externalUrl: string, path: string): string => withoutEnd(externalUrl, '/') + path;

/** Decodes unreserved characters and upper-cases the other encodings. */
const withPlainEncodings = (path: string): string =>
  path.replaceAll(/%[0-9a-f]{2}/gi, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : encoded.toUpperCase();
  });

/** @see RFC 3986 section 5.2.4 */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const last = segments.at(-1);
  if (last === '.' || last === '..') kept.push('');
  return `/${kept.join('/')}`;
}
