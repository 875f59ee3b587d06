import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LedgerConfig } from '../config/ledger.ts';

/** Of the file system that the ledger is on, where no size is configured. */
const SHARE = 0.5;
/** Where the size of the file system cannot be read. */
const FALLBACK_BYTES = 64 * 1024 ** 3;

/** Growth is looked at over so long, in steps of a quarter of an hour. */
const WINDOW_MS = 24 * 60 * 60_000;
const STEP_MS = 15 * 60_000;
/** A shorter look says nothing about a day. */
const MIN_LOOK_MS = 10 * 60_000;

/** The limits of retention, with the size that stands where none is configured: half of the file system that the ledger is on. */
export function retainOf({ retain, folder }: Pick<LedgerConfig, 'retain' | 'folder'>): {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
} {
  const { maxBytes, maxAgeMs } = retain;
  return { maxAgeMs, maxBytes: maxBytes ?? Math.floor((diskOf(folder)?.bytes ?? FALLBACK_BYTES / SHARE) * SHARE) };
}

/** How far the ledger may still grow: until its oldest segments are given up or the disk is full, whichever is first; in bytes, from 0. */
export function roomLeft(folder: string, { bytes, maxBytes }: { readonly bytes: number; readonly maxBytes: number }) {
  return Math.max(0, Math.min(maxBytes - bytes, diskOf(folder)?.freeBytes ?? Infinity));
}

/** How large the file system of a folder is, and what of it this process may still use; `null` where that cannot be read. */
function diskOf(folder: string): { readonly bytes: number; readonly freeBytes: number } | null {
  try {
    const { blocks, bavail, bsize } = statfsSync(existingOf(folder));
    return { bytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return null;
  }
}

/** The folder, or the nearest one above it that is there: a ledger makes its own. */
function existingOf(folder: string): string {
  let path = folder;
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

interface Sample {
  readonly atMs: number;
  readonly grownBytes: number;
}

/** How fast a size grows, over the last 24 hours of this process. What is given up is no shrinking: it counts as nothing. */
export class LedgerGrowth {
  #samples: Sample[] = [];
  #grownBytes = 0;
  #lastBytes: number | null = null;

  /**
   * Notes a size, and gives the growth in bytes a second; `null` in the first 10 minutes.
   *
   * @param atMs on a monotonic clock
   */
  note(bytes: number, atMs: number): number | null {
    this.#grownBytes += Math.max(0, bytes - (this.#lastBytes ?? bytes));
    this.#lastBytes = bytes;
    const now = { atMs, grownBytes: this.#grownBytes };
    const last = this.#samples.at(-1);
    if (last === undefined || atMs - last.atMs >= STEP_MS) this.#samples.push(now);
    this.#samples = this.#samples.filter((sample) => atMs - sample.atMs <= WINDOW_MS);
    const first = this.#samples[0] ?? now;
    const lookMs = atMs - first.atMs;
    return lookMs < MIN_LOOK_MS ? null : ((now.grownBytes - first.grownBytes) * 1_000) / lookMs;
  }
}
