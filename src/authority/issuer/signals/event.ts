import { isProblem } from '../../../core/runtime/problem.ts';
import {
  made,
  type Members,
  members,
  oneOf,
  optional,
  type Reader,
  seconds,
  text,
} from '../../../core/runtime/fields.ts';
import type { ChangedValues } from '../../../core/task/attestation.ts';
import type { SignalName } from '../../../core/task/cause.ts';
import { namedValuesFrom } from '../../../core/task/named-values.ts';
import type { Risk } from '../../../core/action/catalog/catalog.ts';

/** The meaning of an event's payload for tasks. */
export interface EventMeaning {
  /** Whether it takes something away: a session, a level, compliance. */
  readonly isAdverse: boolean;
  /** The level of a `risk-level-change`; `null` for other events. */
  readonly risk: Risk | null;
  /** Named values that hold now; `null` for a value that no longer holds. Empty if the event has no values. */
  readonly attests: ChangedValues;
}

/** A supported type of event. */
export interface EventType {
  /** The last part of its URI, unique among supported types; used in the configuration. */
  readonly name: SignalName;
  readonly uri: string;
  readonly meaning: Reader<EventMeaning>;
}

const MAX_CHARACTERS = 512;

const word = text({ max: MAX_CHARACTERS });

/** Members that every event may have. `event_timestamp` in milliseconds is beyond the year 9999 and refused. */
const common = members(
  {
    event_timestamp: optional(seconds),
    initiating_entity: optional(oneOf(['admin', 'user', 'policy', 'system'])),
  },
  { others: 'ignored' },
);

/** An event by its own and the common members; members not named here are ignored. */
function meaningOf<R extends Readonly<Record<string, Reader<unknown>>>>(
  readers: R,
  mean: (read: Members<R>) => EventMeaning,
): Reader<EventMeaning> {
  const own: Reader<EventMeaning> = made(members(readers, { others: 'ignored' }), mean);
  return (value) => {
    const shared = common(value);
    return isProblem(shared) ? shared : own(value);
  };
}

const adverse: EventMeaning = { isAdverse: true, risk: null, attests: {} };
const harmless: EventMeaning = { isAdverse: false, risk: null, attests: {} };

const always = (meaning: EventMeaning): Reader<EventMeaning> => meaningOf({}, () => meaning);

const claims: Reader<Readonly<Record<string, unknown>>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
    ? { ...value }
    : { problem: 'must be an object with at least one claim' };

/**
 * Converts claims to named values. Ignores claims whose names are invalid for values. A claim that is not a string, number or
 * boolean, or is too long, becomes `null`, because the former value no longer holds.
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

const complianceStatus = oneOf(['compliant', 'not-compliant']);
const riskLevel = oneOf(['LOW', 'MEDIUM', 'HIGH']);

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/';
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type/';

const types: readonly (readonly [prefix: string, name: SignalName, meaning: Reader<EventMeaning>])[] = [
  [CAEP, 'session-revoked', always(adverse)],
  [
    CAEP,
    'credential-change',
    meaningOf(
      { credential_type: word, change_type: oneOf(['create', 'revoke', 'update', 'delete']) },
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
      { namespace: word, current_level: word, change_direction: optional(oneOf(['increase', 'decrease'])) },
      // Levels are ordered by their namespace, so without a direction the change counts as adverse.
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
 * The supported types of events, by URI.
 *
 * @see OpenID CAEP 1.0 section 3, OpenID RISC 1.0 section 2, OpenID Shared Signals Framework 1.0 section 8.1.4
 */
export const eventTypes: ReadonlyMap<string, EventType> = new Map(
  types.map(([prefix, name, meaning]) => [`${prefix}${name}`, { name, uri: `${prefix}${name}`, meaning }]),
);

/** Events with values that their transmitter can attest. */
export const attestingEvents: ReadonlySet<string> = new Set<SignalName>([
  'token-claims-change',
  'assurance-level-change',
  'device-compliance-change',
]);
