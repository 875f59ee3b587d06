import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { strictJsonFrom } from '../../token/jose/strict-json.ts';
import { areTooLong, argumentFromJson, expectedOf } from './argument.ts';
import type { ArgumentValue } from './argument.ts';
import { missingArgument, TOO_LONG, unfitArgument } from './argument-refusal.ts';
import type { ArgumentRefusal } from './argument-refusal.ts';
import type { ArgumentSpec, BodyArgument } from '../catalog/catalog-arguments.ts';
import { indexOf, pointerOf } from './json-pointer.ts';

/**
 * Parses JSON as strictly as `strictJsonFrom`, and turns numbers that a double cannot represent exactly as written into
 * `Infinity`: `0.1` is kept, `9007199254740993` and `1.0000000000000000001` are not. Linear time.
 */
export function exactJsonFrom(bytes: Uint8Array): { readonly value: unknown } | Problem {
  const strict = strictJsonFrom(bytes);
  if ('problem' in strict) return strict;
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  if (!LONG_NUMBER.test(text)) return strict;
  const exact = text.replaceAll(STRING_OR_LONG_NUMBER, (token) =>
    token.startsWith('"') || isExact(token) ? token : '1e999',
  );
  return exact === text ? strict : { value: JSON.parse(exact) };
}

/** A number of 16 characters or more, or with an exponent. All others are exact, since a double holds any 15 digits. */
const LONG_NUMBER = /\d[\d.eE+-]{15}|\d[eE]/;
// oxlint-disable-next-line remit/linear-expression -- its text is valid JSON, in which each quote begins or ends a string
const STRING_OR_LONG_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}|-?\d[\d.]{0,15}[eE][\d+-]+/g;

/** Below this, doubles have fewer than 15 digits. No tool counts in units that small, so all such numbers count as inexact. */
const LEAST = 1e-307;

function isExact(token: string): boolean {
  const size = Math.abs(Number(token));
  if (size === Infinity) return false;
  if (size < LEAST) return size === 0 && !/^-?[0.]*[1-9]/.test(token);
  return token.length <= 15 || digitsOf(token) === digitsOf(String(Number(token)));
}

/** Significant digits and exponent, so that `1e2`, `100` and `100.0` are equal. */
function digitsOf(source: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(source);
  if (match === null) return 'none';
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const all = `${whole}${fraction}`.replace(/^0+/, '');
  let end = all.length;
  while (all[end - 1] === '0') end--;
  return end === 0 ? '0' : `${sign}${all.slice(0, end)}e${Number(exponent) - fraction.length + (all.length - end)}`;
}

/**
 * Reads arguments from a JSON value, each at its pointer. A step is the name of a member if the value is an object, and the index of an
 * element if it is an array; an index beyond the end is absent, any other step into an array refused. Other
 * members are ignored. A `null` member is absent. A member on the path that has a lookalike (a name that folds to the same text)
 * beside it or in its place is ambiguous and refused, because some decoders ignore case.
 *
 * @param folded folds a name as the most lenient decoder does; default: ignores case
 */
export function jsonArguments(
  specs: readonly ArgumentSpec[],
  root: unknown,
  folded: (name: string) => string = caseFolded,
): { readonly args: ReadonlyMap<string, ArgumentValue> } | ArgumentRefusal {
  const args = new Map<string, ArgumentValue>();
  const names = { folded, of: foldedNames(folded) };
  for (const spec of specs) {
    if (spec.from !== 'body') continue;
    const found = valueAt(root, spec, names);
    if ('problem' in found) return found;
    if (found.value === undefined || found.value === null) {
      if (spec.required) return missingArgument(spec);
      continue;
    }
    const value = argumentFromJson(spec, found.value);
    if (isProblem(value)) return unfitArgument(spec, value);
    args.set(spec.name, value);
  }
  return areTooLong(args) ? TOO_LONG : { args };
}

interface Names {
  readonly folded: (name: string) => string;
  readonly of: (object: object) => ReadonlyMap<string, number>;
}

function valueAt(root: unknown, spec: BodyArgument, names: Names): { readonly value: unknown } | ArgumentRefusal {
  let value = root;
  for (const step of spec.pointer) {
    if (value === undefined || value === null) return { value: undefined };
    const below = Array.isArray(value) ? elementOf(value, step) : memberOf(value, step, names);
    if ('problem' in below) return misplaced(spec, below.problem);
    value = below.value;
  }
  return { value };
}

function elementOf(array: readonly unknown[], step: string): { readonly value: unknown } | Problem {
  const index = indexOf(step);
  return index === null ? NOT_IN_OBJECT : { value: array[index] };
}

function memberOf(value: unknown, name: string, names: Names): { readonly value: unknown } | Problem {
  if (typeof value !== 'object' || value === null) return NOT_IN_OBJECT;
  const isThere = Object.hasOwn(value, name);
  if ((names.of(value).get(names.folded(name)) ?? 0) > (isThere ? 1 : 0))
    return { problem: 'cannot be distinguished from a member that is spelt differently' };
  return { value: isThere ? (value as Readonly<Record<string, unknown>>)[name] : undefined };
}

const NOT_IN_OBJECT: Problem = { problem: 'is not in an object' };

const misplaced = (spec: BodyArgument, problem: string): ArgumentRefusal =>
  unfitArgument(spec, { problem, expected: `${expectedOf(spec)}, at \`${pointerOf(spec.pointer)}\` alone` });

/** Number of occurrences of each folded name in an object, memoised per object. */
function foldedNames(folded: Names['folded']): Names['of'] {
  const counted = new Map<object, ReadonlyMap<string, number>>();
  return (object) => {
    const known = counted.get(object);
    if (known !== undefined) return known;
    const names = new Map<string, number>();
    for (const name of Object.keys(object)) names.set(folded(name), (names.get(folded(name)) ?? 0) + 1);
    counted.set(object, names);
    return names;
  };
}

/** Upper case first, so that `ſ` and the Kelvin sign fold as in Go's decoder. */
const caseFolded = (name: string): string => name.toUpperCase().toLowerCase();

/** Folds a name as lenient decoders of protobuf JSON do: ignores case and underscores, so `task_id` equals `taskId`. */
export const protobufFolded = (name: string): string => caseFolded(name.replaceAll('_', ''));
