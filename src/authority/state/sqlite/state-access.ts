import type { Authority, Upkeep } from '../../../core/state/authority.ts';
import type { Feed } from '../../../core/state/feed.ts';
import type { Settling } from '../../../core/state/settling.ts';
import type { TaskStates } from '../../../core/state/task-states.ts';

/** Everything that a process does with a state file. */
export interface StateAccess {
  readonly states: TaskStates;
  readonly settling: Settling;
  readonly authority: Authority & Upkeep;
  readonly feed: Feed;
}
