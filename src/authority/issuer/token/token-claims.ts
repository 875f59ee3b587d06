import type { JWTPayload } from 'jose';
import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { Task } from '../../../core/task/task.ts';
import type { Grant } from './grant.ts';

/** What issuance adds to a grant. */
export interface Issuance {
  readonly issuer: string;
  readonly task: Task;
  readonly tokenId: string;
}

/**
 * The claims of a task token: an RFC 9068 access token for a single resource, bound to the client's key, with the intent and the
 * span in which it was accepted. The audience of a token for a delegate is the issuer, so that no resource accepts it.
 *
 * @see RFC 8693 sections 4.1 and 4.4, RFC 8705 section 3.1, RFC 9396 section 9.1, RFC 9449 section 6.1
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

/** The chain of actors as nested `act` claims, the first outermost; no claim for an empty chain. */
function actOf([sub, ...inner]: readonly string[]): { readonly act?: JWTPayload } {
  return sub === undefined ? {} : { act: { sub, ...actOf(inner) } };
}

/** The scope of a grant: its actions. */
export const scopeOf = ({
  intent,
}: {
  readonly intent: { readonly actions: readonly Pick<CatalogAction, 'id'>[] };
}): string => intent.actions.map(({ id }) => id).join(' ');

/** Longest token that sidecars accept. */
const MAX_TOKEN_BYTES = 8_192;
/** Most characters of header and signature in base64url: RS256 with 4,096 bits. */
const MAX_AROUND_CLAIMS = 900;

/** Whether a token with these claims is short enough for sidecars. */
export const isIssuable = (claims: JWTPayload): boolean =>
  Math.ceil((Buffer.byteLength(JSON.stringify(claims)) * 4) / 3) + MAX_AROUND_CLAIMS <= MAX_TOKEN_BYTES;
