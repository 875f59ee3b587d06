import { isProblem, type Problem } from '../runtime/problem.ts';
import { integer, listOf, members, optional, type Reader, seconds, text } from '../runtime/fields.ts';

/** The only authorization details type that Remit issues and accepts. */
export const AUTHORIZATION_DETAILS_TYPE = 'urn:remit:task';

/** Limits of an `authorization_details` value; anything larger is refused. */
export const authorizationDetailsLimits = Object.freeze({
  maxEntries: 32,
  maxLocations: 32,
  maxActions: 64,
  maxCharacters: 256,
  maxLocationCharacters: 2048,
  maxArgumentCharacters: 128,
  maxCalls: 1_000_000,
});

/**
 * A limit on the sum of one argument over all uses of the task that this constraint covers, whichever entry and token they use.
 */
export interface MaxAmount {
  /** Name of the argument that is summed: a `long`, or with `isDecimal` a `decimal` too. */
  readonly argument: string;
  /** Largest sum, in the argument's unit: 0 to 2^53 - 1. With `isDecimal` in ten-thousandths of it, so that sums are exact. */
  readonly limit: number;
  /** Present if the limit is written as a decimal (`"99.95"`): then the sum is counted in ten-thousandths. */
  readonly isDecimal?: true;
  /** An argument that must have this value, such as the currency of the amount; `null` requires none. */
  readonly currency: { readonly argument: string; readonly value: string } | null;
}

/** When and how often an entry may be used. Instants are milliseconds since the Unix epoch; `null` is no limit. */
export interface Constraints {
  /** First instant at which it may be used. */
  readonly notBeforeMs: number | null;
  /** First instant at which it may no longer be used. */
  readonly notAfterMs: number | null;
  /** Allowed uses, 1 to 1,000,000. Uses by all entries with this constraint are counted together, for the whole task. */
  readonly maxCalls: number | null;
  readonly maxAmount: MaxAmount | null;
  /** Whether the task may make only one use by entries with this constraint, whichever token it presents. */
  readonly singleUse: boolean;
}

/** The constraints of an entry without any. */
export const unconstrained: Constraints = Object.freeze({
  notBeforeMs: null,
  notAfterMs: null,
  maxCalls: null,
  maxAmount: null,
  singleUse: false,
});

/** One entry of `authorization_details`. Entries are alternatives; an entry grants only what it names. */
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
 * Parses an RFC 9396 `authorization_details` value, from a token or a client's request. Strict: at least one entry, no other
 * type, no unknown member or constraint, all limits of `authorizationDetailsLimits`. Known constraints: `not_before` and
 * `not_after` (whole seconds since the epoch), `max_calls`, `max_amount` (`argument`, `limit`, optional `currency`) and
 * `single_use` (`true` or absent). All limits of one argument are whole numbers or all are decimals as text (`"99.95"`), since a
 * sum has one unit. A problem is a clause whose subject is the value: "entry 0 member `actions` is required".
 *
 * @see RFC 9396 sections 2 and 5
 */
export function authorizationDetailsFrom(value: unknown): readonly AuthorizationDetail[] | Problem {
  const details = detailsFrom(value);
  if (isProblem(details)) return details;
  const isDecimal = new Map<string, boolean>();
  for (const { constraints } of details) {
    if (constraints.maxAmount === null) continue;
    const { argument: name, isDecimal: own = false } = constraints.maxAmount;
    if ((isDecimal.get(name) ?? own) !== own) return { problem: TWO_UNITS };
    isDecimal.set(name, own);
  }
  return details;
}

const TWO_UNITS =
  'must write each `max_amount` of one argument as a whole number, or each as a decimal such as `"99.95"`';

const { maxActions, maxArgumentCharacters, maxCalls, maxCharacters, maxLocationCharacters, maxLocations } =
  authorizationDetailsLimits;

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

/** Parses an argument name of the catalog: printable, and not starting with `__`, which has a meaning in Cedar's JSON format. */
export const argumentName = text({
  max: maxArgumentCharacters,
  grammar: {
    matches: (name) => /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(name) && !name.startsWith('__'),
    words: 'an argument name',
  },
});

/** Parses a value that an argument must have, such as a currency. */
export const argumentValue = text({
  max: maxCharacters,
  grammar: { matches: (value) => /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(value), words: 'printable' },
});

const currency = members({ argument: argumentName, value: argumentValue });

interface WrittenLimit {
  readonly limit: number;
  readonly isDecimal?: true;
}

const wholeLimit = integer(0, Number.MAX_SAFE_INTEGER);
/** With the point, as Cedar writes a decimal. 11 digits before it keep each sum far below 2^53 ten-thousandths. */
const DECIMAL_LIMIT = /^(0|[1-9]\d{0,10})\.(\d{1,4})$/;

/** The `limit` of a `max_amount`: a whole number, or a decimal as text, then in ten-thousandths. */
export const amountLimit: Reader<WrittenLimit> = (value) => {
  if (typeof value !== 'string') {
    const whole = wholeLimit(value);
    if (!isProblem(whole)) return { limit: whole };
    return value === undefined ? whole : { problem: `${whole.problem}, or a decimal as text such as \`"99.95"\`` };
  }
  const [, whole = '', places] = DECIMAL_LIMIT.exec(value) ?? [];
  if (places === undefined)
    return { problem: 'must have 1 to 11 digits, a point and 1 to 4 digits if it is a decimal as text' };
  return { limit: Number(`${whole}${places.padEnd(4, '0')}`), isDecimal: true };
};

const amountMembers = members({ argument: argumentName, limit: amountLimit, currency: optional(currency) });

const maxAmount: Reader<MaxAmount> = (value) => {
  const read = amountMembers(value);
  return isProblem(read) ? read : { argument: read.argument, ...read.limit, currency: read.currency };
};

const singleUse: Reader<true> = (value) => (value === true ? value : { problem: 'must be `true`' });

const constraintMembers = members(
  {
    not_before: optional(seconds),
    not_after: optional(seconds),
    max_calls: optional(integer(1, maxCalls)),
    max_amount: optional(maxAmount),
    single_use: optional(singleUse),
  },
  { noun: 'constraint' },
);

const constraints: Reader<Constraints> = (value) => {
  if (value === undefined) return unconstrained;
  const read = constraintMembers(value);
  if (isProblem(read)) return read;
  const { not_before: from, not_after: to } = read;
  if (from !== null && to !== null && to <= from) return { problem: 'must have `not_after` later than `not_before`' };
  return {
    notBeforeMs: from === null ? null : from * 1000,
    notAfterMs: to === null ? null : to * 1000,
    maxCalls: read.max_calls,
    maxAmount: read.max_amount,
    singleUse: read.single_use ?? false,
  };
};

const detailFrom: Reader<AuthorizationDetail> = members({
  type,
  locations: listOf(location, { max: maxLocations }),
  actions: listOf(action, { max: maxActions }),
  constraints,
  purpose: optional(purpose),
});

const detailsFrom = listOf(detailFrom, { max: authorizationDetailsLimits.maxEntries });
