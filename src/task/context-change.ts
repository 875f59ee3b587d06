import { isProblem, type Problem } from '../token/members.ts';
import { attestedAfter, type Attesting, changedAttestations } from './attestation.ts';
import type { NamedValues } from './named-values.ts';
import type { ContextEffect, Task } from './task.ts';

/** Who says something of a task: its own agent, whose word is a claim, or somebody else, whose word attests. */
export type Saying = { readonly kind: 'agent'; readonly by: string; readonly values: NamedValues } | Attesting;

/**
 * What a saying makes of a task: an agent's own word changes what is claimed and nothing else, an attester's what is attested
 * and nothing else. A problem where there is no room for it.
 */
export function contextAfter(
  task: Pick<Task, 'attested'>,
  saying: Saying,
): Pick<Task, 'claimed'> | Pick<Task, 'attested'> | Problem {
  if (saying.kind === 'agent') return { claimed: saying.values };
  const attested = attestedAfter(task.attested, saying);
  return isProblem(attested) ? attested : { attested };
}

/** A named value that is not what it was. */
export interface ContextChange {
  readonly name: string;
  /** What it does to a task without a rule for the name. */
  readonly otherwise: ContextEffect;
}

/**
 * What is not the same in both. A task without a rule goes on with nothing that is other than it was: such a change revokes.
 * A newly attested value takes nothing away, so there the policies are asked. They are asked after a security event too:
 * its value is made to change, and who has it attest means the policies to decide.
 *
 * @param kind who said what changed
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

/** The names whose value is not the same in both, sorted: changed, new and removed ones alike. */
export function changedNames(before: NamedValues, after: NamedValues): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => valueOf(before, name) !== valueOf(after, name)).toSorted();
}

/** What the task's own rules say to these changes. */
export const contextEffects = (
  task: Pick<Task, 'contextRules'>,
  changes: readonly ContextChange[],
): ReadonlySet<ContextEffect> =>
  new Set(changes.map(({ name, otherwise }) => valueOf(task.contextRules, name) ?? otherwise));

/** An own member alone, so that no name reaches `Object.prototype`. */
const valueOf = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;
