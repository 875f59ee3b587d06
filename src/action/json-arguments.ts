import { isProblem } from '../token/members.ts';
import type { Problem } from '../token/members.ts';
import { strictJsonFrom } from '../token/strict-json.ts';
import { argumentFromJson } from './argument.ts';
import type { ArgumentValue } from './argument.ts';
import type { ArgumentSpec, BodyArgument } from './catalog-arguments.ts';

/**
 * The value of a JSON message, strict as `strictJsonFrom` is, in which a number that a double cannot hold exactly as it is
 * written is no number (`Infinity`): `0.1` is, `9007199254740993` and `1.0000000000000000001` are not. Linear in the length.
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

/** A number of 16 characters or with an exponent; every other one is exact, since a double holds any 15 digits. */
const LONG_NUMBER = /\d[\d.eE+-]{15}|\d[eE]/;
const STRING_OR_LONG_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}|-?\d[\d.]{0,15}[eE][\d+-]+/g;

/** Below it doubles have fewer than 15 digits, and nothing that a tool counts in is that small: none of it is exact. */
const LEAST = 1e-307;

function isExact(token: string): boolean {
  const size = Math.abs(Number(token));
  if (size === Infinity) return false;
  if (size < LEAST) return size === 0 && !/^-?[0.]*[1-9]/.test(token);
  return token.length <= 15 || digitsOf(token) === digitsOf(String(Number(token)));
}

/** A number as its significant digits and the place of the point, so that `1e2`, `100` and `100.0` are equal. */
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
 * The arguments that stand in a JSON value, each at its pointer. What the catalog does not name is not looked at. A member
 * that is `null` is absent. A member on the way to an argument beside another that differs from it in letter case alone
 * has two readings, as has one with only such a name: some decoders ignore case.
 *
 * @param folded the name that all names are folded to that some decoder takes for one; letter case aside where not given
 */
export function jsonArguments(
  specs: readonly ArgumentSpec[],
  root: unknown,
  folded: (name: string) => string = caseFolded,
): { readonly args: ReadonlyMap<string, ArgumentValue> } | Problem {
  const args = new Map<string, ArgumentValue>();
  const names = { folded, of: foldedNames(folded) };
  for (const spec of specs) {
    if (spec.from !== 'body') continue;
    const found = valueAt(root, spec, names);
    if ('problem' in found) return found;
    if (found.value === undefined || found.value === null) {
      if (spec.required) return { problem: `\`${spec.name}\` is missing` };
      continue;
    }
    const value = argumentFromJson(spec.type, found.value);
    if (isProblem(value)) return { problem: `\`${spec.name}\` ${value.problem}` };
    args.set(spec.name, value);
  }
  return { args };
}

interface Names {
  readonly folded: (name: string) => string;
  readonly of: (object: object) => ReadonlyMap<string, number>;
}

function valueAt(root: unknown, spec: BodyArgument, names: Names): { readonly value: unknown } | Problem {
  let value = root;
  for (const name of spec.pointer) {
    if (value === undefined || value === null) return { value: undefined };
    if (typeof value !== 'object' || Array.isArray(value)) return { problem: `\`${spec.name}\` is not in an object` };
    const isThere = Object.hasOwn(value, name);
    if ((names.of(value).get(names.folded(name)) ?? 0) > (isThere ? 1 : 0))
      return { problem: `a member can be taken for the way to \`${spec.name}\`, but is not equal to it` };
    value = isThere ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
  }
  return { value };
}

/** How often each name occurs in an object, as it is folded; counted once for each object. */
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

/** By upper case first, so that `ſ` and `K` (the Kelvin sign) are met as Go's decoder meets them. */
const caseFolded = (name: string): string => name.toUpperCase().toLowerCase();

/** A name as decoders of the JSON form of protobuf may take it: letter case and underscores aside, so `task_id` is `taskId`. */
export const protobufFolded = (name: string): string => caseFolded(name.replaceAll('_', ''));
