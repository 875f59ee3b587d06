import type { Problem } from '../token/members.ts';
import type { ArgumentType, TextArgument } from './catalog-arguments.ts';

/**
 * What one argument can be. Never an object that the caller shaped, so nothing the caller sends can become a Cedar entity:
 * a decimal is text that was checked, a list holds strings alone.
 */
export type ArgumentValue = string | number | boolean | Decimal | readonly string[];

/** A number of at most 4 decimal places in Cedar's spelling, such as `12.50`. */
export type Decimal = { readonly decimal: string };

/** Of a text, in UTF-8; a longer one is no argument. */
export const MAX_STRING_BYTES = 4096;
/** Of one argument; more is no list of strings. */
export const MAX_STRINGS = 256;
/** No sign on zero, no leading zeros, no exponent: one spelling for each number. */
const LONG = /^(0|-?[1-9]\d{0,15})$/;
/** 14 and 4 digits are within Cedar's range of +-922337203685477.5807. */
const DECIMAL = /^-?(0|[1-9]\d{0,13})(\.\d{1,4})?$/;
/** In one segment of a path these could be read as more than one segment. */
const PATH_SEPARATOR = /[/\\]|^\.{1,2}$/;

/** The value of an argument that stands as text in the path or the query, or why it is none. */
export function argumentFromText(spec: TextArgument, text: string): ArgumentValue | Problem {
  if (spec.from === 'path' && PATH_SEPARATOR.test(text)) return { problem: 'is no single segment of a path' };
  if (spec.type === 'long')
    return LONG.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : { problem: 'is no safe integer' };
  if (spec.type === 'bool')
    return text === 'true' || text === 'false' ? text === 'true' : { problem: 'is neither `true` nor `false`' };
  return stringFrom(text);
}

/**
 * The value of an argument that stands in JSON, or why it is none. No type takes another's values: `"5"` is no `long`,
 * `5` no `string`.
 */
export const argumentFromJson = (type: ArgumentType, value: unknown): ArgumentValue | Problem => readers[type](value);

const readers: Readonly<Record<ArgumentType, (value: unknown) => ArgumentValue | Problem>> = {
  string: (value) => (typeof value === 'string' ? stringFrom(value) : { problem: 'is no string' }),
  bool: (value) => (typeof value === 'boolean' ? value : { problem: 'is neither `true` nor `false`' }),
  // Without the sum, -0 would be a number of its own.
  long: (value) => (Number.isSafeInteger(value) ? Number(value) + 0 : { problem: 'is no safe integer' }),
  decimal: (value) => decimalFrom(value),
  strings: (value) => stringsFrom(value),
};

function stringFrom(text: string): string | Problem {
  if (!text.isWellFormed()) return { problem: 'is no well-formed Unicode' };
  if (text.includes('\0')) return { problem: 'contains U+0000' };
  if (Buffer.byteLength(text) > MAX_STRING_BYTES) return { problem: `is longer than ${MAX_STRING_BYTES} bytes` };
  return text;
}

function decimalFrom(value: unknown): Decimal | Problem {
  const text = typeof value === 'number' ? String(value + 0) : value;
  if (typeof text !== 'string' || !DECIMAL.test(text)) return { problem: 'is no number of at most 4 decimal places' };
  return { decimal: text.includes('.') ? text : `${text}.0` };
}

function stringsFrom(value: unknown): readonly string[] | Problem {
  if (!Array.isArray(value)) return { problem: 'is no list of strings' };
  if (value.length > MAX_STRINGS) return { problem: `has more than ${MAX_STRINGS} strings` };
  const strings: string[] = [];
  for (const item of value) {
    const string = typeof item === 'string' ? stringFrom(item) : { problem: 'is no string' };
    if (typeof string === 'object') return { problem: `has an item that ${string.problem}` };
    strings.push(string);
  }
  return strings;
}
