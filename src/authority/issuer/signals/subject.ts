import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { made, members, optional, type Reader, text } from '../../../core/runtime/fields.ts';

/** A simple subject identifier. @see RFC 9493 section 3.2, OpenID Shared Signals Framework 1.0 section 3.5 */
export type SimpleSubject =
  | { readonly format: 'jwt_id'; readonly issuer: string; readonly tokenId: string }
  | { readonly format: 'opaque'; readonly id: string }
  | {
      readonly format: 'uri';
      readonly uri: string;
      /** `null` if the URI is not a SPIFFE ID. */
      readonly spiffeId: SpiffeId | null;
    }
  | { readonly format: 'iss_sub'; readonly issuer: string; readonly subject: string }
  | { readonly format: 'email'; readonly email: string };

/** The role of a member in a complex subject; `self` for a simple subject. */
export type SubjectRole = 'self' | 'user' | 'session' | 'application' | 'device' | 'tenant' | 'org_unit' | 'group';

/** The subject of an event: everything that matches all members, of which there is at least one. */
export interface SignalSubject {
  readonly format: SimpleSubject['format'] | 'complex';
  readonly members: readonly { readonly role: SubjectRole; readonly is: SimpleSubject }[];
}

/** Whether the event is about an agent, for any user. An event about a user stops no task of other users. */
export const isAboutAgent = (subject: SignalSubject): boolean =>
  subject.members.every(
    ({ role, is }) => role === 'application' || (role === 'self' && is.format === 'uri' && is.spiffeId !== null),
  );

/** Longest text of a subject, in characters. */
const MAX_CHARACTERS = 512;

/**
 * Parses a `sub_id`. Refuses unknown formats and members, critical or not, because ignoring them would widen the subject.
 *
 * @see RFC 9493 section 3, OpenID Shared Signals Framework 1.0 section 3
 */
export const subject: Reader<SignalSubject> = (value) => {
  if (value === undefined) return { problem: 'is required' };
  if (formatOf(value) === 'complex') return complex(value);
  const read = simple(value);
  return isProblem(read) ? read : { format: read.format, members: [{ role: 'self', is: read }] };
};

const word = text({ max: MAX_CHARACTERS });

const jwtId: Reader<SimpleSubject> = made(members({ format: word, iss: word, jti: word }), ({ iss, jti }) => ({
  format: 'jwt_id',
  issuer: iss,
  tokenId: jti,
}));

const opaque: Reader<SimpleSubject> = made(members({ format: word, id: word }), ({ id }) => ({ format: 'opaque', id }));

const uri: Reader<SimpleSubject> = made(members({ format: word, uri: word }), ({ uri: given }) => {
  const id = spiffeIdFrom(given);
  return { format: 'uri', uri: given, spiffeId: isDeny(id) ? null : id };
});

const issSub: Reader<SimpleSubject> = made(members({ format: word, iss: word, sub: word }), ({ iss, sub }) => ({
  format: 'iss_sub',
  issuer: iss,
  subject: sub,
}));

const address = text({ max: 320, grammar: { matches: (it) => /^[^@]+@[^@]+$/.test(it), words: 'an address' } });

const email: Reader<SimpleSubject> = made(members({ format: word, email: address }), (read) => ({
  format: 'email',
  email: read.email,
}));

const simpleFormats: ReadonlyMap<unknown, Reader<SimpleSubject>> = new Map([
  ['jwt_id', jwtId],
  ['opaque', opaque],
  ['uri', uri],
  ['iss_sub', issSub],
  ['email', email],
]);

const roles: readonly Exclude<SubjectRole, 'self'>[] = [
  'user',
  'session',
  'application',
  'device',
  'tenant',
  'org_unit',
  'group',
];

function formatOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'format' in value ? value.format : undefined;
}

function simple(value: unknown): SimpleSubject | Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'must be an object' };
  const reader = simpleFormats.get(formatOf(value));
  return reader === undefined ? { problem: 'must have a supported `format`' } : reader(value);
}

const optionalSimple = optional(simple);

const complexMembers = members({
  format: word,
  user: optionalSimple,
  session: optionalSimple,
  application: optionalSimple,
  device: optionalSimple,
  tenant: optionalSimple,
  org_unit: optionalSimple,
  group: optionalSimple,
});

const complex: Reader<SignalSubject> = made(complexMembers, (read) => {
  const described = roles.flatMap((role) => {
    const is = read[role];
    return is === null ? [] : [{ role, is }];
  });
  return described.length > 0
    ? { format: 'complex', members: described }
    : { problem: 'must have at least one member' };
});
