import type { Problem } from '../../../core/runtime/problem.ts';

/** The address of an admin interface. */
export interface AdminAddress {
  /** As written, for messages. */
  readonly text: string;
  /** URL of its root. */
  readonly url: string;
  /** Path of its Unix socket; `null` for TCP. */
  readonly socketPath: string | null;
  /** As an endpoint would be written: `unix:PATH` or `HOST:PORT`. */
  readonly endpoint: string;
}

/** Parses `unix:/path`, `http://host:port` or `host:port`. */
export function adminAddressFrom(written: string, whose: 'an Envoy' | 'a Remit' = 'an Envoy'): AdminAddress | Problem {
  // What is before an `@` may be a password.
  const shown = written.includes('@') ? `…${written.slice(written.lastIndexOf('@'))}` : written;
  const problem = {
    problem: `expected the admin address of ${whose}, \`unix:/path\` or \`host:port\`, got \`${shown}\``,
  };
  if (written.startsWith('unix:')) {
    const socketPath = written.slice('unix:'.length);
    if (!socketPath.startsWith('/')) return problem;
    return { text: written, url: 'http://localhost', socketPath, endpoint: written };
  }
  const url = URL.parse(written.includes('://') ? written : `http://${written}`);
  const isPlain =
    url !== null &&
    url.protocol === 'http:' &&
    `${url.pathname}${url.search}${url.hash}` === '/' &&
    `${url.username}${url.password}` === '';
  if (!isPlain) return problem;
  return { text: written, url: url.origin, socketPath: null, endpoint: url.port === '' ? `${url.host}:80` : url.host };
}
