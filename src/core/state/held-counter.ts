import { Share } from './share.ts';
import { ofNothing, shareEndOf } from './share-counter.ts';
import type { ShareClocks } from './share-counter.ts';
import { ShareUsers } from './share-users.ts';
import type { Spend } from './spend.ts';
import type { TaskKey } from './store.ts';

/** A counter of a task, or of a limit over all tasks in one window, with the share of it that a process has. */
export interface HeldCounter {
  readonly name: string;
  /** `null` of a limit. */
  readonly key: TaskKey | null;
  /** By which token of the task loans are asked for: the token that was used last. */
  jtiDigest: string;
  /** A spend of nothing on it. */
  readonly spend: Spend;
  /** The end of its window; `Infinity` of a budget. */
  readonly endsMs: number;
  readonly share: Share;
  users: ShareUsers;
  /** Pending while a loan is asked for; `null` otherwise. */
  borrowing: Promise<void> | null;
  /** Until all that is being given back is; whether all of it was. */
  returning: Promise<boolean>;
  /** When its share was given back and it was set aside, on the monotonic clock; `null` while it is in use. */
  retiredMs: number | null;
}

/** A counter of which nothing is held. @param name `shareName` */
export function heldCounter(
  name: string,
  {
    key,
    jtiDigest,
    spend,
    clocks,
  }: Pick<HeldCounter, 'key' | 'jtiDigest' | 'spend'> & { readonly clocks: ShareClocks },
): HeldCounter {
  return {
    name,
    key: key && { issuer: key.issuer, id: key.id },
    jtiDigest,
    spend: ofNothing(spend),
    endsMs: shareEndOf([spend], clocks),
    share: new Share(),
    users: new ShareUsers(),
    borrowing: null,
    returning: Promise.resolve(true),
    retiredMs: null,
  };
}
