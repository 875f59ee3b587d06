import { storeFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Task } from '../task/task.ts';

/**
 * What a write was decided by, checked again in its transaction. If any of it has changed since it was read, nothing is written, the write
 * fails with the code `changed`, and the caller decides again.
 */
export interface Premises {
  /** Tasks as they were read. Their policy-relevant facts must be unchanged. */
  readonly tasks: readonly Task[];
  /** The token that is exchanged. It must not be revoked, nor refused by this process. */
  readonly jtiDigest?: string;
}

/**
 * The failure of a write whose premise has changed.
 * @param what the premise, in words
 */
export const changedSince = (what: string): StoreFailure =>
  storeFailure('changed', `${what} has changed since it was read`);

/** The failure of a write whose exchanged token is refused by now; `null` where it is not. */
export const refusedPremise = (
  premises: Premises | undefined,
  isRefused: (jtiDigest: string) => boolean,
): StoreFailure | null =>
  premises?.jtiDigest !== undefined && isRefused(premises.jtiDigest) ? changedSince(EXCHANGED) : null;

/** The exchanged token, in words for a message. */
export const EXCHANGED = 'the token that is exchanged';

/** Whether two readings of a task have the same policy-relevant facts, and no resume between them. */
export const isAsDecided = (was: Task, now: Task): boolean => factsOf(was) === factsOf(now);

/** Everything about a task that policies read and that can change. */
const factsOf = ({ claimed, attested, risk, generation }: Task): string =>
  JSON.stringify([claimed, attested, risk, generation]);
