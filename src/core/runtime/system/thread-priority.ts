import { readlinkSync } from 'node:fs';
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
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (getPriority(thread) < NICE) setPriority(thread, NICE);
  } catch {
    // It runs as it did, which is as correct.
  }
}
