import type { OAuthError } from './oauth-error.ts';

/** A response of the issuer. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A JSON response, not cacheable by default. */
export const jsonReply = (status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply => ({
  status,
  headers: {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    pragma: 'no-cache',
    'x-content-type-options': 'nosniff',
    ...headers,
  },
  body: JSON.stringify(value),
});

/** Ids of a recorded refusal: its decision and its trace. */
export interface RecordedAs {
  readonly decision: string;
  readonly trace: string;
}

/** The response for a refusal, with the ids of its record if it has a record. @see RFC 6749 section 5.2 */
export const errorReply = (
  refusal: OAuthError,
  { headers = {}, recorded }: { readonly headers?: Reply['headers']; readonly recorded?: RecordedAs } = {},
): Reply =>
  jsonReply(
    refusal.status,
    {
      error: refusal.error,
      error_description: refusal.description,
      ...(refusal.reason === undefined ? {} : { reason: refusal.reason }),
      ...(refusal.next === undefined ? {} : { next: refusal.next }),
      ...recorded,
    },
    {
      ...(refusal.status === 503 || refusal.status === 429 ? { 'retry-after': '1' } : {}),
      ...(refusal.nonce === undefined ? {} : { 'dpop-nonce': refusal.nonce }),
      ...(refusal.challenge === undefined ? {} : { 'www-authenticate': refusal.challenge }),
      ...headers,
    },
  );

/** Closes the connection after the reply: the body was not read, so no request can follow. */
export const withClosedConnection = (reply: Reply): Reply => ({
  ...reply,
  headers: { ...reply.headers, connection: 'close' },
});
