import { MAX_REMEMBERED_USES } from '../token/reuse.ts';
import type { AllowedUses } from '../token/reuse.ts';
import type { SpanReference } from '../token/claims.ts';
import type { UsesSoFar } from '../token/uses.ts';
import type { AllowedUsesMessage, Elsewhere, TokenUsesMessage } from './messages.ts';

/** Longest text of a place. */
const MAX_TEXT = 512;
/** Highest number of a use that is taken, so that the numbers after it stay exact. */
const MAX_USES = 2 ** 48;
const MAX_MARK = 2 ** 30;
const TRACE_ID = /^[0-9a-f]{32}$/;
const SPAN_ID = /^[0-9a-f]{16}$/;

/** What a process reports of the uses of a token, for the wire. */
export const usesMessage = (jtiDigest: string, { uses, last, allowed }: UsesSoFar): TokenUsesMessage => ({
  jti_digest: jtiDigest,
  uses,
  trace_id: last?.traceId ?? '',
  span_id: last?.spanId ?? '',
  allowed: allowed === null ? null : allowedMessage(allowed),
});

/** The uses that a sidecar reports; `null` if the message is malformed or too large. */
export function reportedUsesFrom(message: TokenUsesMessage): (UsesSoFar & { readonly jtiDigest: string }) | null {
  const { jti_digest: jtiDigest, uses, allowed } = message;
  if (!isText(jtiDigest) || !Number.isSafeInteger(uses) || uses < 1 || uses > MAX_USES) return null;
  if (allowed !== null && !isBounded(allowed)) return null;
  return { jtiDigest, uses, last: spanFrom(message), allowed: allowed === null ? null : allowedFrom(allowed) };
}

/** What a card says of the uses of its token elsewhere, for the wire. */
export const elsewhereMessage = ({
  reporters,
  firstMs,
  uses,
  last,
  allowed,
}: UsesSoFar & { readonly reporters: number; readonly firstMs: number }): Elsewhere => ({
  sidecars: reporters,
  uses,
  first_opened_ms: firstMs,
  trace_id: last?.traceId ?? '',
  span_id: last?.spanId ?? '',
  allowed: allowed === null ? null : allowedMessage(allowed),
});

/** The uses that a card reports. */
export const usesFrom = (elsewhere: Elsewhere): UsesSoFar => ({
  uses: elsewhere.uses,
  last: spanFrom(elsewhere),
  allowed: elsewhere.allowed === null ? null : allowedFrom(elsewhere.allowed),
});

const allowedMessage = ({ traces, places }: AllowedUses): AllowedUsesMessage => ({
  address: places.address ?? '',
  certificate: places.certificate ?? '',
  servers: places.servers,
  risks: places.risks,
  traces,
});

const allowedFrom = ({ address, certificate, servers, risks, traces }: AllowedUsesMessage): AllowedUses => ({
  traces,
  places: {
    address: address === '' ? null : address,
    certificate: certificate === '' ? null : certificate,
    // A connection is to a single proxy.
    connections: [],
    servers,
    risks,
  },
});

const spanFrom = ({
  trace_id: traceId,
  span_id: spanId,
}: Record<'trace_id' | 'span_id', string>): SpanReference | null =>
  TRACE_ID.test(traceId) && SPAN_ID.test(spanId) ? { traceId, spanId } : null;

const isBounded = ({ address, certificate, servers, risks, traces }: AllowedUsesMessage): boolean =>
  Math.max(servers.length, risks.length, traces.length) <= MAX_REMEMBERED_USES &&
  [...servers, ...risks].every(isText) &&
  [address, certificate].every((text) => text === '' || isText(text)) &&
  traces.every((mark) => mark < MAX_MARK);

const isText = (text: string): boolean => text.length > 0 && text.length <= MAX_TEXT;
