import { type Cause, causeOf } from '../../../core/task/cause.ts';
import { type ContextChange, contextEffects } from '../../../core/task/context-change.ts';
import type { Task, TaskEvent } from '../../../core/task/task.ts';
import { askAgain, isRefusal } from '../token/ask-again.ts';
import type { IssuerServices } from '../services.ts';

/** An event that a change of context can cause. */
export type ContextEvent = TaskEvent & { readonly kind: 'suspend' | 'revoke' };

/**
 * The most severe effect of the changes on the task; `undefined` if it continues. If the effect is `ask`, a refusal by the policies revokes
 * the task, and a failure to ask them suspends it.
 *
 * @param task the task after the change
 */
export async function contextEvent(
  task: Task,
  changes: readonly ContextChange[],
  {
    above,
    cause,
    services,
  }: {
    /** Its ancestors, nearest first. */
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

/** The event for a task that the policies did not grant again. @param refused whether they answered no */
export const refusalEvent = (refused: boolean, { code, note }: Cause): ContextEvent =>
  refused
    ? { kind: 'revoke', cause: causeOf(code, `${note}: the policies no longer grant the task`) }
    : { kind: 'suspend', cause: causeOf(code, `${note}: the policies could not be asked`) };
