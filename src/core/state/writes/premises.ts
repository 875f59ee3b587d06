import type { TaskLimits } from '../../limit/limit-spend.ts';
import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import type { Stop, StopQuery } from '../../task/stop.ts';
import type { Task } from '../../task/task.ts';

/**
 * The facts on which a write was decided, checked again in its transaction. If any has changed since it was read, nothing is
 * written, the write fails as `changed`, and the caller decides again (optimistic concurrency).
 */
export interface Premises {
  /** Tasks as they were read. Their policy-relevant facts must be unchanged. */
  readonly tasks: readonly Task[];
  /** The token that is exchanged. It must not be revoked, nor refused by this process. */
  readonly jtiDigest?: string;
  /** The stop that concerns a newly declared task. It must be the same. */
  readonly stop?: { readonly query: StopQuery; readonly was: Stop | null };
  /** The limits over all tasks that a newly declared task must be within. */
  readonly limits?: TaskLimits;
}

/**
 * The failure of a write whose premise has changed.
 * @param what the premise, in words
 */
export const changedSince = (what: string): StoreFailure =>
  storeFailure('changed', `${what} has changed since it was read`);

/** The failure of a write whose exchanged token has been refused meanwhile; `null` if it has not. */
export const refusedPremise = (
  premises: Premises | undefined,
  isRefused: (jtiDigest: string) => boolean,
): StoreFailure | null =>
  premises?.jtiDigest !== undefined && isRefused(premises.jtiDigest) ? changedSince(EXCHANGED) : null;

/** The exchanged token, in words for a message. */
export const EXCHANGED = 'the token that is exchanged';

/** Whether two readings of a task have the same policy-relevant facts, and no resume between them. */
export const isAsDecided = (was: Task, now: Task): boolean => factsOf(was) === factsOf(now);

/** Whether two readings found the same stop. */
export const isSameStop = (was: Stop | null, now: Stop | null): boolean =>
  was?.cause === now?.cause && was?.sinceMs === now?.sinceMs && was?.endedAtMs === now?.endedAtMs;

/** Everything about a task that policies read and that can change. */
const factsOf = ({ claimed, attested, risk, generation }: Task): string =>
  JSON.stringify([claimed, attested, risk, generation]);
