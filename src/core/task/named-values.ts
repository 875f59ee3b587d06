import { isProblem, type Problem } from '../runtime/problem.ts';
import { text } from '../runtime/fields.ts';

/** Named values about a task from one source, such as a model version, a node or an approval. */
export type NamedValues = Readonly<Record<string, string>>;

/** Limits per source: number of names, and characters of a value. */
export const namedValueLimits = Object.freeze({ maxNames: 16, maxCharacters: 256 });

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/**
 * Parses named values: an object of at most 16 names (a letter and up to 63 letters, digits, `_`, `.` and `-`), each with a
 * string of at most 256 characters. Wrapped, because a value could be named `problem`.
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
      return { problem: 'has an invalid name: must be a letter and up to 63 letters, digits, _, . and -' };
    const read = text({ min: 0, max: namedValueLimits.maxCharacters })(raw);
    if (isProblem(read)) return { problem: `value \`${name}\` ${read.problem}` };
    values.push([name, read]);
  }
  return { values: Object.fromEntries(values) };
}
