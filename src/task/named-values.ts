import { isProblem, type Problem, text } from '../token/members.ts';

/** Named values of one speaker about a task: the version of a model, a node, an approval, whatever an operator cares about. */
export type NamedValues = Readonly<Record<string, string>>;

/** Bounds of what one speaker says: how many names, and the longest value, in characters. */
export const namedValueLimits = Object.freeze({ maxNames: 16, maxCharacters: 256 });

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/**
 * Named values from outside: an object of at most 16 names, a letter and up to 63 letters, digits, `_`, `.` and `-`, each with
 * a string of at most 256 characters. Wrapped, since a name is anybody's to choose.
 */
export function namedValuesFrom(value: unknown): { readonly values: NamedValues } | Problem {
  if (value === undefined) return { problem: 'is required' };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'must be an object' };
  const entries = Object.entries(value);
  if (entries.length > namedValueLimits.maxNames)
    return { problem: `must have at most ${namedValueLimits.maxNames} names` };
  const values: [string, string][] = [];
  for (const [name, raw] of entries) {
    if (!NAME.test(name))
      return { problem: 'has a name that is not a letter and up to 63 letters, digits, _, . and -' };
    const read = text({ min: 0, max: namedValueLimits.maxCharacters })(raw);
    if (isProblem(read)) return { problem: `value \`${name}\` ${read.problem}` };
    values.push([name, read]);
  }
  return { values: Object.fromEntries(values) };
}
