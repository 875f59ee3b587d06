import type { Problem } from '../runtime/problem.ts';
import type { ArgumentType, TextArgument } from './catalog-arguments.ts';

/**
 * The value of an argument. Never an object that the caller shaped, so nothing a caller sends can become a Cedar entity: a
 * decimal is validated text, a list contains strings only.
 */
export type ArgumentValue = string | number | boolean | Decimal | readonly string[];

/** A number of at most 4 decimal places in Cedar's spelling, such as `12.50`. */
export type Decimal = { readonly decimal: string };

/** Longest string argument, in bytes of UTF-8. */
export const MAX_STRING_BYTES = 4096;
/** Most strings in one argument. */
export const MAX_STRINGS = 256;
/** No signed zero, leading zeros or exponent: one spelling per number. */
const LONG = /^(0|-?[1-9]\d{0,15})$/;
/** 14 and 4 digits fit Cedar's range of +-922337203685477.5807. */
const DECIMAL = /^-?(0|[1-9]\d{0,13})(\.\d{1,4})?$/;
/** In a path segment these could be read as several segments. */
const PATH_SEPARATOR = /[/\\]|^\.{1,2}$/;

/** Parses an argument from the text of a path or query. */
export function argumentFromText(spec: TextArgument, text: string): ArgumentValue | Problem {
  if (spec.from === 'path' && PATH_SEPARATOR.test(text)) return { problem: 'must be a single path segment' };
  if (spec.type === 'long')
    return LONG.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : { problem: 'must be a safe integer' };
  if (spec.type === 'bool')
    return text === 'true' || text === 'false' ? text === 'true' : { problem: 'must be `true` or `false`' };
  return stringFrom(text);
}

/** Parses an argument from a JSON value. No type accepts another's values: `"5"` is not a `long`, `5` not a `string`. */
export const argumentFromJson = (type: ArgumentType, value: unknown): ArgumentValue | Problem => readers[type](value);

const readers: Readonly<Record<ArgumentType, (value: unknown) => ArgumentValue | Problem>> = {
  string: (value) => (typeof value === 'string' ? stringFrom(value) : { problem: 'must be a string' }),
  bool: (value) => (typeof value === 'boolean' ? value : { problem: 'must be `true` or `false`' }),
  // Adding 0 turns -0 into 0.
  long: (value) => (Number.isSafeInteger(value) ? Number(value) + 0 : { problem: 'must be a safe integer' }),
  decimal: (value) => decimalFrom(value),
  strings: (value) => stringsFrom(value),
};

function stringFrom(text: string): string | Problem {
  if (!text.isWellFormed()) return { problem: 'must be well-formed Unicode' };
  if (text.includes('\0')) return { problem: 'contains U+0000' };
  if (Buffer.byteLength(text) > MAX_STRING_BYTES) return { problem: `is longer than ${MAX_STRING_BYTES} bytes` };
  return text;
}

function decimalFrom(value: unknown): Decimal | Problem {
  const text = typeof value === 'number' ? String(value + 0) : value;
  if (typeof text !== 'string' || !DECIMAL.test(text))
    return { problem: 'must be a number of at most 4 decimal places' };
  return { decimal: text.includes('.') ? text : `${text}.0` };
}

function stringsFrom(value: unknown): readonly string[] | Problem {
  if (!Array.isArray(value)) return { problem: 'must be a list of strings' };
  if (value.length > MAX_STRINGS) return { problem: `has more than ${MAX_STRINGS} strings` };
  const strings: string[] = [];
  for (const item of value) {
    const string = typeof item === 'string' ? stringFrom(item) : { problem: 'must be a string' };
    if (typeof string === 'object') return { problem: `has an invalid item: it ${string.problem}` };
    strings.push(string);
  }
  return strings;
}
