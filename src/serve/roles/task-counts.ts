import { repeatedly } from '../../core/runtime/repeatedly.ts';
import type { After } from '../../core/runtime/timers.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { TaskCounts } from '../../core/state/store-reader.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';

/** Interval of counts: they read a row for each open task, so no scrape does it. */
const EVERY_MS = 30_000;

/** Sets the gauges of tasks from counts of the state. They are absent if it cannot be read. */
export function setTaskCounts(
  { tasks, endedTasks }: Pick<Metrics, 'tasks' | 'endedTasks'>,
  counts: TaskCounts | StoreFailure,
): void {
  tasks.clear();
  endedTasks.clear();
  if (isStoreFailure(counts)) return;
  tasks.of({ state: 'active' }).set(counts.active);
  tasks.of({ state: 'suspended' }).set(counts.suspended);
  endedTasks.of({}).set(counts.ended);
}

/** Counts the tasks of a database now and every 30 s, for the metrics. The returned function stops it. */
export async function watchTaskCounts(
  reader: { readonly taskCounts: () => Promise<TaskCounts | StoreFailure> },
  { after, metrics }: { readonly after: After; readonly metrics: Pick<Metrics, 'tasks' | 'endedTasks'> },
): Promise<() => Promise<void>> {
  const look = async (): Promise<void> => setTaskCounts(metrics, await reader.taskCounts());
  await look();
  return repeatedly(look, { everyMs: EVERY_MS, after, onFault: () => undefined });
}
