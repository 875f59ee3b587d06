import type { Problem } from '../../runtime/problem.ts';
import { decimalFrom } from '../budget/decimal.ts';
import type { Decimal } from '../budget/decimal.ts';

/**
 * The value of an argument. Never an object that the caller shaped, so nothing a caller sends can become a Cedar entity: a
 * decimal is validated text, a list contains strings only.
 */
export type ArgumentValue = string | number | boolean | Decimal | readonly string[];

/**
 * Argument types. `long` is a safe integer, +-(2^53 - 1); `decimal` a number of at most 4 decimal places; `strings` a list of
 * strings, which policies see as a set.
 */
export type ArgumentType = 'string' | 'long' | 'bool' | 'decimal' | 'strings';

/** Longest string argument in bytes of UTF-8, if the catalog does not say `maxBytes`. */
export const MAX_STRING_BYTES = 4096;
/**
 * Greatest `maxBytes`, and most bytes of all strings of one call. Cedar's parser needs up to 8 ms of the event loop for so much text
 * (quotes and text beyond ASCII are its slowest), whatever the policies read.
 */
export const MAX_ARGUMENT_BYTES = 65_536;
/** Most strings in one argument. */
export const MAX_STRINGS = 256;
/** No signed zero, leading zeros or exponent: one spelling per number. */
const LONG = /^(0|-?[1-9]\d{0,15})$/;
/** In a path segment these could be read as several segments. */
const PATH_SEPARATOR = /[/\\]|^\.{1,2}$/;

/** What the catalog says about the value of an argument. */
export interface ValueSpec {
  readonly type: ArgumentType;
  /** Longest string in bytes of UTF-8, also in a list; absent for `MAX_STRING_BYTES`. */
  readonly maxBytes?: number;
}

/** Why a value is not of an argument's type. Never quotes the value. */
export interface Unfit extends Problem {
  /** What was expected, as a noun: `a safe integer`. */
  readonly expected: string;
}

const expected = (what: string): Unfit => ({ problem: `must be ${what}`, expected: what });

/** Parses an argument from the text of a path or query. */
export function argumentFromText(
  spec: ValueSpec & { readonly from: 'path' | 'query' },
  text: string,
): ArgumentValue | Unfit {
  if (spec.from === 'path' && PATH_SEPARATOR.test(text)) return expected('a single path segment');
  if (spec.type === 'long') return LONG.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : SAFE_INTEGER;
  if (spec.type === 'bool') return text === 'true' || text === 'false' ? text === 'true' : BOOL;
  return stringFrom(text, spec);
}

/** Parses an argument from a JSON value. No type accepts another's values: `"5"` is not a `long`, `5` not a `string`. */
export const argumentFromJson = (spec: ValueSpec, value: unknown): ArgumentValue | Unfit =>
  readers[spec.type](value, spec);

/** What a value of an argument must be, as a noun. */
export const expectedOf = ({ type, maxBytes = MAX_STRING_BYTES }: ValueSpec): string => nouns[type](maxBytes);

const nouns: Readonly<Record<ArgumentType, (maxBytes: number) => string>> = {
  string: (maxBytes) => `a string of at most ${maxBytes} bytes`,
  strings: (maxBytes) => `a list of at most ${MAX_STRINGS} strings of at most ${maxBytes} bytes`,
  bool: () => '`true` or `false`',
  long: () => 'a safe integer',
  decimal: () => 'a number of at most 4 decimal places within ±922337203685477.5807',
};

const SAFE_INTEGER = expected(nouns.long(0));
const BOOL = expected(nouns.bool(0));
const DECIMAL = expected(nouns.decimal(0));

const readers: Readonly<Record<ArgumentType, (value: unknown, spec: ValueSpec) => ArgumentValue | Unfit>> = {
  string: (value, spec) => (typeof value === 'string' ? stringFrom(value, spec) : expected('a string')),
  bool: (value) => (typeof value === 'boolean' ? value : BOOL),
  // Adding 0 turns -0 into 0.
  long: (value) => (Number.isSafeInteger(value) ? Number(value) + 0 : SAFE_INTEGER),
  decimal: (value) => decimalFrom(value) ?? DECIMAL,
  strings: (value, spec) => stringsFrom(value, spec),
};

function stringFrom(text: string, { maxBytes = MAX_STRING_BYTES }: ValueSpec): string | Unfit {
  if (!text.isWellFormed()) return expected('well-formed Unicode');
  if (text.includes('\0')) return expected('a string without U+0000');
  if (Buffer.byteLength(text) > maxBytes) return expected(nouns.string(maxBytes));
  return text;
}

function stringsFrom(value: unknown, spec: ValueSpec): readonly string[] | Unfit {
  if (!Array.isArray(value)) return expected('a list of strings');
  if (value.length > MAX_STRINGS) return expected(`a list of at most ${MAX_STRINGS} strings`);
  const strings: string[] = [];
  for (const item of value) {
    const string = typeof item === 'string' ? stringFrom(item, spec) : expected('a string');
    if (typeof string === 'object') return expected(`a list of which each item is ${string.expected}`);
    strings.push(string);
  }
  return strings;
}

/** Whether the strings of a call are together longer than `MAX_ARGUMENT_BYTES`. */
export function areTooLong(args: ReadonlyMap<string, ArgumentValue>): boolean {
  let most = 0;
  // A UTF-16 code unit is at most 3 bytes of UTF-8, so most calls need no exact count.
  for (const text of stringsOf(args)) most += text.length * 3;
  if (most <= MAX_ARGUMENT_BYTES) return false;
  let bytes = 0;
  for (const text of stringsOf(args)) bytes += Buffer.byteLength(text);
  return bytes > MAX_ARGUMENT_BYTES;
}

function* stringsOf(args: ReadonlyMap<string, ArgumentValue>): Generator<string> {
  for (const value of args.values()) {
    if (typeof value === 'string') yield value;
    else if (Array.isArray(value)) yield* value as readonly string[];
  }
}
