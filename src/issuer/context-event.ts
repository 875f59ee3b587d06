import { type Cause, causeOf } from '../task/cause.ts';
import { type ContextChange, contextEffects } from '../task/context-change.ts';
import type { Task, TaskEvent } from '../task/task.ts';
import { askAgain, isRefusal } from './ask-again.ts';
import type { IssuerServices } from './services.ts';

/** What a changed context can bring about. */
export type ContextEvent = TaskEvent & { readonly kind: 'suspend' | 'revoke' };

/**
 * What the changes do to the task, the hardest first; `undefined` where it goes on. Where the policies are asked and refuse, the
 * task is revoked; where they cannot be asked, it is suspended.
 *
 * @param task the task as it would go on
 */
export async function contextEvent(
  task: Task,
  changes: readonly ContextChange[],
  {
    above,
    cause,
    services,
  }: {
    /** The tasks it is a part of, the nearest first. */
    readonly above: readonly Task[];
    readonly cause: Cause;
    readonly services: IssuerServices;
  },
): Promise<ContextEvent | undefined> {
  const effects = contextEffects(task, changes);
  if (effects.has('revoke')) return { kind: 'revoke', cause };
  const refusal = effects.has('ask') ? await askAgain(task, above, services) : null;
  if (refusal !== null) return refusalEvent(isRefusal(refusal), cause);
  return effects.has('suspend') ? { kind: 'suspend', cause } : undefined;
}

/** What becomes of a task that the policies did not grant again, and in which words. @param refused they answered no */
export const refusalEvent = (refused: boolean, { code, note }: Cause): ContextEvent =>
  refused
    ? { kind: 'revoke', cause: causeOf(code, `${note}: the policies no longer grant the task`) }
    : { kind: 'suspend', cause: causeOf(code, `${note}: the policies could not be asked`) };
