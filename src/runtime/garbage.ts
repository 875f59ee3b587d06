import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import type { After } from './timers.ts';

/** Milliseconds between looks at the event loop. */
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
  /** A full collection that also shrinks the heap. Default: V8's, where the process has `--expose-gc`. */
  readonly collect?: () => void;
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

/** What `collectGrowth` needs. */
export interface GrowthOptions {
  readonly after: After;
  /** Bytes that the heap of this thread has in use. Default: what V8 says. */
  readonly usedBytes?: () => number;
  /** A full collection. Default: V8's, where the process has `--expose-gc`. */
  readonly collect?: () => void;
}

/** Milliseconds between looks at the heap. */
const GROWTH_LOOK_MS = 5_000;
/** Growth after which all is collected. With 1.5, the thread of the ledger has 12 MiB at 1,000 checks a second, for 9. */
const GROWTH = 1.2;
/** From here on the 8 MiB of V8 are no more than a half, and it collects beside the thread, not in its way. */
const SMALL_BYTES = 16 * 1024 * 1024;

/**
 * Collects all garbage of a thread whenever its heap has grown by a fifth, as long as the thread lives and its heap is small. V8 lets each heap
 * grow by 8 MiB at least, which more than doubles that of a thread through which records pass; a collection takes some 10 ms of it.
 */
export function collectGrowth({ after, usedBytes = used, collect = () => globalThis.gc?.() }: GrowthOptions): void {
  let kept = usedBytes();
  const look = (): void => {
    after(GROWTH_LOOK_MS, () => {
      const bytes = usedBytes();
      const hasGrown = bytes > kept * GROWTH && kept < SMALL_BYTES;
      if (hasGrown) collect();
      kept = hasGrown ? usedBytes() : Math.min(kept, bytes);
      look();
    });
  };
  look();
}

/** What `compactNowAndThen` needs. */
export interface CompactOptions {
  readonly after: After;
  /** Bytes that the old generation of this thread has in use. Default: what V8 says. */
  readonly usedBytes?: () => number;
  /** Whether V8's own full collections favour memory over speed. Default: the flag of V8. */
  readonly favourMemory?: (favours: boolean) => void;
}

/** Milliseconds from one compaction to the next. */
const COMPACT_EVERY_MS = 5 * 60 * 1_000;

/**
 * Lets V8's own full collection compact the old generation once in five minutes, if one comes within a minute. By itself V8 leaves so small a
 * heap as it is, and what lives long ends up between what does not: after an hour of 1,000 checks a second, 25 MiB were in memory for 15 in
 * use. A collection that favours memory moves 6 MiB at most and shrinks the young generation, which grows again within a second. To compact
 * everything would hold the heap twice for up to 10 s.
 */
export function compactNowAndThen({ after, usedBytes = old, favourMemory = setFavour }: CompactOptions): void {
  const rest = (): void => {
    after(COMPACT_EVERY_MS, () => {
      favourMemory(true);
      look(usedBytes(), MOST_LOOKS);
    });
  };
  const look = (before: number, looks: number): void => {
    after(LOOK_MS, () => {
      const bytes = usedBytes();
      if (bytes >= before && looks > 1) return look(bytes, looks - 1);
      favourMemory(false);
      rest();
    });
  };
  rest();
}

const used = (): number => getHeapStatistics().used_heap_size;

/** Only a full collection makes it smaller. */
const old = (): number =>
  getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')?.space_used_size ?? 0;

const setFavour = (favours: boolean): void =>
  setFlagsFromString(favours ? '--optimize-for-size' : '--no-optimize-for-size');

const measured = (): number => performance.eventLoopUtilization().active;

/** `last-resort` shrinks the young generation and returns free pages too; compaction makes more of them free. */
function collectAll(): void {
  setFlagsFromString('--compact-on-every-full-gc');
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  setFlagsFromString('--no-compact-on-every-full-gc');
}
