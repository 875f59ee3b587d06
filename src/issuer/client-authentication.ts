import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type OAuthError, oauthError } from './oauth-error.ts';

/**
 * Why the `authorization` header of a form is refused; `null` where it has none. The client authenticates by certificate alone. The one header
 * that passes is `Basic` with the client's own id and an empty secret, which some OAuth clients send always: it says no more than the parameter
 * `client_id`. Anything else is answered with a challenge, so that clients which try several methods go on with the next.
 *
 * @param values as received; never part of the answer or of a record
 * @see RFC 6749 sections 2.3.1 and 5.2, RFC 8705 section 2
 */
export function headerProblem(values: readonly string[], clientId: SpiffeId): OAuthError | null {
  const [value, ...more] = values;
  if (value === undefined || (more.length === 0 && namesOf(clientId).includes(value))) return null;
  const scheme = /^basic(?: |$)/i.test(value) ? 'Basic' : 'Bearer';
  const description = 'authorization header not allowed: the client authenticates by certificate';
  return {
    ...oauthError('invalid_client', description),
    challenge: `${scheme} realm="remit: client certificates only"`,
  };
}

/** The id with an empty secret, url-encoded as RFC 6749 requires, or as it is. */
const namesOf = (clientId: SpiffeId): readonly string[] =>
  [encodeURIComponent(clientId), clientId].map((id) => `Basic ${Buffer.from(`${id}:`).toString('base64')}`);
