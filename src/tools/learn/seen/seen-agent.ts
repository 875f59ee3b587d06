import type { SeenCall } from '../learnt-call.ts';
import type { Span } from '../record-window.ts';
import { ownText, textBytes } from './room.ts';
import type { Room } from './room.ts';
import { seenAgain } from '../sightings.ts';
import type { Sightings } from '../sightings.ts';

const HOUR_MS = 3_600_000;
/** Most counters of one hour each; for a span above 90 days a counter has several hours. */
const MAX_HOURS = 2_160;
/** Tasks of one agent that are counted at the same time, as far as there is room. */
const MAX_TASKS = 64;
/** Bytes that one of them takes. */
const TASK_BYTES = 200;
/** Bytes of an agent beside its hours and its name. */
const SEEN_AGENT_BYTES = 600;

/** What was seen of one agent: how often it called, and the most calls of one task or hour. */
export class SeenAgent {
  readonly id: string;
  sightings: Sightings | undefined = undefined;
  /** Most calls in one task, and of calls without a task in one hour. */
  mostCalls = 0;
  readonly #fromMs: number;
  readonly #hourMs: number;
  /** Calls without a task by the hour: the logs of several sidecars are read one after the other. */
  readonly #hours: Uint32Array;
  /** Calls of its last tasks. */
  readonly #tasks = new Map<string, number>();
  /** How many tasks it has room for. */
  #mostTasks = 1;

  /** @param span of the calls that are added */
  constructor(id: string, { fromMs, toMs }: Span) {
    this.id = ownText(id);
    this.#fromMs = fromMs;
    const hours = Math.max(1, Math.ceil((toMs - fromMs) / HOUR_MS));
    this.#hourMs = HOUR_MS * Math.ceil(hours / MAX_HOURS);
    this.#hours = new Uint32Array(Math.min(hours, MAX_HOURS));
  }

  /** Bytes that it takes before its first call. */
  get bytes(): number {
    return SEEN_AGENT_BYTES + textBytes(this.id) + this.#hours.byteLength;
  }

  add({ at, task }: SeenCall, room: Room): void {
    if (task !== null) this.#makeRoomFor(task, room);
    this.sightings = seenAgain(this.sightings, at);
    this.mostCalls = Math.max(this.mostCalls, task === null ? this.#countedInHour(at) : this.#countedInTask(task));
  }

  /** Reserves room for one more task at the same time, up to 64. Without it the least recently used task is forgotten. */
  #makeRoomFor(task: string, room: Room): void {
    if (this.#tasks.has(task) || this.#tasks.size < this.#mostTasks || this.#mostTasks >= MAX_TASKS) return;
    if (room.take(this.id, TASK_BYTES)) this.#mostTasks += 1;
  }

  #countedInHour(at: number): number {
    const hour = Math.min(this.#hours.length - 1, Math.max(0, Math.floor((at - this.#fromMs) / this.#hourMs)));
    const count = (this.#hours[hour] ?? 0) + 1;
    this.#hours[hour] = count;
    return count;
  }

  #countedInTask(task: string): number {
    const count = (this.#tasks.get(task) ?? 0) + 1;
    this.#tasks.delete(task);
    this.#tasks.set(task, count);
    if (this.#tasks.size > this.#mostTasks) this.#tasks.delete(this.#tasks.keys().next().value ?? '');
    return count;
  }
}
