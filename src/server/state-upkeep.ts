import { repeatedly } from '../runtime/repeatedly.ts';
import type { Upkeep } from '../state/authority.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { After } from '../runtime/timers.ts';

/** How often the state file is looked at for what may go, and how long checks have the process between two steps of one look. */
const LOOK_MS = 1_000;
const PAUSE_MS = 20;

/** What the upkeep of a state file works with. */
export interface UpkeepOptions {
  /** For how long ended tasks are kept now; `0` keeps all of them. */
  readonly keepSeconds: () => number;
  readonly after: After;
  /** Told, a line each, when a step fails and when steps go on again. */
  readonly log: (line: string) => void;
  readonly metrics: Pick<Metrics, 'prunedTasks' | 'pruneFailures'>;
}

/**
 * Deletes ended tasks from the state file and gives spare room back to the disk, in small transactions with pauses, beside what
 * decisions wait for: a failure denies nobody, is logged once, counted, and tried again within a second. One step is under way at a time.
 *
 * @returns ends it, and resolves once the step under way is over
 */
export function keepState(
  authority: Pick<Upkeep, 'prune' | 'shrink' | 'markServing'>,
  { keepSeconds, after, log, metrics }: UpkeepOptions,
): () => Promise<void> {
  let isFailing = false;
  const over = new AbortController();
  const failed = (detail: string): void => {
    metrics.pruneFailures.of({}).inc();
    if (!isFailing) log(`state: ended tasks cannot be deleted, which is tried again: ${detail}`);
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

/** Resolves after `PAUSE_MS`, or at once where it is over. */
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
