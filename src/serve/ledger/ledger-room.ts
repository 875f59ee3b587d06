import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LedgerConfig } from '../../core/config/ledger.ts';

/** Share of the ledger's file system, if no size is configured. */
const SHARE = 0.5;
/** Used if the size of the file system cannot be read. */
const FALLBACK_BYTES = 64 * 1024 ** 3;

/** Growth is measured over this window, in steps of a quarter of an hour. */
const WINDOW_MS = 24 * 60 * 60_000;
const STEP_MS = 15 * 60_000;
/** Shorter measurements are too short to project a day. */
const MIN_LOOK_MS = 10 * 60_000;

/** The limits of retention. The default size is half of the file system of the ledger. */
export function retainOf({ retain, folder }: Pick<LedgerConfig, 'retain' | 'folder'>): {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
} {
  const { maxBytes, maxAgeMs } = retain;
  return { maxAgeMs, maxBytes: maxBytes ?? Math.floor((diskOf(folder)?.bytes ?? FALLBACK_BYTES / SHARE) * SHARE) };
}

/**
 * How many bytes the ledger can still grow before its oldest segments are deleted or the disk is full, whichever comes first; at least 0.
 */
export function roomLeft(folder: string, { bytes, maxBytes }: { readonly bytes: number; readonly maxBytes: number }) {
  return Math.max(0, Math.min(maxBytes - bytes, diskOf(folder)?.freeBytes ?? Infinity));
}

/** Size of the file system of a folder, and the bytes this process may still use; `null` if they cannot be read. */
function diskOf(folder: string): { readonly bytes: number; readonly freeBytes: number } | null {
  try {
    const { blocks, bavail, bsize } = statfsSync(existingOf(folder));
    return { bytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return null;
  }
}

/** The folder, or its nearest existing ancestor, since a ledger creates its folder. */
function existingOf(folder: string): string {
  let path = folder;
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

interface Sample {
  readonly atMs: number;
  readonly grownBytes: number;
}

/** Growth rate of a size over the last 24 hours of this process. Deleted segments count as no growth, not as negative growth. */
export class LedgerGrowth {
  #samples: Sample[] = [];
  #grownBytes = 0;
  #lastBytes: number | null = null;

  /**
   * Notes a size. Gives the growth in bytes per second; `null` in the first 10 minutes.
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
