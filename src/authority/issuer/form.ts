import { type OAuthError, oauthError } from './oauth-error.ts';

/** The parameters of a form with their values. An empty value counts as absent. */
export type Form = ReadonlyMap<string, readonly string[]>;

const MAX_PARAMETERS = 64;
const CONTENT_TYPE = /^application\/x-www-form-urlencoded(?:\s*;\s*charset="?utf-8"?)?$/i;

/**
 * Parses the parameters of a request body.
 *
 * @returns `invalid_request` for another content type, more than 64 parameters, a stray `%`, or bytes that are not UTF-8
 * @see RFC 6749 section 3.2 and appendix B
 */
export function formFrom(body: Uint8Array, contentType: string | undefined): Form | OAuthError {
  if (contentType === undefined || !CONTENT_TYPE.test(contentType.trim())) {
    return oauthError('invalid_request', 'the content-type must be application/x-www-form-urlencoded');
  }
  const pairs = Buffer.from(body).toString('latin1').split('&').filter(Boolean);
  if (pairs.length > MAX_PARAMETERS) return oauthError('invalid_request', `more than ${MAX_PARAMETERS} parameters`);
  const form = new Map<string, string[]>();
  for (const pair of pairs) {
    const at = pair.includes('=') ? pair.indexOf('=') : pair.length;
    const name = decoded(pair.slice(0, at));
    const value = decoded(pair.slice(at + 1));
    if (name === null || value === null) {
      return oauthError('invalid_request', 'the body is not a url-encoded form in UTF-8');
    }
    if (value === '') continue;
    form.set(name, [...(form.get(name) ?? []), value]);
  }
  return form;
}

function decoded(text: string): string | null {
  try {
    const escaped = text.replaceAll('+', ' ').replaceAll(/[\x80-\xff]/g, (raw) => `%${raw.charCodeAt(0).toString(16)}`);
    return decodeURIComponent(escaped);
  } catch {
    return null;
  }
}
