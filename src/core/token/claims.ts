import { deny, type Deny } from '../decision/decision.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { ownTextOf, BoundedMemo } from '../runtime/collections/bounded-memo.ts';
import { authorizationDetailsFrom, type AuthorizationDetail } from './authorization-details.ts';
import { isSha256Base64url, SHA256_BASE64URL_CHARACTERS } from './jose/base64url.ts';
import { actorChain, audience, name, scope, spiffeId, taskId, tokenId } from './jose/claim-readers.ts';
import { type Confirmation, confirmation } from './proof/confirmation.ts';
import { isProblem, type Problem } from '../runtime/problem.ts';
import { made, members, optional, type Reader, seconds, text } from '../runtime/fields.ts';
import { useKeyOf } from './use-key.ts';

/** A reference to another span: ids in lower-case hex, neither all zero. */
export interface SpanReference {
  readonly traceId: string;
  readonly spanId: string;
}

/** A verified task token: an RFC 9068 access token for one task of one agent at one resource. */
export interface TaskToken {
  readonly kind: 'task-token';
  readonly issuer: string;
  readonly keyId: string;
  /** The only resource it is for. */
  readonly audience: string;
  /** The delegating user, or the agent itself. */
  readonly subject: string;
  /** The agent. */
  readonly clientId: SpiffeId;
  /** Who acts for the subject, outermost first; empty if the subject is the agent. Only the first is used. */
  readonly actors: readonly string[];
  /**
   * The `may_act` claim: the agent that may exchange this token for its own. Such a token is only for that exchange; no call is
   * allowed with it, not even by `clientId`. `null` for every other token.
   */
  readonly delegate: SpiffeId | null;
  /** Seconds since the Unix epoch. */
  readonly issuedAtSeconds: number;
  /** Seconds since the Unix epoch. */
  readonly expiresAtSeconds: number;
  /** The `jti` claim. */
  readonly tokenId: string;
  /** The `txn` claim, a UUID in lower case. */
  readonly taskId: string;
  readonly scope: readonly string[];
  readonly details: readonly AuthorizationDetail[];
  /** Never `null` after `verifyTaskToken`: a token without a binding is refused. */
  readonly confirmation: Confirmation | null;
  /** `sha-256:` and the base64url digest of the declared intent. */
  readonly intentHash: string;
  /** The span of the token's issuance, signed into it. */
  readonly issuance: SpanReference;
  /** The key by which uses are counted: `useKeyOf` its issuer and `jti`, independent of header and signature. */
  readonly useKey: string;
}

/** The claims of a token, with the instant that only verification needs. */
export interface TaskClaims {
  readonly token: TaskToken;
  /** Seconds since the Unix epoch; `null` if the token has no `nbf`. */
  readonly notBeforeSeconds: number | null;
}

/**
 * Parses the claims of a verified payload in the profile of a task token. Denies with `token.malformed` if a claim is missing or invalid,
 * `token.audience` if `aud` is not exactly one resource, `token.binding` without a binding. The caller checks times
 * and the value of the audience. Unknown claims are ignored.
 *
 * @see RFC 9068 section 2.2, RFC 8693 sections 4.1 and 4.4, RFC 9396 section 9, RFC 7800 section 3.1
 */
export function taskClaimsFrom(payload: unknown, envelope: { readonly keyId: string }): TaskClaims | Deny {
  const claims = taskClaims(payload);
  if (isProblem(claims)) return deny('token.malformed', claims.problem);
  const [audience, ...others] = claims.aud;
  if (audience === undefined || others.length > 0) {
    return deny('token.audience', 'claim `aud` must name exactly one resource');
  }
  if (claims.cnf === null) return deny('token.binding', 'claim `cnf` is required: the token is bound to nothing');
  const actorProblem = delegationProblem(claims.sub, claims.client_id, claims.act);
  if (actorProblem !== null) return deny('token.malformed', actorProblem);
  const token: TaskToken = {
    kind: 'task-token',
    issuer: claims.iss,
    keyId: envelope.keyId,
    audience: audience,
    subject: claims.sub,
    clientId: claims.client_id,
    actors: claims.act,
    delegate: claims.may_act?.sub ?? null,
    issuedAtSeconds: claims.iat,
    expiresAtSeconds: claims.exp,
    tokenId: claims.jti,
    taskId: claims.txn,
    scope: claims.scope,
    details: claims.authorization_details,
    confirmation: claims.cnf,
    intentHash: claims.remit_intent.h,
    issuance: claims.remit_intent.tp,
    useKey: useKeyOf(claims.iss, claims.jti),
  };
  return { token, notBeforeSeconds: claims.nbf };
}

const issuerClaim = members({ iss: name }, { noun: 'claim', others: 'ignored' });

/** The issuer that a payload claims, used to choose keys before anything in it may be trusted. */
export function claimedIssuerOf(payload: unknown): string | Problem {
  const claims = issuerClaim(payload);
  return isProblem(claims) ? claims : claims.iss;
}

/** A subject other than the agent requires the agent as its actor. */
function delegationProblem(subject: string, agent: SpiffeId, actors: readonly string[]): string | null {
  const [actor] = actors;
  if (actor === undefined) {
    return subject === agent ? null : 'claim `act` is required if `sub` is not `client_id`';
  }
  return actor === agent ? null : 'claim `act` must name `client_id` as the outermost actor';
}

const delegate = members({ sub: spiffeId });

const INTENT_HASH_PREFIX = 'sha-256:';

const intentHash = text({
  max: INTENT_HASH_PREFIX.length + SHA256_BASE64URL_CHARACTERS,
  grammar: {
    matches: (hash) => hash.startsWith(INTENT_HASH_PREFIX) && isSha256Base64url(hash.slice(INTENT_HASH_PREFIX.length)),
    words: '`sha-256:` and a digest in base64url',
  },
});

/** A `traceparent` of version 00. @see W3C Trace Context section 3.2 */
const TRACE_PARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$/;

const spanReference: Reader<SpanReference> = made(text({ max: 55 }), (value) => {
  const [, traceId, spanId] = TRACE_PARENT.exec(value) ?? [];
  return traceId === undefined || spanId === undefined
    ? { problem: 'must be a trace context of version 00' }
    : // Copies: a slice would keep the whole string in memory.
      { traceId: ownTextOf(traceId), spanId: ownTextOf(spanId) };
});

const intent = members({ h: intentHash, tp: spanReference }, { others: 'ignored' });

const entries = new BoundedMemo<readonly AuthorizationDetail[]>({ maxKeyChars: 2_048 });

/** Memoised by their JSON: the tokens of an agent mostly have the same entries. */
function details(value: unknown): readonly AuthorizationDetail[] | Problem {
  if (value === undefined) return authorizationDetailsFrom(value);
  const json = JSON.stringify(value);
  const known = entries.get(json);
  if (known !== undefined) return known;
  const read = authorizationDetailsFrom(value);
  if (!isProblem(read)) entries.set(json, read);
  return read;
}

const taskClaims = members(
  {
    iss: name,
    aud: audience,
    sub: name,
    client_id: spiffeId,
    act: actorChain({ others: 'refused' }),
    may_act: optional(delegate),
    iat: seconds,
    nbf: optional(seconds),
    exp: seconds,
    jti: tokenId,
    txn: taskId,
    scope,
    authorization_details: details,
    cnf: optional(confirmation),
    remit_intent: intent,
  },
  { noun: 'claim', others: 'ignored' },
);
