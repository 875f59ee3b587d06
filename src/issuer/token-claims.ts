import type { JWTPayload } from 'jose';
import type { Task } from '../task/task.ts';
import type { Grant } from './grant.ts';

/** What the issuer adds to a grant when it issues. */
export interface Issuance {
  readonly issuer: string;
  readonly task: Task;
  readonly tokenId: string;
}

/**
 * The claims of a task token: an RFC 9068 access token for one resource, bound to the key it was asked with, that carries
 * its intent and the span in which that was accepted. One that is made out for a delegate is for the issuer alone, so that
 * no resource takes it.
 *
 * @see RFC 8693 sections 4.1 and 4.4, RFC 8705 section 3.1, RFC 9396 section 9.1, RFC 9449 section 6.1; design 4.4
 */
export const tokenClaims = (grant: Grant, { issuer, task, tokenId }: Issuance): JWTPayload => ({
  iss: issuer,
  aud: audienceOf(grant, issuer),
  sub: grant.origin.subject,
  client_id: grant.leaf.id,
  ...actOf(grant.origin.actors),
  ...(grant.delegate === null ? {} : { may_act: { sub: grant.delegate } }),
  iat: grant.issuedAtSeconds,
  exp: grant.expiresAtSeconds,
  jti: tokenId,
  txn: task.id,
  scope: scopeOf(grant),
  authorization_details: grant.intent.details,
  cnf: { [grant.binding.kind]: grant.binding.thumbprint },
  remit_intent: { h: grant.intent.hash, tp: `00-${task.issuance.traceId}-${task.issuance.spanId}-01` },
});

/** The `aud` of the token of a grant. */
export const audienceOf = (grant: Grant, issuer: string): string =>
  grant.delegate === null ? grant.intent.server.audience : issuer;

/** The chain as nested `act` claims, the first outermost; nothing where the subject acts for itself. */
function actOf([sub, ...inner]: readonly string[]): { readonly act?: JWTPayload } {
  return sub === undefined ? {} : { act: { sub, ...actOf(inner) } };
}

/** The scope of a grant: its actions. */
export const scopeOf = (grant: Grant): string => grant.intent.actions.map((action) => action.id).join(' ');

/** A token longer than this is refused by the sidecars, so it is not issued. */
const MAX_TOKEN_BYTES = 8_192;
/** Header and signature of the largest kind, RS256 with 4,096 bits, in base64url. */
const MAX_AROUND_CLAIMS = 900;

/** Whether a token with these claims is one that sidecars accept by its length. */
export const isIssuable = (claims: JWTPayload): boolean =>
  Math.ceil((Buffer.byteLength(JSON.stringify(claims)) * 4) / 3) + MAX_AROUND_CLAIMS <= MAX_TOKEN_BYTES;
