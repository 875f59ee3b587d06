import { isProblem, type Problem } from './problem.ts';

/**
 * Parses one untrusted value, or says what is wrong. A problem never quotes the value: a token, a body or a header may be secret.
 * An absent value is `undefined`.
 */
export interface Reader<out T> {
  (value: unknown, place?: FieldPlace): T | Problem;
  /** Its parts, for listing the fields of a file; absent if it is a single value. */
  readonly inside?: Inside;
}

/** What a reader reads inside of its value: members known by name, or entries of any name or number. */
export type Inside =
  | {
      readonly kind: 'members';
      readonly members: Readonly<Record<string, Reader<unknown>>>;
      readonly isScalarToo?: true;
    }
  | { readonly kind: 'entries' };

/**
 * The place of a value in a file that its author can correct. With a place, each problem of a member or an entry is reported at its own
 * place and the rest is read too. Without a place, the first problem is the result and names the member or entry.
 */
export interface FieldPlace {
  /** The place of a member or an entry. */
  readonly at: (name: string | number) => FieldPlace;
  /** The value to read instead of the written value: an environment variable overrides its field. Returns the written value otherwise. */
  readonly given: (written: unknown) => unknown;
  readonly report: (problem: string) => void;
  readonly reportUnknown: (name: string, known: readonly string[]) => void;
}

/** The result if all problems have been reported at their places. */
const REPORTED: Problem = Object.freeze({ problem: 'has problems that were reported' });

/** Reads the value at a place and reports its problems there. The returned problem must not be reported again. */
export function readAt<T>(reader: Reader<T>, written: unknown, place: FieldPlace): T | Problem {
  const value = place.given(written);
  const read = reader(value, place);
  if (!isProblem(read) || read === REPORTED) return read;
  place.report(value === undefined ? 'is required' : read.problem);
  return REPORTED;
}

type Readers = Readonly<Record<string, Reader<unknown>>>;

/** What `members` reads, by name. */
export type Members<R> = { readonly [K in keyof R]: R[K] extends Reader<infer T> ? T : never };

/** `noun` is the word for a member in problems, `member` by default; `others` says whether unknown members are refused, the default. */
export interface MemberRules {
  readonly noun?: string;
  readonly others?: 'ignored' | 'refused';
}

/**
 * A parser of an object by a reader for each member. Only own members are read, never `Object.prototype`. An absent member reaches
 * its reader as `undefined`.
 */
export function members<R extends Readers>(
  readers: R,
  { noun = 'member', others = 'refused' }: MemberRules = {},
): Reader<Members<R>> {
  const entries = Object.entries(readers);
  const names = Object.keys(readers);
  const read = (value: unknown, place?: FieldPlace): Members<R> | Problem => {
    if (value === undefined) return { problem: 'is required' };
    if (!isObject(value)) return { problem: 'must be an object' };
    if (others === 'refused') {
      for (const name of Object.keys(value)) {
        if (Object.hasOwn(readers, name)) continue;
        if (place === undefined) return { problem: `has an unknown ${noun}${quotedName(name)}` };
        place.reportUnknown(name, names);
      }
    }
    const values: Record<string, unknown> = {};
    let isWhole = true;
    for (const [name, reader] of entries) {
      const own = Object.hasOwn(value, name) ? value[name] : undefined;
      const member = place === undefined ? reader(own) : readAt(reader, own, place.at(name));
      if (!isProblem(member)) values[name] = member;
      else if (place === undefined) return { problem: `${noun} \`${name}\` ${member.problem}` };
      else isWhole = false;
    }
    // Safe: each member was written by the reader of the same name.
    return isWhole ? (values as Members<R>) : REPORTED;
  };
  return Object.assign(read, { inside: { kind: 'members', members: readers } } as const);
}

/** Whether a value has members. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A member name is untrusted too: quoted only if it is plain. */
const quotedName = (name: string): string => (/^[A-Za-z0-9_.#:-]{1,64}$/.test(name) ? ` \`${name}\`` : '');

/** A parser of an object whose names are the writer's own, each with a value of the same kind; at most `max`. */
export function mapOf<T>(
  reader: Reader<T>,
  { max, what = 'an object' }: { readonly max: number; readonly what?: string },
): Reader<ReadonlyMap<string, T>> {
  const read = (value: unknown, place?: FieldPlace): ReadonlyMap<string, T> | Problem => {
    if (!isObject(value)) return { problem: `must be ${what}` };
    const entries = Object.entries(value);
    if (entries.length > max) return { problem: `must have at most ${max} entries` };
    const values = new Map<string, T>();
    let isWhole = true;
    for (const [name, own] of entries) {
      const entry = place === undefined ? reader(own) : readAt(reader, own, place.at(name));
      if (!isProblem(entry)) values.set(name, entry);
      else if (place === undefined) return { problem: `value${quotedName(name)} ${entry.problem}` };
      else isWhole = false;
    }
    return isWhole ? values : REPORTED;
  };
  return Object.assign(read, { inside: { kind: 'entries' } } as const);
}

/** How many entries a list may have; at least 1 by default. */
export interface ListRules {
  readonly min?: number;
  readonly max: number;
}

/** A parser of a required array of `min` to `max` entries. A problem names the entry by its index from 0. */
export function listOf<T>(reader: Reader<T>, { min = 1, max }: ListRules): Reader<readonly T[]> {
  const read = (value: unknown, place?: FieldPlace): readonly T[] | Problem => {
    if (value === undefined) return { problem: 'is required' };
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      return { problem: `must be an array of ${min} to ${max} entries` };
    }
    const entries: T[] = [];
    let isWhole = true;
    for (const [index, own] of value.entries()) {
      const entry = place === undefined ? reader(own) : readAt(reader, own, place.at(index));
      if (!isProblem(entry)) entries.push(entry);
      else if (place === undefined) return { problem: `entry ${index} ${entry.problem}` };
      else isWhole = false;
    }
    return isWhole ? entries : REPORTED;
  };
  return Object.assign(read, { inside: { kind: 'entries' } } as const);
}

/** A parser of a single value, or an array of `min` to `max` values. */
export function oneOrMore<T>(reader: Reader<T>, rules: ListRules): Reader<readonly T[]> {
  const list = listOf(reader, rules);
  const read = (value: unknown, place?: FieldPlace): readonly T[] | Problem => {
    if (Array.isArray(value)) return list(value, place);
    const one = reader(value, place);
    return isProblem(one) ? one : [one];
  };
  return reader.inside === undefined ? read : Object.assign(read, { inside: { kind: 'entries' } } as const);
}

/** Makes a value optional: absent becomes `fallback`, `null` by default. A JSON `null` goes to the reader. */
export function optional<T>(reader: Reader<T>): Reader<T | null>;
export function optional<T, const D>(reader: Reader<T>, fallback: D): Reader<T | D>;
export function optional<T>(reader: Reader<T>, fallback: unknown = null): Reader<unknown> {
  return within(reader, (value, place) => (value === undefined ? fallback : reader(value, place)));
}

/** Accepts a JSON `null` too, as `null`. */
export const orNull = <T>(reader: Reader<T>): Reader<T | null> =>
  within(reader, (value, place) => (value === null ? null : reader(value, place)));

/** A reader whose value `make` converts: it returns the new value, of the annotated type, or a problem. */
export const made = <T, U>(reader: Reader<T>, make: (value: T) => NoInfer<U> | Problem): Reader<U> =>
  within(reader, (value, place) => {
    const read = reader(value, place);
    return isProblem(read) ? read : make(read);
  });

/** Reads the same fields as `reader`. */
const within = <T>(reader: Reader<unknown>, read: Reader<T>): Reader<T> =>
  reader.inside === undefined ? read : Object.assign(read, { inside: reader.inside });

/** Length limits of a string, in UTF-16 code units, and an optional grammar with its description. */
export interface TextRules {
  readonly min?: number;
  readonly max: number;
  readonly grammar?: { readonly matches: (text: string) => boolean; readonly words: string };
}

/** A parser of a required string of 1 (or `min`) to `max` characters without U+0000 and lone surrogates. */
export const text =
  ({ min = 1, max, grammar }: TextRules): Reader<string> =>
  (value) => {
    if (value === undefined) return { problem: 'is required' };
    if (typeof value !== 'string' || value.length < min || value.length > max) {
      return { problem: `must be a string of ${min} to ${max} characters` };
    }
    if (!isPlain(value)) return { problem: 'has U+0000 or a lone surrogate' };
    if (grammar !== undefined && !grammar.matches(value)) return { problem: `must be ${grammar.words}` };
    return value;
  };

const isPlain = (value: string): boolean => !value.includes('\0') && value.isWellFormed();

/**
 * A parser of a required string that `parse` converts to a value; `what` names it in problems, such as `a path`. A problem of
 * `parse` is appended; `null` refuses the string without a further explanation. 1 (or `min`) to 8,192 (or `max`) characters,
 * without U+0000 and lone surrogates.
 */
export const textOf =
  <T extends string | object>(
    what: string,
    parse: (value: string) => NoInfer<T> | Problem | null,
    { min = 1, max = 8_192 }: Partial<ListRules> = {},
  ): Reader<T> =>
  (value) => {
    const isText = typeof value === 'string' && value.length >= min && value.length <= max && isPlain(value);
    const parsed = isText ? parse(value) : null;
    if (parsed !== null && !isProblem(parsed)) return parsed;
    return { problem: `must be ${what}${parsed === null ? '' : `: ${parsed.problem}`}` };
  };

/** A parser of a required string that a grammar accepts. */
export const textLike = (
  what: string,
  accepts: (value: string) => boolean,
  rules?: Partial<ListRules>,
): Reader<string> => textOf<string>(what, (value) => (accepts(value) ? value : null), rules);

/** Latest accepted instant: the end of the year 9999, in seconds since the Unix epoch. */
const MAX_SECONDS = 253_402_300_799;

/** Parses a required instant: whole seconds since the Unix epoch, up to the year 9999. */
export const seconds: Reader<number> = (value) => {
  if (value === undefined) return { problem: 'is required' };
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_SECONDS
    ? value
    : { problem: 'must be whole seconds since the epoch' };
};

/** A parser of a required whole number from `min` to `max`, inclusive, both safe integers. */
export const integer =
  (min: number, max: number): Reader<number> =>
  (value) => {
    if (value === undefined) return { problem: 'is required' };
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : { problem: `must be a whole number from ${min} to ${max}` };
  };

/** A parser of `true` or `false`. */
export const bool: Reader<boolean> = (value) =>
  typeof value === 'boolean' ? value : { problem: 'must be `true` or `false`' };

/** A parser of one word of a closed set. In a file, where nothing is secret, a problem quotes what was written. */
export const oneOf = <const Word extends string>(words: readonly Word[]): Reader<Word> => {
  const problem = `must be one of ${words.map((word) => `\`${word}\``).join(', ')}`;
  return (value, place) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const isTold = place !== undefined && typeof value === 'string';
    return { problem: isTold ? `${problem}: got \`${value.slice(0, 100)}\`` : problem };
  };
};

/** Refuses a member that must not be present. */
export const absent: Reader<null> = (value) => (value === undefined ? null : { problem: 'must not be present' });
