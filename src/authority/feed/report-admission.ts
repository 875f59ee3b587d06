import type { Report } from '../../core/fleet/messages.ts';
import type { TaskKey } from '../../core/state/store.ts';
import type { FeedHub } from './hub/feed-hub.ts';
import type { FollowingSidecar } from './hub/follower.ts';
import type { FollowersOptions } from './hub/followers-options.ts';

/** What the admission of a report needs. */
interface Admitting {
  readonly issuer: string;
  readonly holds: (key: TaskKey) => ReturnType<FeedHub['holds']>;
  readonly write: FollowersOptions['report'];
}

/** Makes the writes of a report of a connected sidecar, within its limits. Gives the problem, after which it is repeated; `''` for none. */
export async function reportProblem(
  report: Report,
  { id, limits, rights }: Pick<FollowingSidecar, 'id' | 'limits' | 'rights'>,
  { issuer, holds, write }: Admitting,
): Promise<string> {
  const count = 1 + report.touched.length + report.stolen.length + report.secrets.length;
  if (!limits.reports.take(count) || !limits.tokenUses.take(report.uses.length)) {
    return 'too many reports: try again later';
  }
  const held = report.touched.map(({ task_id }) => holds({ issuer, id: task_id }));
  // INVARIANT: a claim to hold a task changes nothing of it.
  if (held.includes('unread')) return 'the cards of these tasks are still being read: try again';
  return write({ ...report, touched: report.touched.filter((_, at) => held[at] === true) }, { id, rights });
}
