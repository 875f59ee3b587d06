import { isProblem, type Problem, text } from '../token/members.ts';
import type { ContextEffect, Task } from './task.ts';

/** Named values a task is accepted with: the version of a model, a node, a session, whatever an operator cares about. */
export type TaskContext = Readonly<Record<string, string>>;

/** Bounds of a context: how many names, and the longest value, in characters. */
export const contextLimits = Object.freeze({ maxNames: 16, maxCharacters: 256 });

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/**
 * A context from outside: an object of at most 16 names, a letter and up to 63 letters, digits, `_`, `.` and `-`, each with
 * a string of at most 256 characters. Wrapped, since a name is anybody's to choose.
 */
export function taskContextFrom(value: unknown): { readonly values: TaskContext } | Problem {
  if (value === undefined) return { problem: 'is required' };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'must be an object' };
  const entries = Object.entries(value);
  if (entries.length > contextLimits.maxNames) return { problem: `must have at most ${contextLimits.maxNames} names` };
  const values: [string, string][] = [];
  for (const [name, raw] of entries) {
    if (!NAME.test(name))
      return { problem: 'has a name that is not a letter and up to 63 letters, digits, _, . and -' };
    const read = text({ min: 0, max: contextLimits.maxCharacters })(raw);
    if (isProblem(read)) return { problem: `value \`${name}\` ${read.problem}` };
    values.push([name, read]);
  }
  return { values: Object.fromEntries(values) };
}

/** The names whose value is not the same in both, sorted: changed, new and removed ones alike. */
export function changedNames(before: TaskContext, after: TaskContext): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => valueOf(before, name) !== valueOf(after, name)).toSorted();
}

/** What the task's own rules say to a change of these names; a name without a rule revokes. */
export const contextEffects = (
  task: Pick<Task, 'contextRules'>,
  names: readonly string[],
): ReadonlySet<ContextEffect> => new Set(names.map((name) => valueOf(task.contextRules, name) ?? 'revoke'));

/** An own member alone, so that no name reaches `Object.prototype`. */
const valueOf = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;
