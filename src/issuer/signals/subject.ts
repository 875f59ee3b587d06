import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { spiffeIdFrom } from '../../identity/spiffe-id.ts';
import { isDeny } from '../../decision/decision.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { membersFrom, type Reader, text } from '../../runtime/fields.ts';

/** A simple subject identifier. @see RFC 9493 section 3.2, OpenID Shared Signals Framework 1.0 section 3.5 */
export type SimpleSubject =
  | { readonly format: 'jwt_id'; readonly issuer: string; readonly tokenId: string }
  | { readonly format: 'opaque'; readonly id: string }
  | {
      readonly format: 'uri';
      readonly uri: string;
      /** `null` where the URI is not a SPIFFE ID. */
      readonly spiffeId: SpiffeId | null;
    }
  | { readonly format: 'iss_sub'; readonly issuer: string; readonly subject: string }
  | { readonly format: 'email'; readonly email: string };

/** The role of a member in a complex subject; `self` for a simple subject. */
export type SubjectRole = 'self' | 'user' | 'session' | 'application' | 'device' | 'tenant' | 'org_unit' | 'group';

/** The subject of an event: whatever matches all members; at least one. */
export interface SignalSubject {
  readonly format: SimpleSubject['format'] | 'complex';
  readonly members: readonly { readonly role: SubjectRole; readonly is: SimpleSubject }[];
}

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

const rules = { noun: 'member', others: 'refused' } as const;

const jwtId: Reader<SimpleSubject> = (value) => {
  const read = membersFrom(value, { format: word, iss: word, jti: word }, rules);
  return isProblem(read) ? read : { format: 'jwt_id', issuer: read.iss, tokenId: read.jti };
};

const opaque: Reader<SimpleSubject> = (value) => {
  const read = membersFrom(value, { format: word, id: word }, rules);
  return isProblem(read) ? read : { format: 'opaque', id: read.id };
};

const uri: Reader<SimpleSubject> = (value) => {
  const read = membersFrom(value, { format: word, uri: word }, rules);
  if (isProblem(read)) return read;
  const spiffeId = spiffeIdFrom(read.uri);
  return { format: 'uri', uri: read.uri, spiffeId: isDeny(spiffeId) ? null : spiffeId };
};

const issSub: Reader<SimpleSubject> = (value) => {
  const read = membersFrom(value, { format: word, iss: word, sub: word }, rules);
  return isProblem(read) ? read : { format: 'iss_sub', issuer: read.iss, subject: read.sub };
};

const address = text({ max: 320, grammar: { matches: (it) => /^[^@]+@[^@]+$/.test(it), words: 'an address' } });

const email: Reader<SimpleSubject> = (value) => {
  const read = membersFrom(value, { format: word, email: address }, rules);
  return isProblem(read) ? read : { format: 'email', email: read.email };
};

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
  return reader === undefined ? { problem: 'must have a `format` that is supported here' } : reader(value);
}

const optionalSimple = (value: unknown): SimpleSubject | Problem | null => (value === undefined ? null : simple(value));

const complexReaders = {
  format: word,
  user: optionalSimple,
  session: optionalSimple,
  application: optionalSimple,
  device: optionalSimple,
  tenant: optionalSimple,
  org_unit: optionalSimple,
  group: optionalSimple,
};

function complex(value: unknown): SignalSubject | Problem {
  const read = membersFrom(value, complexReaders, rules);
  if (isProblem(read)) return read;
  const members = roles.flatMap((role) => {
    const is = read[role];
    return is === null ? [] : [{ role, is }];
  });
  return members.length > 0 ? { format: 'complex', members } : { problem: 'must have at least one member' };
}
