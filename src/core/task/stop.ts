import { type CauseCode, isByOthers } from './cause.ts';
import type { Task, TaskEvent } from './task.ts';

/** A stop of a task by somebody other than its agent, as the declaration of a like task finds it. */
export interface Stop {
  /** The cause of the event; for a part of a task, that of the event on the task above. */
  readonly cause: CauseCode;
  /** When the task was stopped, in milliseconds since the Unix epoch by the floor. */
  readonly sinceMs: number;
  /** When the stopped task ended, likewise; `null` while it is suspended. */
  readonly endedAtMs: number | null;
}

/**
 * Which stops concern a declaration. A like task has the same agent and at least one action in common. Purpose, constraints and subject are
 * not compared: the agent chooses the first two, and another user's token does not change what the agent does. Ids of actions are unique in
 * a catalog, so they also name the resource.
 */
export interface StopQuery {
  readonly issuer: string;
  readonly agent: string;
  readonly subject: string;
  readonly actions: readonly string[];
}

/** A stop as it is stored: a row for each action. */
export interface StopRow extends Stop {
  readonly issuer: string;
  readonly agent: string;
  /** The only subject that it concerns; `''` if it concerns all. */
  readonly subject: string;
  readonly action: string;
  /** Id of the suspended task; `''` if it has ended. */
  readonly task: string;
}

/** How long a stop is remembered after its task ended: the longest wait that can be configured. */
export const STOP_MEMORY_MS = 86_400_000;

/** Whether an event stops a task, or another part of its family, from outside. What the agent does or says itself never is a stop. */
export const isStop = ({ kind, cause }: TaskEvent, by: string, { agent }: Pick<Task, 'agent'>): boolean =>
  (kind === 'suspend' || kind === 'revoke' || kind === 'cancel') && isByOthers(cause.code) && by !== agent;

/** The stop that lasts longest: that of a suspended task, else the latest end; `null` if there are none. */
export function longestOf(stops: readonly Stop[]): Stop | null {
  const [first, ...more] = stops;
  if (first === undefined) return null;
  const { cause, sinceMs, endedAtMs } = more.reduce((held, next) => (isLonger(next, held) ? next : held), first);
  return { cause, sinceMs, endedAtMs };
}

const isLonger = (one: Stop, other: Stop): boolean => {
  const [end, otherEnd] = [one.endedAtMs ?? Infinity, other.endedAtMs ?? Infinity];
  return end === otherEnd ? one.sinceMs > other.sinceMs : end > otherEnd;
};
