import { isProblem, type Problem } from './problem.ts';

/** Parses one untrusted value, or says what is wrong without quoting it. */
export type Reader<T> = (value: unknown) => T | Problem;

type Values<R> = { readonly [K in keyof R]: R[K] extends Reader<infer T> ? T : never };

/**
 * Parses each member of an untrusted object with its reader. The first problem wins and names its member. An absent member
 * reaches its reader as `undefined`. Only own members are read, never `Object.prototype`.
 *
 * @param rules `noun` is the word for a member in messages; `others` says whether unknown members are refused
 */
export function membersFrom<R extends Readonly<Record<string, Reader<unknown>>>>(
  value: unknown,
  readers: R,
  rules: { readonly noun: string; readonly others: 'ignored' | 'refused' },
): Values<R> | Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'must be an object' };
  if (rules.others === 'refused') {
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(readers, name)) return { problem: `has an unknown ${rules.noun}${quotedName(name)}` };
    }
  }
  const values: Record<string, unknown> = {};
  for (const [name, reader] of Object.entries(readers)) {
    const read = reader(Object.hasOwn(value, name) ? value[name as keyof typeof value] : undefined);
    if (isProblem(read)) return { problem: `${rules.noun} \`${name}\` ${read.problem}` };
    values[name] = read;
  }
  // Safe: each member was written by the reader of the same name.
  return values as Values<R>;
}

/** A member name is untrusted too: quoted only where it is plain. */
const quotedName = (name: string): string => (/^[A-Za-z0-9_.#:-]{1,64}$/.test(name) ? ` \`${name}\`` : '');

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
    if (value.includes('\0') || !value.isWellFormed()) return { problem: 'has U+0000 or a lone surrogate' };
    if (grammar !== undefined && !grammar.matches(value)) return { problem: `must be ${grammar.words}` };
    return value;
  };

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

/** A parser of one word of a closed set. */
export const oneOf =
  <const Word extends string>(words: readonly Word[]): Reader<Word> =>
  (value) =>
    words.find((word) => word === value) ?? {
      problem: `must be one of ${words.map((word) => `\`${word}\``).join(', ')}`,
    };

/** A parser of a required array of `min` to `max` entries. A problem names the entry by its index from 0. */
export const listOf =
  <T>(reader: Reader<T>, { min = 1, max }: { readonly min?: number; readonly max: number }): Reader<readonly T[]> =>
  (value) => {
    if (value === undefined) return { problem: 'is required' };
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      return { problem: `must be an array of ${min} to ${max} entries` };
    }
    const entries: T[] = [];
    for (const [index, entry] of value.entries()) {
      const read = reader(entry);
      if (isProblem(read)) return { problem: `entry ${index} ${read.problem}` };
      entries.push(read);
    }
    return entries;
  };

/** Makes a member optional: absent becomes `null`. A JSON `null` goes to the reader. */
export const optional =
  <T>(reader: Reader<T>): Reader<T | null> =>
  (value) =>
    value === undefined ? null : reader(value);
