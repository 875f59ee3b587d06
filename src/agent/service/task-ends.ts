import { setTimeout as delay } from 'node:timers/promises';
import { afterReading } from '../../core/runtime/timers.ts';
import type { IssuerClient, TaskView } from '../task/issuer-client.ts';
import { isIssuerProblem, type IssuerProblem } from '../task/issuer-problem.ts';
import type { TaskJournal } from './journal.ts';
import type { TaskUnit } from './task-unit.ts';

/** A unit whose end was asked for. */
export interface EndedTask {
  readonly taskId: string;
  readonly by: 'complete' | 'cancel';
  /** As the issuer has it; `ending` until it has answered. */
  readonly state: string;
  /** Resolves with it once the issuer has answered, could not be asked at first, or takes too long. */
  readonly settled: Promise<EndedTask>;
}

/** Pauses between attempts, in milliseconds; the last is repeated. */
const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000];

/** How long a client waits for the issuer's answer. */
const ANSWER_MS = 2_000;

/** What ends need. */
export interface EndsParts {
  readonly end: IssuerClient['end'];
  readonly journal: Pick<TaskJournal, 'ended'>;
  readonly tell: (line: string) => void;
}

/**
 * Asks the issuer for the ends of tasks until it has answered for each. A task whose end was not answered stays in the journal.
 *
 * Lifecycle: to `settledWithin`.
 */
export class TaskEnds {
  readonly #parts: EndsParts;
  readonly #pending = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #isUnreachable = false;

  constructor(parts: EndsParts) {
    this.#parts = parts;
  }

  /** Ends a unit: its connections at once, then its tasks. @param traceparent of the request that ends it; `null` if there is none */
  begin(unit: TaskUnit, by: 'complete' | 'cancel', traceparent: string | null): EndedTask {
    const { promise, resolve } = Promise.withResolvers<EndedTask>();
    const ended = { taskId: unit.id, by, state: 'ending', settled: promise };
    const ids = unit.tasks.map(({ id }) => id);
    const asked = by === 'complete' ? 'completed' : 'cancelled';
    const withdrawn = unit.withdraw(asked);
    const unanswered = (): void => resolve(ended);
    const stopWaiting = afterReading(ANSWER_MS, unanswered);
    const settle = async (): Promise<void> => {
      const states = await Promise.all(
        ids.map((taskId) => this.#ended(taskId, { by, traceparent, onUnanswered: unanswered })),
      );
      await withdrawn;
      // If the tasks ended differently, report the end that was not asked for.
      ended.state = states.find((state) => state !== asked) ?? asked;
      resolve(ended);
    };
    void this.#track(settle().finally(stopWaiting));
    return ended;
  }

  /** Cancels tasks whose URL nobody has. */
  cancelLeft(taskIds: readonly string[]): Promise<void> {
    const cancel = async (): Promise<void> => {
      await Promise.all(
        taskIds.map((taskId) =>
          this.#ended(taskId, { by: 'cancel', traceparent: null, onUnanswered: () => undefined }),
        ),
      );
    };
    return this.#track(cancel());
  }

  /** Waits for all ends, then gives up. @returns how many are left */
  async settledWithin(withinMs: number): Promise<number> {
    const all = Promise.all(this.#pending).then(() => true);
    const late = delay(withinMs, false, { signal: this.#stop.signal }).catch(() => false);
    await Promise.race([all, late]);
    const left = this.#pending.size;
    this.#stop.abort();
    return left;
  }

  #track(done: Promise<void>): Promise<void> {
    const tracked: Promise<void> = done.catch(() => undefined).finally(() => this.#pending.delete(tracked));
    this.#pending.add(tracked);
    return tracked;
  }

  /** The state in which a task has ended. Rejects if it was given up. */
  async #ended(
    taskId: string,
    {
      by,
      traceparent,
      onUnanswered,
    }: {
      readonly by: 'complete' | 'cancel';
      readonly traceparent: string | null;
      readonly onUnanswered: () => void;
    },
  ): Promise<string> {
    for (let attempt = 0; ; attempt += 1) {
      const answer: TaskView | IssuerProblem = await this.#parts.end(taskId, by, traceparent);
      if (!isIssuerProblem(answer) || !answer.isTransient) {
        this.#answered();
        await this.#parts.journal.ended(taskId).catch(() => undefined);
        return isIssuerProblem(answer) ? stateIn(answer) : answer.state;
      }
      onUnanswered();
      this.#unanswered(answer);
      const pauseMs = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] ?? 0;
      await delay(pauseMs, undefined, { signal: this.#stop.signal });
    }
  }

  #unanswered({ description }: IssuerProblem): void {
    if (!this.#isUnreachable) this.#parts.tell(`tasks cannot be ended now, and will be later: ${description}`);
    this.#isUnreachable = true;
  }

  #answered(): void {
    if (this.#isUnreachable) this.#parts.tell('tasks are ended again');
    this.#isUnreachable = false;
  }
}

/** "the task is already revoked" */
const stateIn = ({ description, taskState }: IssuerProblem): string =>
  taskState ?? /\b(completed|cancelled|revoked|expired)\b/.exec(description)?.[1] ?? 'ended';
