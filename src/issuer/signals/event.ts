import { isProblem } from '../../runtime/problem.ts';
import { membersFrom, optional, type Reader, seconds, text } from '../../runtime/fields.ts';
import type { ChangedValues } from '../../task/attestation.ts';
import type { SignalName } from '../../task/cause.ts';
import { namedValuesFrom } from '../../task/named-values.ts';
import type { Risk } from '../../action/catalog.ts';

/** What the payload of an event says, as far as it matters here. */
export interface EventMeaning {
  /** Whether it takes something away: a session, a level, compliance. An event that does not has no effect. */
  readonly isAdverse: boolean;
  /** The level of a `risk-level-change`, else `null`. */
  readonly risk: Risk | null;
  /** What holds now by its word, as named values; `null` for what no longer does. Empty where it tells of no values. */
  readonly attests: ChangedValues;
}

/** A type of event that is understood. */
export interface EventType {
  /** The last part of its URI, unique here: what the operator calls it. */
  readonly name: SignalName;
  readonly uri: string;
  readonly meaning: Reader<EventMeaning>;
}

const MAX_CHARACTERS = 512;

const word = text({ max: MAX_CHARACTERS });

/** A word of a closed list; any other word is refused. */
const oneOf =
  <T extends string>(...words: readonly T[]): Reader<T> =>
  (value) =>
    words.find((known) => known === value) ?? { problem: `must be one of ${words.join(', ')}` };

/** Members that every event may have. `event_timestamp` in milliseconds is beyond the year 9999 and refused. */
const common = {
  event_timestamp: optional(seconds),
  initiating_entity: optional(oneOf('admin', 'user', 'policy', 'system')),
};

/** An event by its own members and the common ones; members not named here are ignored. */
const meaningOf =
  <R extends Readonly<Record<string, Reader<unknown>>>>(
    readers: R,
    mean: (members: { readonly [K in keyof R]: R[K] extends Reader<infer T> ? T : never }) => EventMeaning,
  ): Reader<EventMeaning> =>
  (value) => {
    const shared = membersFrom(value, common, ignoringOthers);
    if (isProblem(shared)) return shared;
    const read = membersFrom(value, readers, ignoringOthers);
    return isProblem(read) ? read : mean(read);
  };

const ignoringOthers = { noun: 'member', others: 'ignored' } as const;

const adverse: EventMeaning = { isAdverse: true, risk: null, attests: {} };
const harmless: EventMeaning = { isAdverse: false, risk: null, attests: {} };

const always = (meaning: EventMeaning): Reader<EventMeaning> => meaningOf({}, () => meaning);

const claims: Reader<Readonly<Record<string, unknown>>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
    ? { ...value }
    : { problem: 'must be an object with at least one claim' };

/**
 * The values that can be named, by their names. A name that no value can have had says nothing. What is no text, number or
 * boolean, or is longer than a value may be, takes the value of that name away: it no longer holds.
 */
const namedFrom = (values: Readonly<Record<string, unknown>>): ChangedValues =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => !isProblem(namedValuesFrom({ [name]: '' })))
      .map(([name, value]) => {
        const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
        return [name, isProblem(namedValuesFrom({ [name]: text })) ? null : String(text)];
      }),
  );

const levels: Readonly<Record<'LOW' | 'MEDIUM' | 'HIGH', Risk>> = { LOW: 'low', MEDIUM: 'medium', HIGH: 'high' };

const complianceStatus = oneOf('compliant', 'not-compliant');
const riskLevel = oneOf('LOW', 'MEDIUM', 'HIGH');

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/';
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type/';

const types: readonly (readonly [prefix: string, name: SignalName, meaning: Reader<EventMeaning>])[] = [
  [CAEP, 'session-revoked', always(adverse)],
  [
    CAEP,
    'credential-change',
    meaningOf(
      { credential_type: word, change_type: oneOf('create', 'revoke', 'update', 'delete') },
      ({ change_type: change }) => (change === 'revoke' || change === 'delete' ? adverse : harmless),
    ),
  ],
  [
    CAEP,
    'token-claims-change',
    meaningOf({ claims }, (members) => ({ ...adverse, attests: namedFrom(members.claims) })),
  ],
  [
    CAEP,
    'assurance-level-change',
    meaningOf(
      { namespace: word, current_level: word, change_direction: optional(oneOf('increase', 'decrease')) },
      // Without a direction nobody here can tell, since levels are ordered by their namespace: taken for the worse.
      ({ change_direction: direction, namespace, current_level: level }) => ({
        ...(direction === 'increase' ? harmless : adverse),
        attests: namedFrom({ [`assurance-level.${namespace}`]: level }),
      }),
    ),
  ],
  [
    CAEP,
    'device-compliance-change',
    meaningOf(
      { previous_status: complianceStatus, current_status: complianceStatus },
      ({ current_status: status }) => ({
        ...(status === 'not-compliant' ? adverse : harmless),
        attests: { 'device-compliance': status },
      }),
    ),
  ],
  [
    CAEP,
    'risk-level-change',
    meaningOf(
      { principal: word, current_level: riskLevel, previous_level: optional(riskLevel) },
      ({ current_level: level }) => ({ isAdverse: level === 'HIGH', risk: levels[level], attests: {} }),
    ),
  ],
  [CAEP, 'session-established', always(harmless)],
  [CAEP, 'session-presented', always(harmless)],
  [RISC, 'account-disabled', always(adverse)],
  [RISC, 'account-purged', always(adverse)],
  [RISC, 'account-credential-change-required', always(adverse)],
  [RISC, 'credential-compromise', meaningOf({ credential_type: word }, () => adverse)],
  [RISC, 'sessions-revoked', always(adverse)],
  [SSF, 'verification', meaningOf({ state: optional(text({ min: 0, max: 2_048 })) }, () => harmless)],
  [SSF, 'stream-updated', always(harmless)],
];

/**
 * Every type of event that is understood, by its URI.
 *
 * @see OpenID CAEP 1.0 section 3, OpenID RISC 1.0 section 2, OpenID Shared Signals Framework 1.0 section 8.1.4
 */
export const eventTypes: ReadonlyMap<string, EventType> = new Map(
  types.map(([prefix, name, meaning]) => [`${prefix}${name}`, { name, uri: `${prefix}${name}`, meaning }]),
);

/** Events that tell of values, which their transmitter can attest. */
export const attestingEvents: ReadonlySet<string> = new Set<SignalName>([
  'token-claims-change',
  'assurance-level-change',
  'device-compliance-change',
]);
