import type { LiveSettings } from '../core/config/live-config.ts';
import { isStoreFailure } from '../core/runtime/store-failure.ts';
import { repeatedly } from '../core/runtime/repeatedly.ts';
import { after } from '../core/runtime/timers.ts';
import type { Upkeep } from '../core/state/authority.ts';
import { Reports } from '../core/state/reports.ts';
import type { Faults } from '../core/telemetry/faults.ts';
import type { Log } from '../core/telemetry/log.ts';
import type { Metrics } from '../core/telemetry/metrics/metrics.ts';
import type { Closers } from './closers.ts';
import { followClockLead } from './roles/clock-lead.ts';
import { watchTaskCounts } from './roles/task-counts.ts';
import { keepState } from './state/state-upkeep.ts';
import type { State } from './state/state.ts';

/** Interval at which tasks past their deadline are ended. */
const SWEEP_MS = 1000;

/** Dependencies of what is done with the state beside the checks. */
interface FollowServices {
  readonly log: Log;
  readonly faults: Faults;
  readonly metrics: Metrics;
  readonly live: () => LiveSettings;
  readonly closers: Closers;
}

/**
 * Maintains the state beside the checks, until the closers are called: it counts tasks, ends tasks past their deadline, deletes old tasks and
 * watches the clock.
 *
 * @returns the reports of this process, for which no decision waits
 */
export async function followState(
  { states, authority, database, reporting, sharedUses }: State,
  { log, faults, metrics, live, closers }: FollowServices,
): Promise<Reports> {
  const reports = new Reports(
    { authority: reporting, states, writeUses: sharedUses?.write },
    { after, log, onResult: (kind, result, count) => metrics.sideWrites.of({ kind, result }).inc(count) },
  );
  closers.push(() => reports.close());
  metrics.beforeScrape(() => metrics.sideWritesQueued.of({}).set(reports.queued));
  if (database !== null) closers.push(await watchTaskCounts(database.state.reader, { after, metrics }));
  if (authority !== null) {
    closers.push(await endExpiredTasks(authority, faults));
    closers.push(keepState(authority, { keepSeconds: () => live().endedTasks.keepSeconds, after, log, metrics }));
  }
  closers.push(followClockLead(states, { log: (line) => log(line, 'clock'), metrics }));
  return reports;
}

/**
 * Writes the end of tasks that have expired by the floor of the state, so that no step of the clock revives them: once before this
 * resolves, then every second, one sweep at a time. The returned function stops it, and resolves once the sweep in progress is over.
 */
async function endExpiredTasks(authority: Pick<Upkeep, 'endExpired'>, faults: Faults): Promise<() => Promise<void>> {
  const setSweepFault = (problem: string | null): void =>
    faults.set('tasks past their deadline could not be ended', problem);
  const sweep = async (): Promise<void> => {
    const ended = await authority.endExpired();
    setSweepFault(isStoreFailure(ended) ? ended.detail : null);
  };
  await sweep();
  return repeatedly(sweep, { everyMs: SWEEP_MS, after, onFault: setSweepFault });
}
