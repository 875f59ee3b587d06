import { deny, type Deny } from '../decision/decision.ts';

/** Longest `authorization` value read, in characters. */
export const MAX_AUTHORIZATION_CHARACTERS = 16 * 1024;

/** A scheme and its credentials, one space between. @see RFC 9110 section 11.4, RFC 6750 section 2.1 */
const CREDENTIALS = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+) ([A-Za-z0-9._~+/-]+=*)$/;

/**
 * The bearer token of a call, from the values of its `authorization` header as received. `token.missing` where there is
 * none or the scheme is another one; `request.not-canonical` for several values or a comma, which Envoy and an upstream
 * may read differently; `token.malformed` for more than `MAX_AUTHORIZATION_CHARACTERS` or a value that is not one scheme,
 * one space and one token; `token.proof` for the `DPoP` scheme, which is not enabled.
 */
export function bearerFrom(values: readonly string[]): string | Deny {
  const [value, ...others] = values;
  if (others.length > 0) return deny('request.not-canonical', 'more than one `authorization` header');
  if (value === undefined || value === '') return deny('token.missing', 'no `authorization` header');
  if (value.length > MAX_AUTHORIZATION_CHARACTERS) {
    return deny('token.malformed', `the \`authorization\` header is longer than ${MAX_AUTHORIZATION_CHARACTERS} bytes`);
  }
  if (value.includes(',')) return deny('request.not-canonical', 'a comma in the `authorization` header');
  const [, scheme, token] = CREDENTIALS.exec(value) ?? [];
  const named = (scheme ?? value.split(' ', 1).join('')).toLowerCase();
  if (named === 'dpop') return deny('token.proof', 'the `DPoP` scheme is not enabled');
  if (token === undefined) return deny('token.malformed', 'the `authorization` header must be `Bearer` and one token');
  if (named !== 'bearer') return deny('token.missing', 'the `authorization` header has another scheme than `Bearer`');
  return token;
}
