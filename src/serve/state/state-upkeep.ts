import { repeatedly } from '../../core/runtime/repeatedly.ts';
import type { Upkeep } from '../../core/state/authority.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { After } from '../../core/runtime/timers.ts';

/** Interval between searches for deletable rows, and the pause between two steps of a search, in which checks run. */
const LOOK_MS = 1_000;
const PAUSE_MS = 20;

/** Options of the upkeep. */
export interface UpkeepOptions {
  /** How long ended tasks are kept, read each time; `0` keeps all of them. */
  readonly keepSeconds: () => number;
  readonly after: After;
  /** Receives a line when a step fails, and a line when steps succeed again. */
  readonly log: (line: string) => void;
  readonly metrics: Pick<Metrics, 'prunedTasks' | 'pruneFailures'>;
}

/**
 * Deletes ended tasks from the state file and returns free space to the disk, in small transactions with pauses, separate from what
 * decisions wait for. A failure denies no call; it is logged once, counted, and retried within a second. One step runs at a time.
 *
 * @returns stops it, and resolves once the step in progress is over
 */
export function keepState(
  authority: Pick<Upkeep, 'prune' | 'shrink' | 'markServing'>,
  { keepSeconds, after, log, metrics }: UpkeepOptions,
): () => Promise<void> {
  let isFailing = false;
  const over = new AbortController();
  const failed = (detail: string): void => {
    metrics.pruneFailures.of({}).inc();
    if (!isFailing) log(`state: ended tasks cannot be deleted, will be retried: ${detail}`);
    isFailing = true;
  };
  const step = async (): Promise<boolean | StoreFailure> => {
    const marked = await authority.markServing();
    if (marked !== null) return marked;
    const keptSeconds = keepSeconds();
    const pruned = keptSeconds === 0 ? NOTHING : await authority.prune(keptSeconds * 1_000);
    if (isStoreFailure(pruned)) return pruned;
    if (pruned.tasks > 0) metrics.prunedTasks.of({}).inc(pruned.tasks);
    return pruned.isMore || authority.shrink();
  };
  const look = async (): Promise<void> => {
    for (let isMore = true; isMore && !over.signal.aborted;) {
      const done = await step();
      if (isStoreFailure(done)) return failed(done.detail);
      if (isFailing) log('state: ended tasks are deleted again');
      isFailing = false;
      isMore = done;
      if (isMore) await pause(over.signal, after);
    }
  };
  const stop = repeatedly(look, { everyMs: LOOK_MS, after, onFault: failed });
  return () => {
    over.abort();
    return stop();
  };
}

/** Resolves after `PAUSE_MS`, or at once if `over` is aborted. */
const pause = (over: AbortSignal, after: After): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      cancel();
      over.removeEventListener('abort', done);
      resolve();
    };
    const cancel = after(PAUSE_MS, done);
    over.addEventListener('abort', done);
  });

const NOTHING = { tasks: 0, isMore: false };
