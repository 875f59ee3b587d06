import type { LearntCall } from './learnt-call.ts';
import { seenAgain } from './sightings.ts';
import type { Sightings } from './sightings.ts';

const HOUR_MS = 3_600_000;
/** Tasks of one agent that are counted at the same time. */
const MAX_TASKS = 64;

/** What was seen of one agent: how often, and how many calls one piece of its work took. */
export class SeenAgent {
  readonly id: string;
  sightings: Sightings | undefined = undefined;
  /** Most calls in one task, and of calls without a task in one hour. */
  mostCalls = 0;
  #hour = -1;
  #inHour = 0;
  /** Calls of its last tasks. */
  readonly #tasks = new Map<string, number>();

  constructor(id: string) {
    this.id = id;
  }

  add({ at, task }: LearntCall): void {
    this.sightings = seenAgain(this.sightings, at);
    this.mostCalls = Math.max(this.mostCalls, task === null ? this.#countedInHour(at) : this.#countedInTask(task));
  }

  #countedInHour(at: number): number {
    const hour = Math.floor(at / HOUR_MS);
    this.#inHour = hour === this.#hour ? this.#inHour + 1 : 1;
    this.#hour = hour;
    return this.#inHour;
  }

  #countedInTask(task: string): number {
    const count = (this.#tasks.get(task) ?? 0) + 1;
    this.#tasks.delete(task);
    this.#tasks.set(task, count);
    if (this.#tasks.size > MAX_TASKS) this.#tasks.delete(this.#tasks.keys().next().value ?? '');
    return count;
  }
}
