import { isProblem, listOf, membersFrom, optional, type Problem, type Reader, seconds, text } from './members.ts';

/** The one authorization details type Remit issues and accepts. */
export const AUTHORIZATION_DETAILS_TYPE = 'urn:remit:task';

/** Bounds of one `authorization_details` value; more is refused. */
export const authorizationDetailsLimits = Object.freeze({
  maxEntries: 32,
  maxLocations: 32,
  maxActions: 64,
  maxCharacters: 256,
  maxLocationCharacters: 2048,
});

/** When an entry may be used: milliseconds since the Unix epoch, `null` where that side is open. */
export interface Constraints {
  /** First instant at which it may be used. */
  readonly notBeforeMs: number | null;
  /** First instant at which it may no longer be used. */
  readonly notAfterMs: number | null;
}

/** One entry of `authorization_details`; entries are alternatives, and what an entry does not name it does not grant. */
export interface AuthorizationDetail {
  readonly type: typeof AUTHORIZATION_DETAILS_TYPE;
  /** Absolute URIs of resources, compared exactly. */
  readonly locations: readonly string[];
  /** Catalog action ids, or families such as `payments.*`. */
  readonly actions: readonly string[];
  readonly constraints: Constraints;
  readonly purpose: string | null;
}

/**
 * The entries of an RFC 9396 `authorization_details` value, as a token carries it and as a client asks for it. Strict:
 * at least one entry, no other type, no unknown member and no unknown constraint, every bound of
 * `authorizationDetailsLimits`. The constraints known are `not_before` and `not_after`, whole seconds since the epoch.
 * The problem is a clause whose subject is the value itself: "entry 0 member `actions` is required".
 *
 * @see RFC 9396 sections 2 and 5
 */
export function authorizationDetailsFrom(value: unknown): readonly AuthorizationDetail[] | Problem {
  return listOf(detailFrom, { max: authorizationDetailsLimits.maxEntries })(value);
}

const { maxActions, maxCharacters, maxLocationCharacters, maxLocations } = authorizationDetailsLimits;

const type: Reader<typeof AUTHORIZATION_DETAILS_TYPE> = (value) =>
  value === AUTHORIZATION_DETAILS_TYPE ? value : { problem: `must be \`${AUTHORIZATION_DETAILS_TYPE}\`` };

const location = text({
  max: maxLocationCharacters,
  grammar: {
    matches: (uri) => /^[\x21-\x7e]+$/.test(uri) && !uri.includes('#') && URL.canParse(uri),
    words: 'an absolute URI without a fragment',
  },
});

const action = text({
  max: maxCharacters,
  grammar: { matches: (id) => /^[\x21-\x7e]+$/.test(id), words: 'printable ASCII without spaces' },
});

const purpose = text({
  max: maxCharacters,
  grammar: { matches: (words) => !/[^\P{Cc}\t\n]/u.test(words), words: 'without control characters' },
});

const constraints: Reader<Constraints> = (value) => {
  if (value === undefined) return { notBeforeMs: null, notAfterMs: null };
  const read = membersFrom(
    value,
    { not_before: optional(seconds), not_after: optional(seconds) },
    { noun: 'constraint', others: 'refused' },
  );
  if (isProblem(read)) return read;
  const { not_before: from, not_after: to } = read;
  if (from !== null && to !== null && to <= from) return { problem: 'must have `not_after` later than `not_before`' };
  return { notBeforeMs: from === null ? null : from * 1000, notAfterMs: to === null ? null : to * 1000 };
};

const readers = {
  type,
  locations: listOf(location, { max: maxLocations }),
  actions: listOf(action, { max: maxActions }),
  constraints,
  purpose: optional(purpose),
};

const detailFrom: Reader<AuthorizationDetail> = (value) =>
  membersFrom(value, readers, { noun: 'member', others: 'refused' });
