import { deny, isDeny, type Deny } from '../decision/decision.ts';

/** A trust domain name, such as `acme.test`: lower case, without scheme and path. */
export type TrustDomain = string & { readonly brand: 'TrustDomain' };

/** The full text of a workload's SPIFFE ID, such as `spiffe://acme.test/ns/agents/sa/planner`. It always has a path. */
export type SpiffeId = string & { readonly brand: 'SpiffeId' };

/** Longest SPIFFE ID in bytes, which are also its characters, since it is ASCII. */
export const MAX_SPIFFE_ID_BYTES = 2048;

const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/**
 * The SPIFFE ID of a workload, parsed exactly as the standard says: nothing is lower-cased, decoded or trimmed, so two IDs name
 * the same workload exactly when their texts are equal.
 *
 * Denies with `identity.invalid` what exceeds 2048 bytes, does not match the grammar, or has no path: an ID without a path
 * names a signing authority.
 *
 * @see SPIFFE-ID section 2, X509-SVID section 5.2
 */
export function spiffeIdFrom(text: string): SpiffeId | Deny {
  if (text.length > MAX_SPIFFE_ID_BYTES) return invalid(`a spiffe id must be at most ${MAX_SPIFFE_ID_BYTES} bytes`);
  if (!text.startsWith(SCHEME)) return invalid('a spiffe id must begin with `spiffe://`');
  const trustDomain = trustDomainFrom(authorityOf(text));
  if (isDeny(trustDomain)) return trustDomain;
  const [, ...segments] = text.slice(SCHEME.length).split('/');
  if (segments.length === 0) return invalid('the spiffe id of a workload must have a path');
  if (!segments.every(isSegment)) {
    return invalid('each path segment of a spiffe id must be one or more of `A-Za-z0-9.-_`, and neither `.` nor `..`');
  }
  return text as SpiffeId;
}

/**
 * Parses a trust domain name: 1 to 255 of `a-z0-9.-_`. Denies anything else with `identity.invalid`.
 *
 * @see SPIFFE-ID section 2.1
 */
export function trustDomainFrom(text: string): TrustDomain | Deny {
  return TRUST_DOMAIN.test(text)
    ? (text as TrustDomain)
    : invalid('a trust domain must be 1 to 255 of `a-z0-9.-_`, in lower case');
}

/** The trust domain a workload belongs to. */
export const trustDomainOf = (id: SpiffeId): TrustDomain => authorityOf(id) as TrustDomain;

/** The text between the scheme and the next `/`. */
function authorityOf(text: string): string {
  const end = text.indexOf('/', SCHEME.length);
  return text.slice(SCHEME.length, end === -1 ? text.length : end);
}

const isSegment = (text: string): boolean => text !== '.' && text !== '..' && SEGMENT.test(text);

const invalid = (detail: string): Deny => deny('identity.invalid', detail);
