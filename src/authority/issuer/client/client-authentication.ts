import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';

/**
 * Why the `authorization` header of a form is refused; `null` if it has none. The client authenticates by certificate alone. The only header
 * that passes is `Basic` with the client's own id and no secret, which some OAuth clients always send: it means the same as the parameter
 * `client_id`. Anything else is answered with a challenge, so that clients which try several methods go on with the next.
 *
 * @param values as received; never part of the answer or of a record
 * @see RFC 6749 sections 2.3.1 and 5.2, RFC 8705 section 2
 */
export function authorizationProblem(values: readonly string[], clientId: SpiffeId): OAuthError | null {
  const [value, ...more] = values;
  if (value === undefined || (more.length === 0 && isName(value, clientId))) return null;
  const scheme = /^basic(?: |$)/i.test(value) ? 'Basic' : 'Bearer';
  const description = 'authorization header not allowed: the client authenticates by certificate';
  return {
    ...oauthError('invalid_client', description),
    challenge: `${scheme} realm="remit: client certificates only"`,
  };
}

/** No secret: empty, or the `None` of Python, which Authlib writes if its client has none. */
const NO_SECRETS: ReadonlySet<string> = new Set(['', 'None']);

/** A longer header cannot be an id with an empty secret, so it is not decoded. */
const MAX_LENGTH = 8_192;

/** Whether the header is `Basic` with the id and no secret; the id is url-encoded as RFC 6749 requires, or as it is. */
function isName(value: string, clientId: SpiffeId): boolean {
  const encoded = value.length > MAX_LENGTH ? undefined : /^basic ([\w+/]+={0,2})$/i.exec(value)?.[1];
  if (encoded === undefined) return false;
  const text = Buffer.from(encoded, 'base64').toString();
  const end = text.lastIndexOf(':');
  return end !== -1 && NO_SECRETS.has(text.slice(end + 1)) && isId(text.slice(0, end), clientId);
}

function isId(text: string, clientId: SpiffeId): boolean {
  if (text === clientId) return true;
  try {
    return decodeURIComponent(text) === clientId;
  } catch {
    return false;
  }
}
