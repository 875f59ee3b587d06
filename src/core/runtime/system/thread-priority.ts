import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** A tenth of the share of an ordinary thread if all processors are busy. @see sched(7) */
const NICE = 10;

/** Part of the name of the threads in which V8 compiles and collects. */
const OF_V8 = 'V8Worker';
const THREADS = '/proc/self/task';

/**
 * Lowers the priority of the calling thread, for the rest of its life, so that threads that answer checks run before it. Does nothing if
 * threads have no priority of their own (systems other than Linux).
 */
export function yieldToOthers(): void {
  ifPossible(() => lower(Number(readlinkSync('/proc/thread-self').split('/').at(-1))));
}

/**
 * Lowers the priority of the threads in which V8 optimises code and collects garbage, so that the threads that answer checks run before them
 * if all processors are busy, as in the first seconds of a load. Does nothing on systems other than Linux, or if the call is refused, as in the
 * units of systemd. The threads exist from the start of the process on.
 */
export function lowerCompilers(): void {
  ifPossible(() => {
    for (const thread of readdirSync(THREADS)) {
      // Another thread may end meanwhile.
      ifPossible(() => {
        if (readFileSync(`${THREADS}/${thread}/comm`, 'utf8').includes(OF_V8)) lower(Number(thread));
      });
    }
  });
}

/** Given the number of a thread, Linux changes that thread alone. */
function lower(thread: number): void {
  if (getPriority(thread) < NICE) setPriority(thread, NICE);
}

/** Without its effect threads run as they did, which is as correct. */
function ifPossible(change: () => void): void {
  try {
    change();
  } catch {
    // Refused, or not known on this system.
  }
}
