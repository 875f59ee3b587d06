import type { After } from '../timers.ts';

/** Milliseconds between checks of the event loop. */
const LOOK_MS = 1_000;
/** Most milliseconds that the event loop of an idle thread worked between two looks. */
const IDLE_MS = 50;
/** Looks before it gives up: a thread that has worked that long has had V8's own full collections. */
const MOST_LOOKS = 60;

/** What `collectOnceIdle` needs. */
export interface CollectOptions {
  readonly after: After;
  /** Milliseconds that the event loop of this thread has worked. Default: measured. */
  readonly workedMs?: () => number;
  /** A full collection that also shrinks the heap. Default: V8's, if the process has `--expose-gc`. */
  readonly collect?: () => unknown;
}

/**
 * Collects all garbage of this thread once, in the first second in which its event loop was idle. Loading modules and proving policies
 * leaves some 20 MiB that V8 would keep until a load makes it collect. The collection takes about 0.1 s, so it is not made under load.
 */
export function collectOnceIdle({ after, workedMs = measured, collect = collectAll }: CollectOptions): void {
  const look = (before: number, looks: number): void => {
    after(LOOK_MS, () => {
      const now = workedMs();
      if (now - before < IDLE_MS) collect();
      else if (looks > 1) look(now, looks - 1);
    });
  };
  look(workedMs(), MOST_LOOKS);
}

const measured = (): number => performance.eventLoopUtilization().active;

/** `last-resort` shrinks the young generation and returns free pages too. */
const collectAll = (): unknown => globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
