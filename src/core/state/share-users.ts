import { isStoreFailure } from '../runtime/store-failure.ts';
import { isOpen } from '../task/task.ts';
import type { TaskKey } from './store.ts';
import type { TaskStates } from './task-states.ts';

/** Most tasks that are followed for one share. */
const MAX_TASKS = 8;

/** Whether a task is known to have ended, by one of its tokens and a look that never waits. */
export type HasEnded = (key: TaskKey, jtiDigest: string) => boolean;

/** What these states show. A task that they do not know counts as open, and so does one past its deadline until its end is written. */
export const endedIn =
  (states: Pick<TaskStates, 'standing'>): HasEnded =>
  (key, jtiDigest) => {
    const found = states.standing(key, jtiDigest);
    return found !== undefined && !isStoreFailure(found) && !isOpen(found.task.state);
  };

/**
 * The tasks whose uses take from one share. Once all of them have ended, the share is given back before it lies idle. A share that calls
 * without a task take from too, or those of more than eight tasks, is given back once it lies idle.
 */
export class ShareUsers {
  readonly #tasks = new Map<string, { readonly key: TaskKey; readonly jtiDigest: string }>();
  #isFollowed = true;

  /** A use takes from the share, with this token of a task; `null` without a task. */
  used(key: TaskKey | null, jtiDigest: string): void {
    if (!this.#isFollowed) return;
    const name = key === null ? '' : `${key.issuer}\n${key.id}`;
    this.#isFollowed = key !== null && (this.#tasks.size < MAX_TASKS || this.#tasks.has(name));
    if (this.#isFollowed && key !== null) this.#tasks.set(name, { key: { issuer: key.issuer, id: key.id }, jtiDigest });
    else this.#tasks.clear();
  }

  /** Whether all of them have ended. Those that have are forgotten. */
  haveEnded(hasEnded: HasEnded): boolean {
    for (const [name, { key, jtiDigest }] of this.#tasks) if (hasEnded(key, jtiDigest)) this.#tasks.delete(name);
    return this.#isFollowed && this.#tasks.size === 0;
  }
}
