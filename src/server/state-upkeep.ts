import { repeatedly } from '../runtime/repeatedly.ts';
import type { Store } from '../state/store.ts';
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
 * decisions wait for: a failure denies nobody, is logged once, counted, and tried again within a second. The result ends it.
 */
export function keepState(
  store: Pick<Store, 'prune' | 'shrink' | 'markServing'>,
  { keepSeconds, after, log, metrics }: UpkeepOptions,
): () => void {
  let isFailing = false;
  const over = new AbortController();
  const failed = (detail: string): void => {
    metrics.pruneFailures.of({}).inc();
    if (!isFailing) log(`state: ended tasks cannot be deleted, which is tried again: ${detail}`);
    isFailing = true;
  };
  const step = (): boolean | StoreFailure => {
    const marked = store.markServing();
    if (marked !== null) return marked;
    const keptSeconds = keepSeconds();
    const pruned = keptSeconds === 0 ? NOTHING : store.prune(keptSeconds * 1_000);
    if (isStoreFailure(pruned)) return pruned;
    if (pruned.tasks > 0) metrics.prunedTasks.of({}).inc(pruned.tasks);
    return pruned.isMore || store.shrink();
  };
  const look = async (): Promise<void> => {
    for (let isMore = true; isMore && !over.signal.aborted;) {
      const done = step();
      if (isStoreFailure(done)) return failed(done.detail);
      if (isFailing) log('state: ended tasks are deleted again');
      isFailing = false;
      isMore = done;
      if (isMore) await new Promise<void>((resolve) => void after(PAUSE_MS, resolve));
    }
  };
  const stop = repeatedly(look, { everyMs: LOOK_MS, after, onFault: failed });
  return () => {
    over.abort();
    stop();
  };
}

const NOTHING = { tasks: 0, isMore: false };
