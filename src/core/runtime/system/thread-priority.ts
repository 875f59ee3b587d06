import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** A tenth of the share of an ordinary thread if all processors are busy. @see sched(7) */
const NICE = 10;

/**
 * Lowers the priority of the calling thread, for the rest of its life, so that threads that answer checks run before it. Does nothing if
 * threads have no priority of their own (systems other than Linux).
 */
export function yieldToOthers(): void {
  try {
    // Given the number of a thread, Linux changes that thread alone.
    lower(Number(readlinkSync('/proc/thread-self').split('/').at(-1)));
  } catch {
    // It runs as it did, which is as correct.
  }
}

/** Part of the name of the threads in which V8 compiles and collects. */
const OF_V8 = 'V8Worker';

/**
 * Lowers the priority of the threads in which V8 optimises code and collects garbage, so that the threads that answer checks run before them
 * if all processors are busy, as in the first seconds of a load. Does nothing on systems other than Linux, or if the call is refused, as in the
 * units of systemd. The threads exist from the start of
 * the process on.
 */
export function lowerCompilers(): void {
  try {
    for (const thread of readdirSync(THREADS)) {
      if (readFileSync(`${THREADS}/${thread}/comm`, 'utf8').includes(OF_V8)) lower(Number(thread));
    }
  } catch {
    // They run as they did, which is as correct.
  }
}

const THREADS = '/proc/self/task';

function lower(thread: number): void {
  if (getPriority(thread) < NICE) setPriority(thread, NICE);
}
