import { storeFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Task } from '../task/task.ts';

/**
 * What a write was decided by. It is checked in the transaction of the write: where something of it has changed since it was read,
 * nothing is written, the answer is a failure with the code `changed`, and the caller decides anew.
 */
export interface Premises {
  /** Tasks as they were read: what policies are asked of them must still be the same. */
  readonly tasks: readonly Task[];
  /** A token that was exchanged: it must not have been revoked, nor be refused by this process. */
  readonly jtiDigest?: string;
}

/** The failure of a write that was decided by what has changed. @param what names it */
export const changedSince = (what: string): StoreFailure =>
  storeFailure('changed', `${what} has changed since it was read`);

/** The failure of a write for a token that was exchanged and is refused by now; `null` where it is not. */
export const refusedPremise = (
  premises: Premises | undefined,
  isRefused: (jtiDigest: string) => boolean,
): StoreFailure | null =>
  premises?.jtiDigest !== undefined && isRefused(premises.jtiDigest) ? changedSince(EXCHANGED) : null;

/** What is exchanged, in words. */
export const EXCHANGED = 'the token that is exchanged';

/** Whether policies are asked the same of both readings of a task, and no resume is between them. */
export const isAsDecided = (was: Task, now: Task): boolean => factsOf(was) === factsOf(now);

/** Everything of a task that policies read and that can change. */
const factsOf = ({ claimed, attested, risk, generation }: Task): string =>
  JSON.stringify([claimed, attested, risk, generation]);
