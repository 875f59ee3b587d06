/** Verifies a Security Event Token (RFC 8417). */
import { type Deny, isDeny } from '../../../core/decision/decision.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import { unverifiedJwtFrom, type VerificationKeys, verifyingKey } from '../../../core/token/jose/jwt.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { absent, members, oneOrMore, optional, type Reader, seconds, text } from '../../../core/runtime/fields.ts';
import { type EventMeaning, type EventType, eventTypes } from './event.ts';
import { type SignalError, type SignalErrorCode, signalError } from './signal-error.ts';
import { type SignalSubject, subject } from './subject.ts';
import type { Transmitter } from './transmitter.ts';

/** The event of a Security Event Token with verified signature and claims. */
export interface SecurityEvent {
  readonly transmitter: Transmitter;
  /** `jti`, unique among the tokens of the transmitter. */
  readonly tokenId: string;
  /** Seconds since the Unix epoch. */
  readonly issuedAtSeconds: number;
  readonly subject: SignalSubject;
  /** The type of the event, a URI. */
  readonly uri: string;
  /** Whether `iat` is ahead of this clock by more than the tolerated skew: a clock is wrong, so the event restores no trust. */
  readonly isAhead: boolean;
  /** Its type and meaning; `null` for an unsupported type. */
  readonly known: { readonly type: EventType; readonly meaning: EventMeaning } | null;
}

/** The rules for Security Event Tokens. */
export interface SetRules {
  /** By issuer. */
  readonly transmitters: ReadonlyMap<string, Transmitter>;
  /** The transmitters' keys, of the kind `external`, refreshed in the background. */
  readonly keys: VerificationKeys;
  /** Greatest accepted age of `iat`; default 86,400. The replay memory does not cover older tokens. */
  readonly maxAgeSeconds: number;
  /** Tolerated clock skew, either way; default 60. */
  readonly clockSkewSeconds: number;
}

/** The clocks by which the times of a token are judged (`Authority`). */
export interface SetClocks {
  readonly nowMs: number;
  readonly floorMs: number;
}

/** The transmitter's keys are not available at present; the same token may be accepted later. */
export const KEYS_UNAVAILABLE = 'keys-unavailable';

/** Longest accepted token, in characters. */
export const MAX_SET_CHARACTERS = 16_384;

/** Required `typ`, so that no other token of the same issuer passes for a signal. @see RFC 8417 section 2.3 */
const TOKEN_TYPES: ReadonlySet<string | null> = new Set(['secevent+jwt', 'application/secevent+jwt']);

/** How far ahead `iat` may be of an event that takes something away. The replay memory keeps each no longer than that and its own age. */
const MAX_AHEAD_SECONDS = 86_400;

/**
 * Parses and verifies a compact Security Event Token: signed by a key of a configured transmitter, for this receiver, recent,
 * with a subject and exactly one event. Never throws, fetches nothing. The caller checks for replays.
 *
 * INVARIANT: the wall clock refuses no event that takes something away. Such an event may be dated up to a day ahead, and its age is
 * judged by the floor, which a wall clock that steps does not move.
 *
 * @param clocks milliseconds since the Unix epoch: `nowMs` does not step back; `floorMs` is the clock of the replay memory
 * @see RFC 8417 section 2, RFC 8935 section 2.4, OpenID Shared Signals Framework 1.0 section 4
 */
export function securityEventFrom(
  compact: string,
  rules: SetRules,
  clocks: SetClocks,
): SecurityEvent | SignalError | typeof KEYS_UNAVAILABLE {
  const jwt = unverifiedJwtFrom(compact, MAX_SET_CHARACTERS);
  if (isDeny(jwt)) return refusalOf(jwt);
  if (!TOKEN_TYPES.has(jwt.jws.type)) return malformed('header member `typ` must be `secevent+jwt`');
  const transmitter = rules.transmitters.get(jwt.issuer);
  if (transmitter === undefined) return signalError('invalid_issuer', 'claim `iss` is not a configured transmitter');
  const key = verifyingKey(jwt, rules.keys, 'external');
  if (isDeny(key)) return key.reason === 'token.keys-unavailable' ? KEYS_UNAVAILABLE : refusalOf(key);
  return eventFrom(jwt.claims, transmitter, { rules, clocks });
}

/** Error codes by reason; `invalid_request` for all others. */
const errOf: ReadonlyMap<ReasonCode, SignalErrorCode> = new Map([
  ['token.issuer', 'invalid_issuer'],
  ['token.algorithm', 'invalid_key'],
  ['token.signature', 'authentication_failed'],
]);

const refusalOf = ({ reason, detail }: Deny): SignalError =>
  signalError(errOf.get(reason) ?? 'invalid_request', detail);

const malformed = (description: string): SignalError => signalError('invalid_request', description);

const MAX_CHARACTERS = 512;
const MAX_AUDIENCES = 16;

const word = text({ max: MAX_CHARACTERS });

interface RawEvent {
  readonly uri: string;
  /** Wrapped, so that a payload with a member `problem` is not mistaken for a `Problem`. */
  readonly payload: unknown;
}

const events: Reader<RawEvent> = (value) => {
  if (value === undefined) return { problem: 'is required' };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'must be an object' };
  const [entry, ...others] = Object.entries(value);
  if (entry === undefined || others.length > 0) return { problem: 'must have exactly one event' };
  const [uri, payload] = entry;
  if (isProblem(word(uri))) return { problem: `must name its event in 1 to ${MAX_CHARACTERS} characters` };
  return { uri, payload };
};

const setClaims = members(
  {
    iss: word,
    // Claims that other kinds of tokens have: RFC 8417 section 4.5 and 4.6.
    sub: absent,
    exp: absent,
    aud: oneOrMore(word, { max: MAX_AUDIENCES }),
    iat: seconds,
    jti: word,
    txn: optional(word),
    toe: optional(seconds),
    sub_id: subject,
    events,
  },
  { noun: 'claim', others: 'ignored' },
);

function eventFrom(
  payload: unknown,
  transmitter: Transmitter,
  { rules, clocks }: { readonly rules: SetRules; readonly clocks: SetClocks },
): SecurityEvent | SignalError {
  const claims = setClaims(payload);
  if (isProblem(claims)) return malformed(claims.problem);
  if (!claims.aud.includes(transmitter.audience)) {
    return signalError('invalid_audience', 'claim `aud` does not name this receiver');
  }
  if (claims.iat < clocks.floorMs / 1_000 - rules.maxAgeSeconds) {
    return malformed(`claim \`iat\` is more than ${rules.maxAgeSeconds} s ago`);
  }
  const known = knownFrom(claims.events);
  if (isProblem(known)) return malformed(`the event ${known.problem}`);
  const aheadSeconds = claims.iat - clocks.nowMs / 1_000;
  const isAhead = aheadSeconds > rules.clockSkewSeconds;
  if (aheadSeconds > (known !== null && takesAway(known.meaning) ? MAX_AHEAD_SECONDS : rules.clockSkewSeconds)) {
    return malformed('claim `iat` is in the future');
  }
  const { jti: tokenId, iat: issuedAtSeconds, sub_id: about } = claims;
  return { transmitter, tokenId, issuedAtSeconds, subject: about, uri: claims.events.uri, isAhead, known };
}

const takesAway = ({ isAdverse, risk }: EventMeaning): boolean => isAdverse || risk === 'medium' || risk === 'high';

function knownFrom({ uri, payload }: RawEvent): SecurityEvent['known'] | Problem {
  const type = eventTypes.get(uri);
  if (type === undefined) return null;
  const meaning = type.meaning(payload);
  return isProblem(meaning) ? meaning : { type, meaning };
}
