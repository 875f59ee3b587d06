/** What is wrong with a value that came from outside, as a clause without its subject: "must be a string". */
export interface Problem {
  readonly problem: string;
}

/** Whether a reader refused. No reader's value has a member named `problem`. */
export const isProblem = (value: unknown): value is Problem =>
  typeof value === 'object' && value !== null && 'problem' in value;

/** Takes one untrusted value to a typed one, or says what is wrong without repeating it. */
export type Reader<T> = (value: unknown) => T | Problem;

type Values<R> = { readonly [K in keyof R]: R[K] extends Reader<infer T> ? T : never };

/**
 * Every member of an untrusted object through its reader; the first problem wins and names its member. An absent member
 * reaches its reader as `undefined`. Only own members count, so a look-up never reaches `Object.prototype`.
 *
 * @param rules `noun` is what a message calls a member; `others` says what a member without a reader means
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
  // Each member was put there by the reader of its own name.
  return values as Values<R>;
}

/** A member's name came from outside: it is repeated only where it is plain. */
const quotedName = (name: string): string => (/^[A-Za-z0-9_.#:-]{1,64}$/.test(name) ? ` \`${name}\`` : '');

/** Bounds of a string, in UTF-16 code units, and the grammar it must match with the words that say so. */
export interface TextRules {
  readonly min?: number;
  readonly max: number;
  readonly grammar?: { readonly matches: (text: string) => boolean; readonly words: string };
}

/** Reads a required string of 1 (or `min`) to `max` characters without U+0000 or lone surrogates. */
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

/** Latest instant accepted: the end of the year 9999, in seconds since the Unix epoch. */
const MAX_SECONDS = 253_402_300_799;

/** Reads a required instant: whole seconds since the Unix epoch, from 0 to the end of the year 9999. */
export const seconds: Reader<number> = (value) => {
  if (value === undefined) return { problem: 'is required' };
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_SECONDS
    ? value
    : { problem: 'must be whole seconds since the epoch' };
};

/** Reads a required whole number from `min` to `max`, both included and both safe integers. */
export const integer =
  (min: number, max: number): Reader<number> =>
  (value) => {
    if (value === undefined) return { problem: 'is required' };
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : { problem: `must be a whole number from ${min} to ${max}` };
  };

/** Reads a required array of `min` to `max` entries, each through `reader`; a problem names the entry, counted from 0. */
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

/** Makes a member optional: absent reads as `null`. A JSON `null` is a value and goes to the reader. */
export const optional =
  <T>(reader: Reader<T>): Reader<T | null> =>
  (value) =>
    value === undefined ? null : reader(value);
