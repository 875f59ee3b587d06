import { isProblem, type Problem } from '../runtime/problem.ts';
import { attestedAfter, type Attesting, changedAttestations } from './attestation.ts';
import type { NamedValues } from './named-values.ts';
import type { ContextEffect, Task } from './task.ts';

/** A statement about a task: by its own agent, which is a claim, or by somebody else, which attests. */
export type Saying = { readonly kind: 'agent'; readonly by: string; readonly values: NamedValues } | Attesting;

/**
 * Applies a statement to a task: an agent changes only claimed values, an attester only attested values. A problem if a limit
 * is exceeded.
 */
export function contextAfter(
  task: Pick<Task, 'attested'>,
  saying: Saying,
): Pick<Task, 'claimed'> | Pick<Task, 'attested'> | Problem {
  if (saying.kind === 'agent') return { claimed: saying.values };
  const attested = attestedAfter(task.attested, saying);
  return isProblem(attested) ? attested : { attested };
}

/** A changed named value. */
export interface ContextChange {
  readonly name: string;
  /** The effect on a task without a rule for the name. */
  readonly otherwise: ContextEffect;
}

/**
 * The changes between two contexts, with their default effects. Without a rule a change revokes the task, with two exceptions
 * that ask the policies instead: a newly attested value, which takes nothing away, and a security event, whose values are meant
 * to change.
 *
 * @param kind who made the statement
 */
export function contextChanges(
  before: Pick<Task, 'claimed' | 'attested'>,
  after: Pick<Task, 'claimed' | 'attested'>,
  kind: Saying['kind'],
): readonly ContextChange[] {
  return [
    ...changedNames(before.claimed, after.claimed).map((name) => ({ name, otherwise: 'revoke' as const })),
    ...changedAttestations(before.attested, after.attested).map(({ name, isNew }) => ({
      name,
      otherwise: isNew || kind === 'signal' ? ('ask' as const) : ('revoke' as const),
    })),
  ];
}

/** The names whose values differ (added, changed or removed), sorted. */
export function changedNames(before: NamedValues, after: NamedValues): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => valueOf(before, name) !== valueOf(after, name)).toSorted();
}

/** The effects of these changes by the task's own rules. */
export const contextEffects = (
  task: Pick<Task, 'contextRules'>,
  changes: readonly ContextChange[],
): ReadonlySet<ContextEffect> =>
  new Set(changes.map(({ name, otherwise }) => valueOf(task.contextRules, name) ?? otherwise));

/** Reads own members only, so that no name reaches `Object.prototype`. */
const valueOf = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;
