import { setTimeout as delay } from 'node:timers/promises';
import type { IssuerClient } from '../task/issuer-client.ts';
import { isIssuerProblem, type IssuerProblem, problemLines } from '../task/issuer-problem.ts';
import type { KeptState } from '../task/token-keeper.ts';

/** What a group asks of the issuer. */
export interface GroupOptions {
  readonly client: Pick<IssuerClient, 'end' | 'suspend' | 'resume'>;
  readonly tell: (line: string) => void;
}

/** Back-off between attempts, in milliseconds. */
const PAUSES_MS = [250, 1_000, 2_000, 4_000, 8_000];

/**
 * The tasks of one run, one for each resource. They are one piece of work, so what stops one task stops all. If a task is suspended or ends,
 * the others are suspended or cancelled; if it is resumed, so are those that the group has suspended.
 */
export class RunGroup {
  readonly #taskIds: readonly string[];
  readonly #options: GroupOptions;
  /** Tasks that the group has suspended because another task was. */
  readonly #held = new Set<string>();
  #isOver = false;
  #last: Promise<void> = Promise.resolve();

  constructor(taskIds: readonly string[], options: GroupOptions) {
    this.#taskIds = taskIds;
    this.#options = options;
  }

  /** Called when the state of a task has changed. Changes are processed in order. */
  changed(taskId: string, state: KeptState): void {
    if (this.#taskIds.length > 1) this.#last = this.#last.then(() => this.#follow(taskId, state));
  }

  /** The run itself ends its tasks from now on. */
  close(): Promise<void> {
    this.#isOver = true;
    return this.#last;
  }

  async #follow(taskId: string, state: KeptState): Promise<void> {
    const { client } = this.#options;
    const others = this.#taskIds.filter((id) => id !== taskId);
    if (this.#isOver) return;
    if (state === 'ended') {
      this.#isOver = true;
      await this.#each(others, { what: 'cancelled', ask: (id) => client.end(id, 'cancel') });
    } else if (state === 'active') {
      // This task was suspended by the group itself, so its resumption says nothing about the others.
      if (this.#held.delete(taskId)) return;
      const held = others.filter((id) => this.#held.has(id));
      await this.#each(held, { what: 'resumed', ask: (id) => client.resume(id) });
    } else if (!this.#held.has(taskId)) {
      for (const id of others) this.#held.add(id);
      await this.#each(others, { what: 'suspended', ask: (id) => client.suspend(id) });
    }
  }

  async #each(
    taskIds: readonly string[],
    { what, ask }: { readonly what: string; readonly ask: (taskId: string) => Promise<unknown> },
  ): Promise<void> {
    await Promise.all(
      taskIds.map(async (id) => {
        const problem = await repeated(() => ask(id));
        this.#options.tell(
          problem === null || problem.error === 'task_ended'
            ? `task ${id} of the same run is ${what} too`
            : `task ${id} of the same run could not be ${what}: ${problemLines(problem)[0]}`,
        );
      }),
    );
  }
}

async function repeated(ask: () => Promise<unknown>): Promise<IssuerProblem | null> {
  for (const pauseMs of [...PAUSES_MS, null]) {
    const answer = await ask();
    if (!isIssuerProblem(answer)) return null;
    if (!answer.isTransient || pauseMs === null) return answer;
    await delay(pauseMs, undefined, { ref: false });
  }
  return null;
}
