import type { JWTPayload } from 'jose';
import type { SpanReference } from '../token/claims.ts';
import type { Grant } from './grant.ts';

/** What the issuer adds to a grant when it issues. */
export interface Issuance {
  readonly issuer: string;
  readonly taskId: string;
  readonly tokenId: string;
  readonly span: SpanReference;
}

/**
 * The claims of a task token: an RFC 9068 access token for one resource, bound to the certificate it was asked with, that
 * carries its intent and the span of its issuance.
 *
 * @see RFC 8705 section 3.1, RFC 9396 section 9.1; design 4.4
 */
export const tokenClaims = (grant: Grant, { issuer, taskId, tokenId, span }: Issuance): JWTPayload => ({
  iss: issuer,
  aud: grant.intent.server.audience,
  sub: grant.leaf.id,
  client_id: grant.leaf.id,
  iat: grant.issuedAtSeconds,
  exp: grant.expiresAtSeconds,
  jti: tokenId,
  txn: taskId,
  scope: scopeOf(grant),
  authorization_details: grant.intent.details,
  cnf: { 'x5t#S256': grant.leaf.sha256 },
  remit_intent: { h: grant.intent.hash, tp: `00-${span.traceId}-${span.spanId}-01` },
});

/** The scope of a grant: its actions. */
export const scopeOf = (grant: Grant): string => grant.intent.actions.map((action) => action.id).join(' ');

/** A token longer than this is refused by the sidecars, so it is not issued. */
const MAX_TOKEN_BYTES = 8_192;
/** Header and signature of the largest kind, RS256 with 4,096 bits, in base64url. */
const MAX_AROUND_CLAIMS = 900;

/** Whether a token with these claims is one that sidecars accept by its length. */
export const isIssuable = (claims: JWTPayload): boolean =>
  Math.ceil((Buffer.byteLength(JSON.stringify(claims)) * 4) / 3) + MAX_AROUND_CLAIMS <= MAX_TOKEN_BYTES;
