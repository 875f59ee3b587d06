/** Reads the credential of an `Authorization` header. */
import { deny, type Deny } from '../decision/decision.ts';
import { digestOfToken } from './jose/jwt.ts';

/** Longest `authorization` value read, in characters. */
export const MAX_AUTHORIZATION_CHARACTERS = 16 * 1024;

/** How a token was sent: `DPoP` means with a proof of possession. */
export type AuthorizationScheme = 'Bearer' | 'DPoP';

/** A token as a call carries it, not parsed yet. */
export interface PresentedToken {
  readonly scheme: AuthorizationScheme;
  readonly token: string;
  /** base64url SHA-256 of the token. */
  readonly digest: string;
}

/** A scheme and its credentials, separated by one space. @see RFC 9110 section 11.4, RFC 6750 section 2.1 */
const CREDENTIALS = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+) ([A-Za-z0-9._~+/-]+=*)$/;

/** By lower-case name: schemes are case-insensitive. @see RFC 9110 section 11.1 */
const schemes: ReadonlyMap<string, AuthorizationScheme> = new Map([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
]);

/**
 * The token and scheme in the values of a call's `authorization` header. Denies with `token.missing` if there is none or the scheme is
 * another; `request.not-canonical` for several values or a comma, which Envoy and an upstream may parse differently;
 * `token.malformed` for more than `MAX_AUTHORIZATION_CHARACTERS` or anything but one scheme, one space and one token.
 *
 * @see RFC 6750 section 2.1, RFC 9449 section 7.1
 */
export function credentialFrom(values: readonly string[]): PresentedToken | Deny {
  const [value, ...others] = values;
  if (others.length > 0) return deny('request.not-canonical', 'more than one `authorization` header');
  if (value === undefined || value === '') return deny('token.missing', 'no `authorization` header');
  // INVARIANT: the header is not memoised. `TokenCache` and `TokenUses` recognise a token by its digest.
  if (value.length > MAX_AUTHORIZATION_CHARACTERS) {
    return deny('token.malformed', `the \`authorization\` header is longer than ${MAX_AUTHORIZATION_CHARACTERS} bytes`);
  }
  if (value.includes(',')) return deny('request.not-canonical', 'a comma in the `authorization` header');
  const [, name, token] = CREDENTIALS.exec(value) ?? [];
  if (name === undefined || token === undefined) {
    return deny('token.malformed', 'the `authorization` header must be `Bearer` or `DPoP` and one token');
  }
  const scheme = schemes.get(name.toLowerCase());
  return scheme === undefined
    ? deny('token.missing', 'the `authorization` header has another scheme than `Bearer` and `DPoP`')
    : { scheme, token, digest: digestOfToken(token) };
}
